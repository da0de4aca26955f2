//! A client beside a server: a pod whose only link leads to the namespace of a server, where kxdns attaches to it.
//!
//! The link's end there gets no address, not even one of its own making, so that what a server says of its own addresses
//! is the same with and without it; both ends know each other's Ethernet address instead. What the server's sockets
//! send comes from another port, by which the client can tell it from what the kernel has sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};

use crate::namespace::Namespace;

/// The server's end of the link.
pub const LINK: &str = "veth-client";

/// The port that replies of the server's own sockets come from. Those of the kernel come from port 53.
pub const SERVER_PORT: u16 = 5353;

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
        server.feed("nft", &["-f", "-"], &mark()).context("no mark")?;
        Ok(Client { namespace })
    }

    /// The client's namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

/// Leads these addresses to the Ethernet address at the link's other end.
fn reach(addresses: &[IpAddr], link: &str, other_end: &str) -> String {
    let lead = |address: &IpAddr| {
        format!("route add {address} dev {link}\nneigh add {address} lladdr {other_end} dev {link} nud permanent\n")
    };
    addresses.iter().map(lead).collect()
}

fn mark() -> String {
    format!(
        "table inet replies {{\n  chain marked {{\n    type filter hook output priority 0\n    \
         oifname \"{LINK}\" udp sport 53 udp sport set {SERVER_PORT}\n  }}\n}}\n"
    )
}
