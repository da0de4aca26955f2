//! Talking to a server over TCP, and telling what came of it: replies, and whether the connection was kept.

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::conversation::{Conversation, Ending, frame};
use super::exchange::{BUFFER, LIMIT, Reply, id_of};
use super::report::Account;
use crate::namespace::Namespace;

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
