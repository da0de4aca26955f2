//! Opening the server's sockets, apart from serving them, so that a port in use is known at start.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::anyhow;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::Endpoint;
use super::udp::UdpListener;

/// Connections that the kernel completes before they are accepted.
const TCP_BACKLOG: i32 = 1024;

/// The most UDP sockets at one address. Each has a loop of its own, as many as there are processors at most.
const MAX_UDP_SOCKETS: usize = 4;

/// Open sockets of both transports at one address.
#[derive(Clone)]
pub struct Listener {
    /// The address, as the Corefile gives it.
    pub(super) address: SocketAddr,
    /// One or several; each datagram comes to one of them, those of one client to the same.
    pub(super) udp: Vec<Arc<UdpListener>>,
    pub(super) tcp: Arc<TcpListener>,
}

/// The sockets that are open. What waits in them outlives a change of who answers.
#[derive(Default)]
pub struct Sockets(Vec<Listener>);

impl Sockets {
    /// These.
    pub(super) fn of(listeners: Vec<Listener>) -> Self {
        Self(listeners)
    }

    /// Opens what is needed for these, and closes what is not needed any more, unless there is an error. `[::]` takes IPv4 in
    /// too, and is `0.0.0.0` on a host without IPv6.
    ///
    /// # Errors
    ///
    /// One line that names the address and the way out.
    pub fn open(&mut self, endpoints: Vec<(SocketAddr, Endpoint)>) -> anyhow::Result<Vec<(Listener, Endpoint)>> {
        let addresses: Vec<_> = endpoints.iter().map(|(address, _)| *address).collect();
        for address in &addresses {
            self.check_free(*address, &addresses)?;
        }
        let open = |address: &SocketAddr| match self.find(*address) {
            Some(listener) => Ok(listener.clone()),
            None => Listener::open(*address, &addresses),
        };
        self.0 = addresses.iter().map(open).collect::<anyhow::Result<_>>()?;
        let endpoints = endpoints.into_iter().map(|(_, endpoint)| endpoint);
        Ok(self.0.iter().cloned().zip(endpoints).collect())
    }

    fn find(&self, address: SocketAddr) -> Option<&Listener> {
        self.0.iter().find(|listener| listener.address == address)
    }

    /// Checks that nobody else is at an address: our own sockets share their port, and let others in who do as well.
    fn check_free(&self, address: SocketAddr, addresses: &[SocketAddr]) -> anyhow::Result<()> {
        if self.0.iter().any(|own| own.address.port() == address.port()) {
            return Ok(());
        }
        for kind in [Kind::UDP, Kind::TCP] {
            open(address, &kind, addresses, false).map_err(|error| explain(&error, address, kind.name))?;
        }
        Ok(())
    }
}

impl Listener {
    fn open(address: SocketAddr, addresses: &[SocketAddr]) -> anyhow::Result<Self> {
        let udp = || open(address, &Kind::UDP, addresses, true).and_then(|socket| UdpListener::new(socket.into()));
        let tcp = open(address, &Kind::TCP, addresses, true).and_then(|socket| {
            socket.listen(TCP_BACKLOG)?;
            TcpListener::from_std(socket.into())
        });
        // What is no certain port is another for each socket.
        let count = match address.port() {
            0 => 1,
            _ => available_parallelism().map_or(1, usize::from).min(MAX_UDP_SOCKETS),
        };
        let sockets = (0..count).map(|_| udp().map(Arc::new)).collect::<io::Result<_>>();
        Ok(Self {
            address,
            udp: sockets.map_err(|error| explain(&error, address, Kind::UDP.name))?,
            tcp: Arc::new(tcp.map_err(|error| explain(&error, address, Kind::TCP.name))?),
        })
    }
}

/// A kind of sockets.
struct Kind {
    name: &'static str,
    kind: Type,
    protocol: Protocol,
}

impl Kind {
    const UDP: Self = Self {
        name: "UDP",
        kind: Type::DGRAM,
        protocol: Protocol::UDP,
    };
    const TCP: Self = Self {
        name: "TCP",
        kind: Type::STREAM,
        protocol: Protocol::TCP,
    };
}

