//! The load generator against servers that err: it reports exactly what they did.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use kxdns_tests::dns::Question;
use kxdns_tests::load::{Arrival, Case, Client, Load, LoadReport, PATIENCE, ROOM};
use kxdns_tests::namespace::Namespace;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 53);
const NAME: &str = "web.default.svc.cluster.local";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 1, 1);
/// Queries a second, and for how long.
const RATE: f64 = 5_000.0;
const DURATION: Duration = Duration::from_secs(2);
const SENT: u64 = 10_000;
const ERRORS: u64 = SENT / 1_000;
const STALL: Duration = Duration::from_millis(200);
const SHORT: Duration = Duration::from_millis(30);
const LAST: usize = usize::MAX;
const LONG: Duration = PATIENCE.saturating_add(Duration::from_millis(50));

/// What a server makes of a reply.
enum Deed {
    Send(Vec<u8>),
    Drop,
    Delay(Duration),
}

/// Serves `load` by a server that does `deed` to each thousandth reply, and sends all others.
fn err(load: &Load<'_>, sockets: usize, deed: impl Fn(&[u8]) -> Deed + Send) -> Result<LoadReport> {
    serve(load, sockets, move |count, reply| match count % 1_000 {
        999 => deed(reply),
        _ => Deed::Send(reply.to_vec()),
    })
}

fn serve(load: &Load<'_>, sockets: usize, deed: impl Fn(u64, &[u8]) -> Deed + Send) -> Result<LoadReport> {
    // One at a time: they want two processors.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let namespace = Namespace::open()?;
    let server = namespace.udp_at(SERVER.into())?;
    server.set_nonblocking(true)?;
    set_socket_recv_buffer_size_force(&server, ROOM)?;
    let clients = [Client::open(&namespace, SocketAddr::from(SERVER), sockets, None)?];
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let (server, ended) = (&server, &ended);
        let answering = scope.spawn(move || answer(server, ended, deed));
        let report = load.run(&clients);
        ended.store(true, Ordering::Relaxed);
        answering.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        report
    })
}

fn answer(socket: &UdpSocket, ended: &AtomicBool, deed: impl Fn(u64, &[u8]) -> Deed) -> Result<()> {
    let mut delayed: VecDeque<(Instant, Vec<u8>, SocketAddr)> = VecDeque::new();
    let (mut buffer, mut count) = ([0; 512], 0);
    while !ended.load(Ordering::Relaxed) {
        while delayed.front().is_some_and(|(due, ..)| Instant::now() >= *due) {
            if let Some((_, reply, to)) = delayed.pop_front() {
                socket.send_to(&reply, to)?;
            }
        }
        let (length, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::yield_now();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let reply = reply_to(&buffer[..length]);
        match deed(count, &reply) {
            Deed::Send(reply) => drop(socket.send_to(&reply, from)?),
            Deed::Drop => {}
            Deed::Delay(delay) => delayed.push_back((Instant::now() + delay, reply, from)),
        }
        count += 1;
    }
    Ok(())
}

/// One A record for whatever was asked.
fn reply_to(query: &[u8]) -> Vec<u8> {
    let mut reply = query.to_vec();
    reply[2] |= 0x84;
    reply[7] = 1;
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
    reply.extend(ADDRESS.octets());
    reply
}

fn case() -> Result<Case> {
    Case::addresses(&Question::a(NAME), &[ADDRESS.into()])
}

fn open_loop(cases: &[Case]) -> Load<'_> {
    Load {
        cases,
        arrival: Arrival::Open(RATE),
        duration: DURATION,
    }
}

/// Answered, wrong, lost, late, stray.
fn counts(report: &LoadReport) -> [u64; 5] {
    [report.answered, report.wrong, report.lost, report.late, report.stray]
}

#[test]
fn a_server_that_is_right_is_found_right_by_both_loops() -> Result<()> {
    let cases = [case()?];
    let report = err(&open_loop(&cases), 4, |reply| Deed::Send(reply.to_vec()))?;
    assert_eq!(counts(&report), [SENT, 0, 0, 0, 0]);
    let closed = Load {
        arrival: Arrival::Closed(8),
        ..open_loop(&cases)
    };
    let report = err(&closed, 4, |reply| Deed::Send(reply.to_vec()))?;
    assert!(report.answered > SENT, "{report:?}");
    assert_eq!(counts(&report)[1..], [0; 4]);
    report.ensure_right()
}

