//! Opening the server's sockets, apart from serving them, so that a port in use is known at start.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::anyhow;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::Endpoint;
use super::udp::UdpListener;

/// Connections that the kernel completes before they are accepted.
const TCP_BACKLOG: i32 = 1024;

/// Open sockets of both transports at one address.
pub struct Listener {
    /// The address, as the Corefile gives it.
    pub(super) address: SocketAddr,
    pub(super) udp: UdpListener,
    pub(super) tcp: TcpListener,
}

/// Opens a UDP and a TCP socket for each; `[::]` takes IPv4 in too, and is `0.0.0.0` on a host without IPv6.
///
/// An error is one line that names the address and the way out.
pub fn bind(endpoints: Vec<(SocketAddr, Endpoint)>) -> anyhow::Result<Vec<(Listener, Endpoint)>> {
    let addresses: Vec<_> = endpoints.iter().map(|(address, _)| *address).collect();
    let open = |(address, endpoint)| {
        let udp = bind_udp(address, &addresses)?;
        let tcp = bind_tcp(address, &addresses)?;
        Ok((Listener { address, udp, tcp }, endpoint))
    };
    endpoints.into_iter().map(open).collect()
}

/// Says whether a port is bound to all addresses and to one: the kernel has to be told that both are meant, and gives a packet to
/// the socket of its own address. Nobody else is let in unless there is need.
fn shares_port(address: SocketAddr, addresses: &[SocketAddr]) -> bool {
    let mut others = addresses.iter().filter(|other| other.port() == address.port());
    others.any(|other| other.ip().is_unspecified() != address.ip().is_unspecified())
}

fn bind_udp(address: SocketAddr, addresses: &[SocketAddr]) -> anyhow::Result<UdpListener> {
    open(address, Type::DGRAM, Protocol::UDP, addresses)
        .and_then(|socket| UdpListener::new(socket.into()))
        .map_err(|error| explain(&error, address, "UDP"))
}

fn bind_tcp(address: SocketAddr, addresses: &[SocketAddr]) -> anyhow::Result<TcpListener> {
    let listen = |socket: Socket| {
        socket.listen(TCP_BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open(address, Type::STREAM, Protocol::TCP, addresses)
        .and_then(listen)
        .map_err(|error| explain(&error, address, "TCP"))
}

/// Opens a socket at one of these addresses.
fn open(address: SocketAddr, kind: Type, protocol: Protocol, addresses: &[SocketAddr]) -> io::Result<Socket> {
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
    socket.set_reuse_port(shares_port(address, addresses))?;
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

    #[tokio::test]
    async fn says_in_one_line_what_to_do_about_a_port_in_use() {
        let any_port = "127.0.0.1:0".parse().unwrap();
        let (first_udp, first_tcp) = (bind_udp(any_port, &[]).unwrap(), bind_tcp(any_port, &[]).unwrap());
        let (udp, tcp) = (first_udp.local_addr(), first_tcp.local_addr().unwrap());
        // Not even where the port is meant to be shared: with another socket of the same Corefile alone.
        let everywhere = |address: SocketAddr| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        let cases = [
            (udp, "UDP", bind_udp(udp, &[everywhere(udp)]).map(drop)),
            (tcp, "TCP", bind_tcp(tcp, &[everywhere(tcp)]).map(drop)),
        ];
        for (address, protocol, opened) in cases {
            let expected = format!(
                "cannot listen on {address} ({protocol}): address in use; another DNS server runs here. \
                 Stop it, use `bind` in the Corefile, or run with --kernel-only"
            );
            assert_eq!(opened.unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn shares_a_port_only_between_all_addresses_and_one() {
        for (address, others, expected) in [
            ("[::]:53", &["[::]:53"][..], false),
            ("[::]:53", &["[::]:53", "[::]:54", "10.0.0.1:54"], false),
            ("[::]:54", &["[::]:53", "[::]:54", "10.0.0.1:54"], true),
            ("10.0.0.1:54", &["[::]:53", "[::]:54", "10.0.0.1:54"], true),
            ("10.0.0.1:53", &["10.0.0.1:53", "10.0.0.2:53"], false),
        ] {
            let others: Vec<_> = others.iter().map(|other| other.parse().unwrap()).collect();
            assert_eq!(
                shares_port(address.parse().unwrap(), &others),
                expected,
                "{address} {others:?}"
            );
        }
    }

    #[tokio::test]
    async fn names_an_address_that_no_interface_has() {
        // TEST-NET-1 (RFC 5737) is on no interface.
        let error = bind_udp("192.0.2.1:0".parse().unwrap(), &[]).err().unwrap().to_string();
        assert!(
            error.starts_with("cannot listen on 192.0.2.1:0 (UDP): no interface has this address;"),
            "{error}"
        );
    }
}