/// Opens a socket at one of these addresses.
fn open(address: SocketAddr, kind: &Kind, addresses: &[SocketAddr], shares_port: bool) -> io::Result<Socket> {
    let (kind, protocol) = (kind.kind, kind.protocol);
    let (socket, address) = match Socket::new(Domain::for_address(address), kind, Some(protocol)) {
        Err(error) if is_without_ipv6(&error, address) => {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            (Socket::new(Domain::IPV4, kind, Some(protocol))?, address)
        }
        socket => (socket?, address),
    };
    if address.is_ipv6() {
        let all_of_ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        socket.set_only_v6(!address.ip().is_unspecified() || addresses.contains(&all_of_ipv4))?;
    }
    // A listener may come back while connections of its predecessor linger; UDP has no such state to wait for.
    socket.set_reuse_address(kind == Type::STREAM)?;
    socket.set_reuse_port(shares_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn is_without_ipv6(error: &io::Error, address: SocketAddr) -> bool {
    address.is_ipv6()
        && address.ip().is_unspecified()
        && error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Says what stands in the way of a socket, and the way out.
fn explain(error: &io::Error, address: SocketAddr, protocol: &str) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "address in use; another DNS server runs here. Stop it, use `bind` in the Corefile, or run with --kernel-only"
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; run as root, give it CAP_NET_BIND_SERVICE, or run with --kernel-only"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface has this address; correct `bind` in the Corefile, or run with --kernel-only"
        }
        _ => return anyhow!("cannot listen on {address} ({protocol}): {error}"),
    };
    anyhow!("cannot listen on {address} ({protocol}): {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_all(sockets: &mut Sockets, addresses: &[SocketAddr]) -> anyhow::Result<Vec<Listener>> {
        let endpoints = addresses.iter().map(|address| (*address, Endpoint::default()));
        let opened = sockets.open(endpoints.collect())?;
        Ok(opened.into_iter().map(|(listener, _)| listener).collect())
    }

    #[tokio::test]
    async fn says_in_one_line_what_to_do_about_a_port_in_use() {
        let any_port = "127.0.0.1:0".parse().unwrap();
        let first = &open_all(&mut Sockets::default(), &[any_port]).unwrap()[0];
        let (udp, tcp) = (first.udp[0].local_addr(), first.tcp.local_addr().unwrap());
        for (address, protocol) in [(udp, "UDP"), (tcp, "TCP")] {
            let expected = format!(
                "cannot listen on {address} ({protocol}): address in use; another DNS server runs here. \
                 Stop it, use `bind` in the Corefile, or run with --kernel-only"
            );
            let error = open_all(&mut Sockets::default(), &[address]).err().unwrap();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[tokio::test]
    async fn sockets_that_are_still_needed_stay_open_and_others_do_not() {
        // Below the ports that the kernel hands out, so that no other test comes by them.
        let address = |host: &str, port: u16| -> SocketAddr { format!("{host}:{port}").parse().unwrap() };
        let (here, everywhere, other) = (
            address("127.0.0.1", 5458),
            address("[::]", 5458),
            address("127.0.0.1", 5459),
        );
        let mut sockets = Sockets::default();
        let first = open_all(&mut sockets, &[here, other]).unwrap();
        let second = open_all(&mut sockets, &[everywhere, here]).unwrap();
        assert!(Arc::ptr_eq(&first[0].tcp, &second[1].tcp));
        assert!(
            open_all(&mut sockets, &[address("192.0.2.1", 5458)]).is_err(),
            "no interface has it"
        );
        assert_eq!(sockets.0.len(), 2, "an error changes nothing");
        drop(first);
        open_all(&mut Sockets::default(), &[other]).unwrap();
    }

    #[tokio::test]
    async fn names_an_address_that_no_interface_has() {
        // TEST-NET-1 (RFC 5737) is on no interface.
        let error = open_all(&mut Sockets::default(), &["192.0.2.1:0".parse().unwrap()])
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .starts_with("cannot listen on 192.0.2.1:0 (UDP): no interface has this address;"),
            "{error}"
        );
    }
}
