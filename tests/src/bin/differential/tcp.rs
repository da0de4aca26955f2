//! Questions over TCP: some at once on one connection, and what the end of a connection has cost its reply again on one
//! of its own.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;
use kxdns_tests::dns::{framed, read_framed};
use kxdns_tests::namespace::Namespace;
use kxdns_tests::wait::until;

use kxdns_tests::meaning::Reply;
use kxdns_tests::question::Question;

/// How many questions are on a connection at a time.
const PIPELINED: usize = 16;
const START_LIMIT: Duration = Duration::from_secs(10);
/// Nothing is lost over TCP: what takes longer never comes.
const LIMIT: Duration = Duration::from_millis(2500);

/// The replies to the questions at `places`, by place. What is not there has none.
pub(crate) fn ask(
    namespace: &Namespace,
    server: SocketAddr,
    questions: &[Question],
    places: &[usize],
) -> Result<BTreeMap<usize, Reply>> {
    let connect = || connect(namespace, server);
    let mut replies = BTreeMap::new();
    let mut connection = None;
    for chunk in places.chunks(PIPELINED) {
        let mut open = connection.take().map_or_else(connect, Ok)?;
        match exchange(&mut open, questions, chunk, &mut replies) {
            Ok(()) => connection = Some(open),
            Err(error) if is_silence(&error) => {}
            Err(_) => ask_each(connect, questions, chunk, &mut replies)?,
        }
    }
    Ok(replies)
}

fn ask_each(
    connect: impl Fn() -> Result<TcpStream>,
    questions: &[Question],
    places: &[usize],
    replies: &mut BTreeMap<usize, Reply>,
) -> Result<()> {
    for place in places {
        if !replies.contains_key(place) {
            // Silence is a reply, too.
            let _ = exchange(&mut connect()?, questions, &[*place], replies);
        }
    }
    Ok(())
}

/// Connects as soon as the server listens: it may serve UDP before.
fn connect(namespace: &Namespace, server: SocketAddr) -> Result<TcpStream> {
    let try_once = || namespace.inside(|| TcpStream::connect_timeout(&server, LIMIT));
    let stream = until("a TCP connection", START_LIMIT, || Ok(try_once()?.ok()))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends all and reads a reply to each; fails at the first that does not come.
fn exchange(
    stream: &mut TcpStream,
    questions: &[Question],
    places: &[usize],
    replies: &mut BTreeMap<usize, Reply>,
) -> std::io::Result<()> {
    let mut messages = Vec::new();
    for place in places {
        messages.extend(framed(&questions[*place].to_message(*place as u16)));
    }
    stream.write_all(&messages)?;
    for _ in places {
        let reply = read_framed(stream)?;
        let id = reply.first_chunk().map(|id| u16::from_be_bytes(*id));
        let place = places.iter().find(|place| Some(**place as u16) == id);
        let place = place.ok_or_else(|| Error::other("a reply to nothing"))?;
        replies.insert(*place, Reply::read(&reply));
    }
    Ok(())
}

fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
