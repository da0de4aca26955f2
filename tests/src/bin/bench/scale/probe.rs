//! Asking for one name again and again without taking the processor from whoever answers: a wait sleeps.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use domain::base::iana::Rcode;
use kxdns_tests::dns::{Question, Reply};

/// The room of a reply under the size that the question advertises.
const REPLY_SIZE: usize = 1232;

/// What a name must answer to be right.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) name: String,
    /// No address: the name must not exist.
    pub(crate) addresses: BTreeSet<IpAddr>,
}

impl Expectation {
    /// Whether this reply is the answer.
    pub(crate) fn is_met(&self, reply: &Reply) -> bool {
        let addresses: BTreeSet<IpAddr> = reply.addresses.iter().copied().collect();
        match self.addresses.is_empty() {
            true => reply.rcode == Rcode::NXDOMAIN,
            false => reply.rcode == Rcode::NOERROR && addresses == self.addresses,
        }
    }
}

/// A socket to whoever answers.
pub(crate) struct Probe {
    socket: UdpSocket,
    next_id: u16,
    last: Option<Reply>,
}

impl Probe {
    /// Takes a socket; a reply that takes longer than this is none.
    pub(crate) fn new(socket: UdpSocket, limit: Duration) -> Result<Probe> {
        socket.set_read_timeout(Some(limit))?;
        Ok(Probe {
            socket,
            next_id: 1,
            last: None,
        })
    }

    /// Asks until the answer is right, with this pause after each that is not.
    pub(crate) fn await_right(&mut self, expected: &Expectation, pause: Duration, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if self.is_right(expected)? {
                return Ok(());
            }
            sleep(pause);
        }
        bail!("no right answer within {limit:?}: {expected:?}, but {:?}", self.last)
    }

    /// Asks once whether the answer is right.
    pub(crate) fn is_right(&mut self, expected: &Expectation) -> Result<bool> {
        let reply = self.ask(&expected.name)?;
        let right = reply.as_ref().is_some_and(|reply| expected.is_met(reply));
        self.last = reply.or(self.last.take());
        Ok(right)
    }

    /// The last reply that came.
    pub(crate) fn last(&self) -> Option<&Reply> {
        self.last.as_ref()
    }

    /// Asks once; `None` if nobody listens, or too slowly.
    pub(crate) fn ask(&mut self, name: &str) -> Result<Option<Reply>> {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let query = Question::a(name).with_edns().to_message(id)?;
        let exchange = self.socket.send(&query).and_then(|_| self.receive(id));
        match exchange {
            Ok(message) => Reply::parse(&message).map(Some),
            Err(error) if is_silence(error.kind()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the message of this ID. Those before it are replies to questions of which nobody knows any more: a server may
    /// answer them all when it starts.
    fn receive(&self, id: u16) -> io::Result<Vec<u8>> {
        let mut buffer = [0; REPLY_SIZE];
        loop {
            let length = self.socket.recv(&mut buffer)?;
            let message = &buffer[..length];
            if message.starts_with(&id.to_be_bytes()) {
                return Ok(message.to_vec());
            }
        }
    }
}

fn is_silence(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable, TimedOut, WouldBlock};
    matches!(
        kind,
        WouldBlock | TimedOut | Interrupted | ConnectionRefused | HostUnreachable | NetworkUnreachable
    )
}
