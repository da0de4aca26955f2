//! Small packets, as fast as one socket takes them.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kxdns_tests::namespace::Namespace;

/// Not the port of DNS: the programs have to let it through.
const PORT: u16 = 5202;
const PAYLOAD: [u8; 64] = [0; 64];
/// How long the receiver waits for a packet before it looks at the clock again.
const NAP: Duration = Duration::from_millis(10);

/// Sends from one namespace to the other, at this address, for a while, and returns how many packets a second arrived.
///
/// iperf3 has this too, but only for whole seconds, and it spends more time on a packet than its way takes.
pub(super) fn flood(from: &Namespace, to: &Namespace, address: Ipv4Addr, time: Duration) -> Result<f64> {
    let address = SocketAddr::from((address, PORT));
    // New sockets, so that nothing is counted that an earlier flood has left in them.
    let receiver = to.udp_at(address)?;
    receiver.set_read_timeout(Some(NAP))?;
    let sender = from.udp_to(address)?;
    let end = Instant::now() + time;
    let arrived = thread::scope(|scope| {
        let sending = scope.spawn(|| send_until(end, &sender));
        let arrived = count_until(end, &receiver);
        sending.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        arrived
    })?;
    Ok(arrived as f64 / time.as_secs_f64())
}

fn send_until(end: Instant, sender: &UdpSocket) -> Result<()> {
    while Instant::now() < end {
        sender.send(&PAYLOAD).context("cannot send a small packet")?;
    }
    Ok(())
}

fn count_until(end: Instant, receiver: &UdpSocket) -> Result<u64> {
    let mut arrived = 0;
    while Instant::now() < end {
        match receiver.recv(&mut [0; PAYLOAD.len()]) {
            Ok(_) => arrived += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("cannot receive a small packet"),
        }
    }
    Ok(arrived)
}
