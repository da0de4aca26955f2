//! The servers behind `forward`: two of them, which answer names outside of the cluster by the words of their first label
//! (`script.rs`), the same at every time, and not all of them truthfully.

mod delivery;
mod reply;
mod script;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::Node;

use self::delivery::{Delivery, deliver};
pub(crate) use self::script::{FIRST, LATE, Place, SECOND, WAITING, WORDS};

/// Starts them in namespaces of their own, which they live as long as.
pub(crate) fn start(node: &Node) -> Result<[Namespace; 2]> {
    Ok([start_one(node, FIRST)?, start_one(node, SECOND)?])
}

fn start_one(node: &Node, place: Place) -> Result<Namespace> {
    let namespace = node.add_neighbour(&format!("upstream-{}", place.number), place.address)?;
    // A closed port always says so.
    namespace.run("sh", ["-ec", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit"])?;
    let address = SocketAddr::from((place.address, 53));
    let (socket, listener) = (namespace.udp_at(address)?, namespace.listen(address)?);
    thread::spawn(move || serve_udp(&Arc::new(socket), place));
    thread::spawn(move || serve_tcp(&listener, place));
    Ok(namespace)
}

fn serve_udp(socket: &Arc<UdpSocket>, place: Place) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Ok(delivery) = deliver(&buffer[..length], place, false) else {
            continue;
        };
        if delivery.delay == Duration::ZERO {
            send(socket, client, &delivery);
        } else {
            let socket = socket.clone();
            thread::spawn(move || {
                thread::sleep(delivery.delay);
                send(&socket, client, &delivery);
            });
        }
    }
}

fn send(socket: &UdpSocket, client: SocketAddr, delivery: &Delivery) {
    for message in &delivery.messages {
        // Whoever is gone asks no more.
        let _ = socket.send_to(message, client);
    }
}

fn serve_tcp(listener: &TcpListener, place: Place) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || serve_connection(stream, place));
    }
}

fn serve_connection(mut stream: TcpStream, place: Place) -> Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query)?;
        let delivery = deliver(&query, place, true)?;
        thread::sleep(delivery.delay);
        for message in delivery.messages {
            let length = u16::try_from(message.len()).context("too long for TCP")?;
            stream.write_all(&length.to_be_bytes())?;
            stream.write_all(&message)?;
        }
    }
}

/// An address of the first one at which nobody listens.
pub(crate) fn closed_port() -> (Ipv4Addr, u16) {
    (FIRST.address, 5399)
}
