//! Questions over TCP: some at once on one connection, and what stays without a reply again on one of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use kxdns_tests::namespace::Namespace;

use crate::ask::SERVER;
use crate::meaning::Reply;
use crate::question::Question;

/// How many questions are on a connection at a time.
const PIPELINED: usize = 16;
const LIMIT: Duration = Duration::from_secs(3);

/// Asks the questions at `places`.
pub(crate) fn ask(
    namespace: &Namespace,
    questions: &[Question],
    places: &[usize],
    replies: &mut [Reply],
) -> Result<()> {
    let mut connection = None;
    for chunk in places.chunks(PIPELINED) {
        let open = connection.take().map_or_else(|| connect(namespace), Ok)?;
        match exchange(open, questions, chunk, replies) {
            Some(open) => connection = Some(open),
            None => ask_each(namespace, questions, chunk, replies)?,
        }
    }
    Ok(())
}

/// Asks each that has no reply by itself: one that the server does not answer may have cost the others theirs.
fn ask_each(namespace: &Namespace, questions: &[Question], places: &[usize], replies: &mut [Reply]) -> Result<()> {
    for place in places {
        if replies[*place] == Reply::Silence {
            // Silence is a reply, too.
            let _ = exchange(connect(namespace)?, questions, &[*place], replies);
        }
    }
    Ok(())
}

fn connect(namespace: &Namespace) -> Result<TcpStream> {
    let stream = namespace.inside(|| TcpStream::connect_timeout(&SERVER, LIMIT))?;
    let stream = stream.context("the server takes no TCP connection")?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends all and reads a reply to each. Gives the connection back if all replies came.
fn exchange(
    mut stream: TcpStream,
    questions: &[Question],
    places: &[usize],
    replies: &mut [Reply],
) -> Option<TcpStream> {
    let mut messages = Vec::new();
    for place in places {
        let message = questions[*place].to_message(*place as u16);
        messages.extend((message.len() as u16).to_be_bytes());
        messages.extend(message);
    }
    stream.write_all(&messages).ok()?;
    for _ in places {
        let reply = read_message(&mut stream)?;
        let id = u16::from_be_bytes(*reply.first_chunk()?);
        let place = places.iter().find(|place| **place as u16 == id)?;
        replies[*place] = Reply::read(&reply);
    }
    Some(stream)
}

fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}
