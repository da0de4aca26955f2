//! Sending hostile messages, and telling what a server made of them: a reply, silence, a closed connection.
//!
//! Silence is not waited for: a query that is known to be answered goes out behind each message, and its reply says that
//! the server is done with what came before. Over UDP that is not quite so, since servers answer as many at a time as
//! they like; a while is given there.

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::conversation::{Conversation, Ending, frame};
use super::deviations;
use super::meaning::{Meaning, hex};
use super::report::Account;
use crate::namespace::Namespace;

/// A server that has not answered a good query by then never will.
const LIMIT: Duration = Duration::from_secs(8);

/// Room for any message.
const BUFFER: usize = 1 << 16;

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

    fn kind(&self) -> String {
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

fn id_of(message: &[u8]) -> Option<u16> {
    message.first_chunk().copied().map(u16::from_be_bytes)
}

/// What came back over a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// The replies in order, with their IDs.
    pub replies: Vec<(Option<u16>, Reply)>,
    /// Whether the server closed the connection by itself or at its end.
    pub closed: bool,
}

impl Talk {
    /// Says whether both servers did the same.
    pub fn agrees(&self, other: &Talk) -> bool {
        let pairs = || self.replies.iter().zip(&other.replies);
        self.closed == other.closed
            && self.replies.len() == other.replies.len()
            && pairs().all(|((id, one), (other_id, other))| id == other_id && one.agrees(other))
    }
}

/// Tells of two talks: their kind is that of the first replies that differ, or how they end.
pub fn accounts_of(talks: &[Talk; 2]) -> [Account; 2] {
    let [one, other] = talks;
    let pairs = || one.replies.iter().zip(&other.replies);
    let alike = pairs().take_while(|((id, one), (other_id, other))| id == other_id && one.agrees(other));
    let first = alike.count();
    talks.each_ref().map(|talk| Account {
        kind: match talk.replies.get(first) {
            Some((_, reply)) => reply.kind(),
            None => talk.end().to_owned(),
        },
        full: talk.to_string(),
    })
}

impl Talk {
    fn end(&self) -> &'static str {
        if self.closed { "closed" } else { "kept open" }
    }
}

impl fmt::Display for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, reply) in &self.replies {
            writeln!(f, "{:04x} {reply}", id.unwrap_or_default())?;
        }
        f.write_str(self.end())
    }
}

/// Connects, says everything at once and listens to the end.
pub fn converse(from: &Namespace, server: SocketAddr, conversation: &Conversation) -> Result<Talk> {
    let stream = from.inside(|| TcpStream::connect_timeout(&server, LIMIT))??;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    listen(stream, conversation)
}

fn listen(mut stream: TcpStream, conversation: &Conversation) -> Result<Talk> {
    let (bytes, last) = match &conversation.ending {
        Ending::Probe(probe) => ([conversation.bytes(), frame(probe)].concat(), id_of(probe)),
        Ending::Finish(tail) => ([&conversation.bytes()[..], tail].concat(), None),
    };
    // A server that closes early leaves nothing to write to; what it said before is still to be read.
    let _ = stream.write_all(&bytes);
    if last.is_none() {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut talk = Talk {
        replies: Vec::new(),
        closed: false,
    };
    while let Some(message) = read_message(&mut stream)? {
        let id = id_of(&message);
        if last.is_some() && id == last {
            return Ok(talk);
        }
        talk.replies.push((id, Reply::of(&message)));
    }
    talk.closed = true;
    Ok(talk)
}

/// `None` where the connection has ended, by whatever means.
fn read_message(stream: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    if !fill(stream, &mut length)? {
        return Ok(None);
    }
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    Ok(fill(stream, &mut message)?.then_some(message))
}

fn fill(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<bool> {
    match stream.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("neither a reply nor an end within {LIMIT:?}")),
    }
}

/// How long a server keeps a connection on which nothing more is said.
pub fn time_patience(from: &Namespace, server: SocketAddr, said: &[u8], limit: Duration) -> Result<Duration> {
    let mut stream = from.inside(|| TcpStream::connect_timeout(&server, LIMIT))??;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(said)?;
    let mut start = Instant::now();
    let mut buffer = [0; BUFFER];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(start.elapsed()),
            Ok(_) => start = Instant::now(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(start.elapsed()),
            Err(error) => return Err(error).with_context(|| format!("still open after {limit:?}")),
        }
    }
}
