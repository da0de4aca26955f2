//! A load generator that checks every reply: its ID, its question, its rcode and its addresses.
//!
//! A client is a thread with sockets of its own. In a closed loop it keeps a number of queries out; in an open loop it sends
//! at fixed times whatever comes back, and times run from when a query was due, so that a server that stalls is charged with
//! every query that had to wait for it. It is deliberately plain, one system call a packet as a resolver has it, and the same
//! for every server that it compares.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::io::ErrorKind;
use std::mem;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use domain::base::iana::Rcode;
use foldhash::fast::RandomState;
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::dns::{Question, Reply};
use crate::namespace::Namespace;

/// A query that is still out after this long is lost.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// How many bytes a socket has room for, so that no reply is lost for a client that has not had its processor for a moment.
pub const ROOM: usize = 4 << 20;
/// The longest time that is told from longer ones: a client may be late itself.
const LONGEST: Duration = Duration::from_secs(10);
/// No reply to a query without OPT record is longer (RFC 1035, 4.2.1).
const MAX_LEN: usize = 512;
const HEADER_LEN: usize = 12;
/// How many IDs of a socket go round while no more are out.
const FEW: u16 = 64;
/// How many replies of a case are remembered as right: as many as addresses are shuffled into, and TTLs count down to.
const REMEMBERED: usize = 64;
/// How long a closed loop sleeps at most before it looks for what is lost.
const NAP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};

/// A question and its right answer.
#[derive(Clone, Debug)]
pub struct Case {
    query: Vec<u8>,
    rcode: Rcode,
    addresses: Vec<IpAddr>,
}

impl Case {
    /// A question that these addresses answer, in any order; without any the name has none of the type.
    pub fn addresses(question: &Question, addresses: &[IpAddr]) -> Result<Self> {
        Self::new(question, Rcode::NOERROR, addresses)
    }

    /// A question for a name that does not exist.
    pub fn absent(question: &Question) -> Result<Self> {
        Self::new(question, Rcode::NXDOMAIN, &[])
    }

    /// The same question, answered by one that sends it back as a reply.
    pub fn reflected(&self) -> Self {
        Self {
            query: self.query.clone(),
            rcode: Rcode::NOERROR,
            addresses: Vec::new(),
        }
    }

    fn new(question: &Question, rcode: Rcode, addresses: &[IpAddr]) -> Result<Self> {
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        Ok(Self {
            query: question.to_message(0)?,
            rcode,
            addresses,
        })
    }

    fn is_answered_by(&self, message: &[u8]) -> bool {
        let question = HEADER_LEN..self.query.len();
        let Ok(mut reply) = Reply::parse(message) else {
            return false;
        };
        reply.addresses.sort_unstable();
        reply.rcode == self.rcode
            && reply.addresses == self.addresses
            && message.get(question.clone()) == self.query.get(question)
    }
}

/// When queries are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// When replies come: so many queries are out at a time, over all sockets of a client.
    Closed(usize),
    /// So many a second, over all clients, at even distances.
    Open(f64),
}

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub struct Load<'c> {
    /// What they ask, one after the other.
    pub cases: &'c [Case],
    /// When they ask.
    pub arrival: Arrival,
    /// How long they do.
    pub duration: Duration,
}

/// A thread that asks a server by sockets of its own, which have turns.
#[derive(Debug)]
pub struct Client {
    sockets: Vec<UdpSocket>,
    processor: Option<usize>,
}

impl Client {
    /// Opens so many sockets from a namespace to a server, for a thread that stays on this processor if one is given.
    pub fn open(from: &Namespace, server: SocketAddr, sockets: usize, processor: Option<usize>) -> Result<Self> {
        let open = |_| {
            let socket = from.udp_to(server)?;
            set_socket_recv_buffer_size_force(&socket, ROOM)?;
            Ok(socket)
        };
        let sockets: Result<Vec<_>> = (0..sockets).map(open).collect();
        Ok(Self {
            sockets: sockets?,
            processor,
        })
    }
}

