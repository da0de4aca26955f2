//! Sending hostile messages over UDP, and telling what a server made of them: a reply, or silence.
//!
//! Silence is not waited for: a query that is known to be answered goes out behind each message, and its reply says that
//! the server is done with what came before. That is not quite so, since servers answer as many at a time as they like;
//! a while is given.

use std::fmt;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::deviations;
use super::meaning::{Meaning, hex};
use super::report::Account;

/// A server that has not answered a good query by then never will.
pub(super) const LIMIT: Duration = Duration::from_secs(8);

/// Room for any message.
pub(super) const BUFFER: usize = 1 << 16;

/// A reply, read or not to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What it says.
    Read(Meaning),
    /// Its bytes, ID aside, and why they cannot be read.
    Unreadable(Vec<u8>, String),
}

impl Reply {
    /// Reads a reply.
    pub fn of(bytes: &[u8]) -> Reply {
        match Meaning::read(bytes) {
            Ok(meaning) => Reply::Read(meaning),
            Err(error) => Reply::Unreadable(bytes.get(2..).unwrap_or_default().to_vec(), format!("{error:#}")),
        }
    }

    /// A few words on it.
    pub fn kind(&self) -> String {
        match self {
            Reply::Read(meaning) => meaning.kind(),
            Reply::Unreadable(..) => "unreadable".to_owned(),
        }
    }

    /// Says whether the rival's reply means the same as this one of CoreDNS, or differs from it on purpose.
    pub fn agrees(&self, rival: &Reply) -> bool {
        match (self, rival) {
            (Reply::Read(one), Reply::Read(other)) => one.agrees(other) || deviations::explain(one, other).is_some(),
            _ => self == rival,
        }
    }
}

/// Says whether two servers replied the same, or neither did.
pub fn agree(replies: &[Option<Reply>; 2]) -> bool {
    match replies {
        [Some(one), Some(other)] => one.agrees(other),
        [one, other] => one.is_none() && other.is_none(),
    }
}

/// Tells of a reply, or of silence.
pub fn account_of(reply: &Option<Reply>) -> Account {
    let silence = || "silence".to_owned();
    Account {
        kind: reply.as_ref().map_or_else(silence, Reply::kind),
        full: reply.as_ref().map_or_else(silence, Reply::to_string),
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Read(meaning) => meaning.fmt(f),
            Reply::Unreadable(bytes, reason) => write!(f, "unreadable ({reason}): ....{}", hex(bytes)),
        }
    }
}

/// A message over UDP that is on its way to a server, with the good query behind it.
#[derive(Debug)]
pub struct Datagram<'a> {
    socket: &'a UdpSocket,
    /// The message's ID, if it is long enough to have one.
    id: Option<u16>,
    probe: &'a [u8],
    sent: Instant,
}

impl<'a> Datagram<'a> {
    /// Sends a message, and the good query `probe`, which must have another ID.
    pub fn send(socket: &'a UdpSocket, message: &[u8], probe: &'a [u8]) -> Result<Datagram<'a>> {
        socket.send(message)?;
        socket.send(probe)?;
        let (id, sent) = (id_of(message), Instant::now());
        Ok(Datagram {
            socket,
            id,
            probe,
            sent,
        })
    }

    /// Waits for what comes back. `None` is silence: nothing came within `patience`, and the probe was answered.
    pub fn receive(self, patience: Duration) -> Result<Option<Reply>> {
        let mut buffer = [0; BUFFER];
        let mut probed = false;
        while !(probed && self.sent.elapsed() >= patience) {
            let limit = if probed { patience } else { LIMIT }.saturating_sub(self.sent.elapsed());
            let Some(length) = receive_within(self.socket, &mut buffer, limit)? else {
                continue;
            };
            match id_of(&buffer[..length]) {
                id if id.is_some() && id == self.id => return Ok(Some(Reply::of(&buffer[..length]))),
                id => probed |= id == id_of(self.probe),
            }
            if self.sent.elapsed() > LIMIT {
                bail!("a good query is not answered any more");
            }
        }
        // A reply that came in while another server was waited for is there already.
        self.take_waiting(&mut buffer)
    }

    fn take_waiting(&self, buffer: &mut [u8]) -> Result<Option<Reply>> {
        while let Some(length) = receive_within(self.socket, buffer, Duration::ZERO)? {
            if self.id.is_some() && id_of(&buffer[..length]) == self.id {
                return Ok(Some(Reply::of(&buffer[..length])));
            }
        }
        Ok(None)
    }
}

/// Receives one datagram; fails at the limit if that is the longest, else tells by `None`.
fn receive_within(socket: &UdpSocket, buffer: &mut [u8], limit: Duration) -> Result<Option<usize>> {
    socket.set_nonblocking(limit.is_zero())?;
    if !limit.is_zero() {
        socket.set_read_timeout(Some(limit))?;
    }
    match socket.recv(buffer) {
        Ok(length) => Ok(Some(length)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error).context("the server's socket is gone"),
    }
}

pub(super) fn id_of(message: &[u8]) -> Option<u16> {
    message.first_chunk().copied().map(u16::from_be_bytes)
}