#[test]
fn each_kind_of_wrong_reply_is_counted_and_kept() -> Result<()> {
    let cases = [case()?];
    // QR, rcode, a letter of the question, the type in it, the count of answers, the last byte of the address.
    let bits = [(2, 0x80), (3, 3), (13, 0x20), (44, 28), (7, 1), (LAST, 1)];
    let report = serve(&open_loop(&cases), 2, move |count, reply| {
        let mut reply = reply.to_vec();
        if count % 1_000 == 999 {
            let (at, bits) = bits[(count / 1_000) as usize % bits.len()];
            let at = if at == LAST { reply.len() - 1 } else { at };
            reply[at] ^= bits;
        }
        Deed::Send(reply)
    })?;
    assert_eq!(counts(&report), [SENT - ERRORS, ERRORS, 0, 0, 0]);
    assert!(report.first_wrong.is_some() && report.ensure_right().is_err());
    Ok(())
}

#[test]
fn a_reply_under_another_id_is_no_answer() -> Result<()> {
    let cases = [case()?];
    let report = err(&open_loop(&cases), 2, |reply| {
        let mut reply = reply.to_vec();
        reply[0] ^= 0x80;
        Deed::Send(reply)
    })?;
    // The query that it was for is lost.
    assert_eq!(counts(&report), [SENT - ERRORS, 0, ERRORS, 0, ERRORS]);
    Ok(())
}

#[test]
fn a_reply_that_is_dropped_is_counted_as_lost_by_both_loops() -> Result<()> {
    let cases = [case()?];
    let report = err(&open_loop(&cases), 4, |_| Deed::Drop)?;
    assert_eq!(counts(&report), [SENT - ERRORS, 0, ERRORS, 0, 0]);
    let closed = Load {
        arrival: Arrival::Closed(64),
        ..open_loop(&cases)
    };
    let report = err(&closed, 4, |_| Deed::Drop)?;
    assert_eq!(report.lost, (report.answered + report.lost) / 1_000);
    assert!(report.lost > 0);
    Ok(())
}

#[test]
fn a_reply_that_comes_too_late_is_lost_and_late() -> Result<()> {
    let cases = [case()?];
    let report = err(&open_loop(&cases), 4, |_| Deed::Delay(LONG))?;
    // Nobody waits for those that are lost last.
    assert_eq!(counts(&report)[..3], [SENT - ERRORS, 0, ERRORS]);
    assert!((1..=ERRORS).contains(&report.late), "{report:?}");
    Ok(())
}

#[test]
fn a_slow_reply_stands_where_it_belongs_in_the_distribution() -> Result<()> {
    let cases = [case()?];
    let slow = |count: u64, reply: &[u8]| match count % 100 {
        99 => Deed::Delay(SHORT),
        _ => Deed::Send(reply.to_vec()),
    };
    let report = serve(&open_loop(&cases), 4, slow)?;
    assert_eq!(counts(&report), [SENT, 0, 0, 0, 0]);
    let slow = report.times.count_between(SHORT.as_nanos() as u64, u64::MAX);
    assert!(
        (SENT / 100..SENT / 50).contains(&slow),
        "{slow} of {SENT} took {SHORT:?}"
    );
    assert!(report.percentile(0.995) >= SHORT && report.percentile(0.5) < SHORT);
    Ok(())
}

#[test]
fn a_stall_is_charged_with_every_query_that_was_due_in_it() -> Result<()> {
    let cases = [case()?];
    let stall = |count: u64, reply: &[u8]| {
        if count == SENT / 2 {
            thread::sleep(STALL);
        }
        Deed::Send(reply.to_vec())
    };
    let report = serve(&open_loop(&cases), 4, stall)?;
    assert_eq!(counts(&report), [SENT, 0, 0, 0, 0]);
    // So many were due while it slept, and half of those waited for more than half of it.
    let due = (RATE * STALL.as_secs_f64()) as u64;
    let waited = report.times.count_between((STALL / 2).as_nanos() as u64, u64::MAX);
    assert!((due * 2 / 5..=due).contains(&waited), "{waited} of {due} waited");
    Ok(())
}