/// What a load has come to.
#[derive(Clone, Debug)]
pub struct LoadReport {
    /// Right answers, each in time.
    pub answered: u64,
    /// Replies that are not the answer.
    pub wrong: u64,
    /// The first of those.
    pub first_wrong: Option<Vec<u8>>,
    /// Queries without any reply within [`PATIENCE`].
    pub lost: u64,
    /// Replies to those, after all.
    pub late: u64,
    /// Replies to nothing that was asked.
    pub stray: u64,
    /// From the first query to the last answer.
    pub elapsed: Duration,
    /// From when each query was due to its right answer, in nanoseconds, to three digits.
    pub times: Histogram<u64>,
}

impl LoadReport {
    fn new() -> Result<Self> {
        Ok(Self {
            answered: 0,
            wrong: 0,
            first_wrong: None,
            lost: 0,
            late: 0,
            stray: 0,
            elapsed: Duration::ZERO,
            times: Self::no_times()?,
        })
    }

    /// A histogram of no times, to which those of loads can be added.
    pub fn no_times() -> Result<Histogram<u64>> {
        Ok(Histogram::new_with_max(LONGEST.as_nanos() as u64, 3)?)
    }

    /// Right answers per second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which this share (0 to 1) of the answers came; zero if none came.
    pub fn percentile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.times.value_at_quantile(share))
    }

    /// Fails if anything came that is not the answer to what was asked.
    pub fn ensure_right(&self) -> Result<()> {
        // What is nobody's reply may be a late one to an earlier load.
        ensure!(
            self.wrong == 0,
            "{} wrong replies, of them the first: {:02x?}",
            self.wrong,
            self.first_wrong.as_deref().unwrap_or_default()
        );
        ensure!(self.answered > 0, "no answer: {} queries are lost", self.lost);
        Ok(())
    }

    fn add(&mut self, other: Self) -> Result<()> {
        self.answered += other.answered;
        self.wrong += other.wrong;
        self.first_wrong = self.first_wrong.take().or(other.first_wrong);
        self.lost += other.lost;
        self.late += other.late;
        self.stray += other.stray;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.times.add(other.times)?;
        Ok(())
    }
}

impl Load<'_> {
    /// Has all clients ask at once, and returns what they have seen together.
    pub fn run(&self, clients: &[Client]) -> Result<LoadReport> {
        let mut total = LoadReport::new()?;
        let reports: Vec<Result<LoadReport>> = thread::scope(|scope| {
            let ask = |(number, client)| scope.spawn(move || self.ask(client, number, clients.len()));
            let asking: Vec<_> = clients.iter().enumerate().map(ask).collect();
            let results = asking.into_iter().map(|thread| thread.join());
            results
                .map(|report| report.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        for report in reports {
            total.add(report?)?;
        }
        Ok(total)
    }

    /// The same, but fails where a reply is not the answer, or none comes.
    pub fn run_rightly(&self, clients: &[Client]) -> Result<LoadReport> {
        let report = self.run(clients)?;
        report.ensure_right().map(|()| report)
    }

    fn ask(&self, client: &Client, number: usize, of: usize) -> Result<LoadReport> {
        if let Some(processor) = client.processor {
            let mut processors = CpuSet::new();
            processors.set(processor);
            sched_setaffinity(None, &processors)?;
        }
        let mut asker = Asker::new(client, self.cases, number)?;
        asker.start = Instant::now();
        let end = asker.start + self.duration;
        match self.arrival {
            Arrival::Closed(outstanding) => asker.keep_out(outstanding, end)?,
            Arrival::Open(rate) => asker.send_at(of as f64 / rate, number as f64 / of as f64, end)?,
        }
        while asker.is_waiting() {
            asker.nap()?;
            asker.receive_all()?;
            asker.give_up(Instant::now());
        }
        Ok(asker.report)
    }
}

/// Has one client ask a server for one case, so many queries at a time, and fails where a reply is not the answer.
pub fn keep_asking(
    from: &Namespace,
    server: SocketAddr,
    case: Case,
    outstanding: usize,
    duration: Duration,
) -> Result<LoadReport> {
    let load = Load {
        cases: &[case],
        arrival: Arrival::Closed(outstanding),
        duration,
    };
    load.run_rightly(&[Client::open(from, server, 1, None)?])
}

/// What is known of an ID of a socket.
#[derive(Clone, Copy, Debug)]
enum Flight {
    /// Nothing is out under it.
    None,
    /// A query for this case, which was due then.
    Out(usize, Instant),
    /// The same, but it is not waited for any more.
    Lost,
}

struct Asker<'c> {
    start: Instant,
    cases: &'c [Case],
    /// Hashes of right replies of each case, without their IDs: little memory, so that the caches are left to who is measured.
    known: Vec<Vec<u64>>,
    hasher: RandomState,
    doors: Vec<Door<'c>>,
    /// The case that is asked next.
    next: usize,
    /// Which queries went out when, oldest first: socket, ID, time.
    sent: VecDeque<(usize, u16, Instant)>,
    out: usize,
    message: Vec<u8>,
    report: LoadReport,
}

/// A socket and what is out through it.
struct Door<'c> {
    socket: &'c UdpSocket,
    /// The first ID, by chance, so that late replies to an earlier load are not taken for others.
    base: u16,
    /// By how far an ID is from the first.
    flights: Vec<Flight>,
    /// IDs whose queries were answered, longest ago first: a few that go round.
    free: VecDeque<u16>,
    /// IDs whose queries are lost.
    lost: VecDeque<u16>,
}

