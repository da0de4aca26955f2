//! The server behind both servers under test: it answers every query by a text that says what it was asked.
//!
//! So whatever one of them changes on the way, and the other does not, shows in their replies. It is strict: a query
//! that does not hold what its header promises gets FORMERR.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use anyhow::{Context, Result};
use domain::base::Message;

use super::conversation::frame;
use super::meaning::Meaning;
use super::names::QUESTION_AT;
use super::oddities::bend;
use crate::namespace::Namespace;

const FORMERR: u8 = 1;
const TYPE_TXT: [u8; 2] = [0, 16];
const TYPE_OPT: [u8; 2] = [0, 41];
const TTL: [u8; 4] = [0, 0, 0, 60];
/// So much that every reply fits into a datagram.
const MAX_TEXT: usize = 160;

/// Starts answering at this address of a namespace over UDP and TCP, for as long as the process runs.
pub fn start(namespace: &Namespace, address: SocketAddr) -> Result<()> {
    let socket = namespace.udp_at(address)?;
    let listener = namespace.listen(address)?;
    thread::spawn(move || serve_datagrams(&socket));
    thread::spawn(move || serve_connections(&listener));
    Ok(())
}

fn serve_datagrams(socket: &UdpSocket) -> Result<()> {
    let mut buffer = [0; 1 << 16];
    loop {
        let (length, sender) = socket.recv_from(&mut buffer)?;
        if let Some(reply) = reply(&buffer[..length]) {
            // A client that has given up is of no interest.
            let _ = socket.send_to(&reply, sender);
        }
    }
}

fn serve_connections(listener: &TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        thread::spawn(move || serve_connection(stream));
    }
}

fn serve_connection(mut stream: TcpStream) -> Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut query)?;
        stream.write_all(&frame(&reply(&query).context("no query")?))?;
    }
}

/// The reply to a query; none to what has no question, or asks for an oddity that is none.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let question = query.get(QUESTION_AT..question_end(query)?)?;
    let (rcode, answer, opt) = match Meaning::read(query) {
        Ok(meaning) => (0, answer(&meaning, query), opt(&meaning, question)),
        Err(_) => (FORMERR, Vec::new(), Vec::new()),
    };
    let count = |records: &[u8]| u8::from(!records.is_empty());
    // One upstream is authoritative, another one validates.
    let aa_ad = [0, 0x0400, 0x0020][question.len() % 3];
    let [first, second] = u16::to_be_bytes(aa_ad);
    let flags = [query[2] & 0x79 | 0x80 | first, 0x80 | query[3] & 0x10 | second | rcode];
    let counts = [0, 1, 0, count(&answer), 0, 0, 0, count(&opt)];
    bend([&query[..2], &flags, &counts, question, &answer, &opt].concat())
}

/// Where the question ends, whose name is not compressed: whoever passes a query on has read it.
fn question_end(query: &[u8]) -> Option<usize> {
    let mut at = QUESTION_AT;
    loop {
        match *query.get(at)? {
            0 => return Some(at + 5),
            length @ 1..64 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

/// A TXT record of the question's name: the query's flags, counts and records.
fn answer(query: &Meaning, bytes: &[u8]) -> Vec<u8> {
    let records = describe(bytes).unwrap_or_default();
    let mut text = format!("flags {:04x} counts {:?} records {records}", query.flags, query.counts);
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    let length = text.len() as u8;
    let mut record = vec![0xc0, QUESTION_AT as u8];
    record.extend(TYPE_TXT);
    record.extend([0, 1]);
    record.extend(TTL);
    record.extend([0, length + 1, length]);
    record.extend(text.bytes());
    record
}

/// Type, class and TTL of each record. What CoreDNS makes of data while it passes them on is of no interest.
fn describe(query: &[u8]) -> Option<String> {
    let records = Message::from_slice(query).ok()?.iter().map(|record| {
        let (record, _) = record.ok()?;
        let [rtype, class] = [record.rtype().to_int(), record.class().to_int()];
        Some(format!("{rtype}/{class}/{:x} ", record.ttl().as_secs()))
    });
    records.collect()
}

/// An OPT record where the query has one, but not from every upstream, and from some of them where it has none; some have
/// flags and an option in it.
fn opt(query: &Meaning, question: &[u8]) -> Vec<u8> {
    let asked = query.records[2].iter().any(|record| record.starts_with("OPT "));
    let head = [&[0][..], &TYPE_OPT, &[4, 208, 0, 0]].concat();
    match question.len() % 4 {
        0 if asked => [&head[..], &[0x80, 0, 0, 6, 0, 3, 0, 2, b'i', b'd']].concat(),
        1 => Vec::new(),
        3 if question.len().is_multiple_of(3) => [&head[..], &[0; 4]].concat(),
        _ if asked => [&head[..], &[0; 4]].concat(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::plain_query;
    use super::*;

    #[test]
    fn a_reply_tells_what_was_asked() {
        let reply = Meaning::read(&reply(&plain_query("example.com", 1)).unwrap()).unwrap();
        assert_eq!(reply.flags & 0x800f, 0x8000);
        assert!(
            reply.records[0][0].contains("flags 0100 counts [1, 0, 0, 0]"),
            "{reply}"
        );
    }

    #[test]
    fn a_query_that_promises_too_much_gets_formerr() {
        let mut query = plain_query("example.com", 1);
        query[11] = 1;
        assert_eq!(Meaning::read(&reply(&query).unwrap()).unwrap().flags & 0x800f, 0x8001);
    }
}
