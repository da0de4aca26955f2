//! A client beside a server: a pod whose only link leads to the namespace of a server, where kxdns attaches to it.
//!
//! The link's end there gets no address, not even one of its own making, so that what a server says of its own addresses
//! is the same with and without it; both ends know each other's Ethernet address instead. Datagrams of the server's own
//! sockets come from another port, by which the client can tell them from what the kernel has sent.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::dns::exchange_on;
use crate::namespace::Namespace;

/// The server's end of the link.
pub const LINK: &str = "veth-client";

/// The port that is asked, and that the kernel answers from.
const PORT: u16 = 53;
/// The port that replies of the server's own sockets come from.
const SERVER_PORT: u16 = 5353;
const LARGEST_REPLY: usize = 1 << 16;

/// The MTU of both ends.
pub const MTU: usize = 1500;

const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 244, 2, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0x244, 2, 0, 0, 0, 2)),
];
const SERVER_END: &str = "02:00:00:00:00:01";
const CLIENT_END: &str = "02:00:00:00:00:02";

/// A client's pod.
#[derive(Debug)]
pub struct Client {
    namespace: Namespace,
}

impl Client {
    /// Attaches a client to the namespace of a server that is asked at these addresses. GRO is on at the client's end, so
    /// that native XDP can send to it.
    pub fn attach(server: &Namespace, servers: &[IpAddr]) -> Result<Client> {
        let namespace = Namespace::open()?;
        let handle = namespace.link_handle();
        let ends = format!(
            "link add {LINK} address {SERVER_END} mtu {MTU} type veth peer name eth0 address {CLIENT_END} mtu {MTU} netns {handle}\n\
             link set {LINK} addrgenmode none\nlink set {LINK} up\n"
        );
        let there = ends + &reach(&ADDRESSES, LINK, CLIENT_END);
        server
            .feed("ip", &["-batch", "-"], &there)
            .context("no link to a client")?;
        let own = ADDRESSES.map(|address| format!("address add {address} dev eth0 nodad\n"));
        let here = format!("link set eth0 addrgenmode none\nlink set eth0 up\n{}", own.concat());
        let here = here + &reach(servers, "eth0", SERVER_END);
        namespace.feed("ip", &["-batch", "-"], &here).context("no client")?;
        namespace.run("ethtool", ["-K", "eth0", "gro", "on"])?;
        mark_replies(server, LINK)?;
        Ok(Client { namespace })
    }

    /// The client's namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Asks over TCP, on a connection of its own.
    pub fn ask_tcp(&self, server: IpAddr, query: &[u8], limit: Duration) -> Result<Vec<u8>> {
        let connect = || TcpStream::connect_timeout(&SocketAddr::from((server, PORT)), limit);
        let mut stream = self.namespace.inside(connect)??;
        stream.set_read_timeout(Some(limit))?;
        exchange_on(&mut stream, query).with_context(|| format!("no reply of {server} over TCP"))
    }
}

/// A reply over UDP.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The message.
    pub message: Vec<u8>,
    /// Whether the kernel has sent it.
    pub by_kernel: bool,
}

/// A client's socket, from which servers of both families are asked.
#[derive(Debug)]
pub struct Door {
    socket: UdpSocket,
}

impl Door {
    /// Opens a socket in a namespace. A reply is waited for no longer than `patience` at a time.
    pub fn open(namespace: &Namespace, patience: Duration) -> Result<Door> {
        // IPv4 addresses are mapped.
        let socket = namespace.udp_at(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Door { socket })
    }

    /// Sends a query.
    pub fn send(&self, server: IpAddr, query: &[u8]) -> Result<()> {
        let sent = self.socket.send_to(query, (mapped(server), PORT));
        sent.map(drop).with_context(|| format!("cannot ask {server}"))
    }

    /// Receives a datagram, and says where it is from. `None` when none comes.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<(&'b [u8], SocketAddr)>> {
        match self.socket.recv_from(buffer) {
            Ok((length, from)) => Ok(Some((&buffer[..length], from))),
            Err(error) if is_silence(error.kind()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks once. `None` when nothing with the query's ID comes from the server within `limit`.
    pub fn ask(&self, server: IpAddr, query: &[u8], limit: Duration) -> Result<Option<Reply>> {
        let (mut buffer, start) = ([0; LARGEST_REPLY], Instant::now());
        self.send(server, query)?;
        while start.elapsed() < limit {
            let Some((message, from)) = self.receive(&mut buffer)? else {
                continue;
            };
            if let Some(by_kernel) = is_by_kernel(from, server)
                && message.get(..2) == query.get(..2)
            {
                let message = message.to_vec();
                return Ok(Some(Reply { message, by_kernel }));
            }
        }
        Ok(None)
    }
}

/// Whether the kernel has sent what comes from there. `None` if neither it nor the server has.
pub fn is_by_kernel(from: SocketAddr, server: IpAddr) -> Option<bool> {
    let is_from = |port| from == SocketAddr::from((mapped(server), port));
    (is_from(PORT) || is_from(SERVER_PORT)).then(|| is_from(PORT))
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(ipv4) => ipv4.to_ipv6_mapped(),
        IpAddr::V6(ipv6) => ipv6,
    }
}

fn is_silence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Interrupted | ErrorKind::TimedOut | ErrorKind::WouldBlock
    )
}

/// Leads these addresses to the Ethernet address at the link's other end.
fn reach(addresses: &[IpAddr], link: &str, other_end: &str) -> String {
    let lead = |address: &IpAddr| {
        format!("route add {address} dev {link}\nneigh add {address} lladdr {other_end} dev {link} nud permanent\n")
    };
    addresses.iter().map(lead).collect()
}

/// Has what the sockets of a server's namespace send over these links come from another port than what the kernel sends,
/// which [`Door`] tells apart. The name of the links may end with `*`.
pub fn mark_replies(server: &Namespace, links: &str) -> Result<()> {
    let rule = format!(
        "table inet replies {{\n  chain marked {{\n    type filter hook output priority 0\n    \
         oifname \"{links}\" udp sport {PORT} udp sport set {SERVER_PORT}\n  }}\n}}\n"
    );
    server.feed("nft", &["-f", "-"], &rule).context("no mark for replies")?;
    Ok(())
}