impl Door<'_> {
    /// Takes an ID under which nothing is out. One whose query is lost comes last, since a reply may still come.
    fn take_id(&mut self) -> Result<u16> {
        if let Some(id) = self.free.pop_front() {
            return Ok(id);
        }
        if let Ok(distance) = u16::try_from(self.flights.len()) {
            self.flights.push(Flight::None);
            return Ok(self.base.wrapping_add(distance));
        }
        self.lost.pop_front().context("all IDs of a socket are out")
    }

    /// What is out under an ID; `None` if it has not been used.
    fn flight(&mut self, id: u16) -> Option<&mut Flight> {
        self.flights.get_mut(usize::from(id.wrapping_sub(self.base)))
    }
}

impl<'c> Asker<'c> {
    fn new(client: &'c Client, cases: &'c [Case], number: usize) -> Result<Self> {
        ensure!(
            !client.sockets.is_empty() && !cases.is_empty(),
            "nothing to ask, or no socket"
        );
        let open = |socket: &'c UdpSocket| {
            socket.set_nonblocking(true)?;
            // A refusal that an earlier query met, or a reply to it, is nobody's answer.
            let _ = socket.take_error();
            while socket.recv(&mut [0; MAX_LEN]).is_ok() {}
            let base: u16 = rand::random();
            Ok(Door {
                socket,
                base,
                flights: vec![Flight::None; FEW.into()],
                free: (0..FEW).map(|distance| base.wrapping_add(distance)).collect(),
                lost: VecDeque::new(),
            })
        };
        Ok(Self {
            start: Instant::now(),
            cases,
            known: vec![Vec::new(); cases.len()],
            hasher: RandomState::default(),
            doors: client.sockets.iter().map(open).collect::<Result<_>>()?,
            // Clients do not ask the same at the same time.
            next: number * 7_919 % cases.len(),
            sent: VecDeque::new(),
            out: 0,
            message: Vec::with_capacity(MAX_LEN),
            report: LoadReport::new()?,
        })
    }

    /// A closed loop.
    fn keep_out(&mut self, outstanding: usize, end: Instant) -> Result<()> {
        let mut now = Instant::now();
        while now < end {
            while self.out < outstanding {
                self.send(Instant::now())?;
            }
            if !self.receive_all()? {
                self.nap()?;
            }
            now = Instant::now();
            self.give_up(now);
        }
        Ok(())
    }

    /// An open loop: every `distance` seconds, the first after `offset` of one. It spins, since no timer is as exact.
    fn send_at(&mut self, distance: f64, offset: f64, end: Instant) -> Result<()> {
        let mut count = 0_u64;
        loop {
            let due = self.start + Duration::from_secs_f64((count as f64 + offset) * distance);
            if due >= end {
                return Ok(());
            }
            while Instant::now() < due {
                if !self.receive_all()? {
                    thread::yield_now();
                }
            }
            self.send(due)?;
            self.receive_all()?;
            count += 1;
            self.give_up(Instant::now());
        }
    }

    fn send(&mut self, due: Instant) -> Result<()> {
        let case = self.next;
        self.next = (case + 1) % self.cases.len();
        let at = self.next % self.doors.len();
        let door = &mut self.doors[at];
        let id = door.take_id()?;
        if let Some(flight) = door.flight(id) {
            *flight = Flight::Out(case, due);
        }
        self.message.clear();
        self.message.extend_from_slice(&self.cases[case].query);
        self.message[..2].copy_from_slice(&id.to_be_bytes());
        self.sent.push_back((at, id, due));
        self.out += 1;
        match door.socket.send(&self.message) {
            Ok(_) => Ok(()),
            // As lost as one that is lost on the way.
            Err(error) if is_silence(error.kind()) => Ok(()),
            Err(error) => Err(error).context("cannot send"),
        }
    }

    /// Takes in all that has come. False where nothing has.
    fn receive_all(&mut self) -> Result<bool> {
        let mut buffer = [0; MAX_LEN];
        let mut any = false;
        for at in 0..self.doors.len() {
            loop {
                match self.doors[at].socket.recv(&mut buffer) {
                    Ok(length) => self.take(at, &buffer[..length]),
                    Err(error) if is_silence(error.kind()) => break,
                    Err(error) => return Err(error).context("cannot receive"),
                }
                any = true;
            }
        }
        Ok(any)
    }

    fn take(&mut self, at: usize, message: &[u8]) {
        let now = Instant::now();
        let door = &mut self.doors[at];
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        let flight = id.and_then(|id| door.flight(id));
        match flight.map_or(Flight::None, |flight| mem::replace(flight, Flight::None)) {
            Flight::None => self.report.stray += 1,
            Flight::Lost => self.report.late += 1,
            Flight::Out(case, due) => {
                door.free.extend(id);
                self.out -= 1;
                self.report.elapsed = now - self.start;
                if self.is_right(case, message) {
                    self.report.answered += 1;
                    self.report.times.saturating_record((now - due).as_nanos() as u64);
                } else {
                    self.report.wrong += 1;
                    self.report.first_wrong.get_or_insert_with(|| message.to_vec());
                }
            }
        }
    }

    /// Reads a reply whole, unless it is one that was found right before.
    fn is_right(&mut self, case: usize, message: &[u8]) -> bool {
        let hash = self.hasher.hash_one(&message[2..]);
        let known = &mut self.known[case];
        if known.contains(&hash) {
            return true;
        }
        let right = self.cases[case].is_answered_by(message);
        if right && known.len() < REMEMBERED {
            known.push(hash);
        }
        right
    }

    /// Gives up what is out for too long.
    fn give_up(&mut self, now: Instant) {
        while let Some((at, id, due)) = self.sent.front().copied() {
            let door = &mut self.doors[at];
            // The ID may have been answered, and be out anew.
            let flight = door.flight(id);
            if let Some(flight) = flight.filter(|flight| matches!(flight, Flight::Out(_, other) if *other == due)) {
                if now.saturating_duration_since(due) < PATIENCE {
                    return;
                }
                *flight = Flight::Lost;
                door.lost.push_back(id);
                self.out -= 1;
                self.report.lost += 1;
            }
            self.sent.pop_front();
        }
    }

    fn is_waiting(&self) -> bool {
        self.out > 0
    }

    /// Sleeps until something comes, or for a moment.
    fn nap(&self) -> Result<()> {
        let mut awaited: Vec<_> = self
            .doors
            .iter()
            .map(|door| PollFd::new(door.socket, PollFlags::IN))
            .collect();
        poll(&mut awaited, Some(&NAP))?;
        Ok(())
    }
}

fn is_silence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionRefused
    )
}
