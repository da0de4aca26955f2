//! A load generator that checks every reply: its ID, its rcode and the address in it.
//!
//! One thread, one socket, closed loop: with one query outstanding it measures latency, with many it saturates the
//! server. It is deliberately plain (one system call a packet), the same for every server that it compares.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::dns::Question;
use crate::figures::percentile;

/// A query that is still out after this long is lost.
const LOST_AFTER: Duration = Duration::from_millis(500);
const HEADER_LEN: usize = 12;

/// What a run of load has shown.
#[derive(Clone, Debug)]
pub struct LoadReport {
    /// Right answers received.
    pub answered: usize,
    /// Queries without an answer.
    pub lost: usize,
    /// From the first query to the last answer.
    pub elapsed: Duration,
    /// Time from query to answer of each, ascending.
    times: Vec<Duration>,
}

impl LoadReport {
    /// Right answers per second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which this share (0 to 1) of the answers came; zero if none came.
    pub fn percentile(&self, share: f64) -> Duration {
        percentile(&self.times, share).unwrap_or_default()
    }
}

/// Keeps `outstanding` queries for one A record in flight over a connected socket for about `duration`.
///
/// Fails on the first wrong reply. Queries may only be answered by `expected`.
pub fn run_load(
    socket: &UdpSocket,
    name: &str,
    expected: Ipv4Addr,
    outstanding: u16,
    duration: Duration,
) -> Result<LoadReport> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(LOST_AFTER))?;
    let mut load = Load::new(socket, name, expected)?;
    let start = Instant::now();
    load.fill(outstanding)?;
    while start.elapsed() < duration {
        if !load.receive()? {
            load.give_up();
        }
        load.fill(outstanding)?;
    }
    while load.in_flight > 0 && load.receive()? {}
    load.give_up();
    load.times.sort_unstable();
    Ok(LoadReport {
        answered: load.times.len(),
        lost: load.lost,
        elapsed: start.elapsed(),
        times: load.times,
    })
}

struct Load<'a> {
    socket: &'a UdpSocket,
    query: Vec<u8>,
    expected: [u8; 4],
    /// When the query with this ID went out, as long as it is unanswered.
    sent_at: Vec<Option<Instant>>,
    next_id: u16,
    in_flight: u16,
    times: Vec<Duration>,
    lost: usize,
}

impl Load<'_> {
    fn new<'a>(socket: &'a UdpSocket, name: &str, expected: Ipv4Addr) -> Result<Load<'a>> {
        Ok(Load {
            socket,
            query: Question::a(name).to_message(0)?,
            expected: expected.octets(),
            sent_at: vec![None; usize::from(u16::MAX) + 1],
            next_id: 0,
            in_flight: 0,
            times: Vec::new(),
            lost: 0,
        })
    }

    fn fill(&mut self, outstanding: u16) -> Result<()> {
        while self.in_flight < outstanding {
            self.query[..2].copy_from_slice(&self.next_id.to_be_bytes());
            self.sent_at[usize::from(self.next_id)] = Some(Instant::now());
            self.socket.send(&self.query)?;
            self.next_id = self.next_id.wrapping_add(1);
            self.in_flight += 1;
        }
        Ok(())
    }

    /// Takes one answer in. False when none came in time.
    fn receive(&mut self) -> Result<bool> {
        let mut buffer = [0; 1500];
        let length = match self.socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let reply = &buffer[..length];
        ensure!(reply.len() >= HEADER_LEN, "a reply of {length} bytes");
        let id = u16::from_be_bytes([reply[0], reply[1]]);
        let sent_at = self.sent_at[usize::from(id)].take();
        // The answer to a query that was given up is late, not wrong.
        if let Some(sent_at) = sent_at {
            self.times.push(sent_at.elapsed());
            self.in_flight -= 1;
            self.check(reply)?;
        }
        Ok(true)
    }

    /// Wants NOERROR, the question as sent, one answer and nothing else, the expected address at its end.
    fn check(&self, reply: &[u8]) -> Result<()> {
        let question_end = self.query.len();
        let right = reply[2] & 0x80 != 0
            && reply[3] & 0x0f == 0
            && reply[4..HEADER_LEN] == [0, 1, 0, 1, 0, 0, 0, 0]
            && reply.get(HEADER_LEN..question_end) == Some(&self.query[HEADER_LEN..])
            && reply[question_end..].ends_with(&self.expected);
        ensure!(right, "a wrong reply: {reply:02x?}");
        Ok(())
    }

    fn give_up(&mut self) {
        self.lost += usize::from(self.in_flight);
        self.in_flight = 0;
        self.sent_at.fill(None);
    }
}
