//! Questions and replies for tests: built and read by the `domain` crate, which the programs under test do not decide.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::AllRecordData;

use crate::namespace::Namespace;

/// The kernel answers a pod long before this.
pub const SILENCE: Duration = Duration::from_millis(2);

const LARGEST_REPLY: usize = 4096;
const ADVERTISED_SIZE: u16 = 1232;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name, fully qualified, with or without the last dot.
    pub name: String,
    /// The type.
    pub rtype: Rtype,
    /// Whether an OPT record goes with it.
    pub edns: bool,
}

impl Question {
    /// Asks for IPv4 addresses.
    pub fn a(name: &str) -> Question {
        Question {
            name: name.to_owned(),
            rtype: Rtype::A,
            edns: false,
        }
    }

    /// Asks for IPv6 addresses.
    pub fn aaaa(name: &str) -> Question {
        Question {
            name: name.to_owned(),
            rtype: Rtype::AAAA,
            edns: false,
        }
    }

    /// The same question with an OPT record.
    pub fn with_edns(self) -> Question {
        Question { edns: true, ..self }
    }

    /// The query as a stub resolver sends it: recursion desired, one question.
    pub fn to_message(&self, id: u16) -> Result<Vec<u8>> {
        let name = Name::<Vec<u8>>::vec_from_str(&self.name).with_context(|| format!("no name: {:?}", self.name))?;
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(id);
        builder.header_mut().set_rd(true);
        let mut builder = builder.question();
        builder.push((&name, self.rtype, Class::IN))?;
        let mut builder = builder.additional();
        if self.edns {
            builder.opt(|opt| {
                opt.set_udp_payload_size(ADVERTISED_SIZE);
                Ok(())
            })?;
        }
        Ok(builder.finish())
    }
}

/// A reply, as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The message's ID.
    pub id: u16,
    /// The response code.
    pub rcode: Rcode,
    /// The AA bit.
    pub authoritative: bool,
    /// The question's name as it came back, letter case kept.
    pub name: String,
    /// The addresses of the answer section.
    pub addresses: Vec<IpAddr>,
    /// The lowest TTL of the answer section.
    pub ttl: Option<u32>,
    /// Whether an OPT record came back.
    pub edns: bool,
}

impl Reply {
    /// Reads a message whole; anything that does not parse is an error.
    pub fn parse(bytes: &[u8]) -> Result<Reply> {
        let message = Message::from_octets(bytes).context("shorter than a header")?;
        ensure!(message.header().qr(), "not a response");
        let question = message.sole_question()?;
        let mut reply = Reply {
            id: message.header().id(),
            rcode: message.header().rcode(),
            authoritative: message.header().aa(),
            name: question.qname().to_string(),
            addresses: Vec::new(),
            ttl: None,
            edns: message.opt().is_some(),
        };
        for record in message.answer()?.limit_to::<AllRecordData<_, _>>() {
            let record = record?;
            let ttl = record.ttl().as_secs();
            reply.ttl = Some(reply.ttl.map_or(ttl, |lowest| lowest.min(ttl)));
            reply.addresses.extend(address_of(record.data()));
        }
        Ok(reply)
    }
}

fn address_of<O, N>(data: &AllRecordData<O, N>) -> Option<IpAddr> {
    match data {
        AllRecordData::A(a) => Some(a.addr().into()),
        AllRecordData::Aaaa(aaaa) => Some(aaaa.addr().into()),
        _ => None,
    }
}

/// Asks once from inside a namespace and returns the reply with the time that it took.
pub fn ask(from: &Namespace, server: SocketAddr, question: &Question, limit: Duration) -> Result<(Reply, Duration)> {
    let socket = from.udp_to(server)?;
    let start = Instant::now();
    let reply = ask_by(&socket, question, 1, limit)?;
    let reply = reply.with_context(|| format!("{server} does not answer {} {}", question.name, question.rtype))?;
    Ok((reply, start.elapsed()))
}

/// Asks once by a connected socket. `None` when nothing with this ID comes back in time.
pub fn ask_by(socket: &UdpSocket, question: &Question, id: u16, limit: Duration) -> Result<Option<Reply>> {
    socket.set_nonblocking(true)?;
    let start = Instant::now();
    // A refusal that an earlier question met is told to the next caller: it is nobody's answer.
    let _ = socket.take_error();
    match socket.send(&question.to_message(id)?) {
        // Where the link layer does not know the server yet, questions wait until the socket has no room for another.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        sent => drop(sent?),
    }
    let mut buffer = [0; LARGEST_REPLY];
    // The wait is a spin: timers of a socket are too coarse for answers that take microseconds.
    while start.elapsed() < limit {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let reply = Reply::parse(&buffer[..length])?;
                if reply.id == id {
                    return Ok(Some(reply));
                }
            }
            Err(error) if is_silence(error.kind()) => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Sends a message over TCP and reads the reply to it.
pub fn exchange_on(stream: &mut TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(&framed(message))?;
    read_framed(stream)
}

/// A message as it goes over TCP, with its length before it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = message.len() as u16;
    [&length.to_be_bytes(), message].concat()
}

/// Reads a message that has its length before it.
pub fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Asks by a connected socket until anybody answers.
pub fn await_reply(socket: &UdpSocket, question: &Question, limit: Duration) -> Result<Reply> {
    let start = Instant::now();
    for id in (1..=u16::MAX).cycle().take_while(|_| start.elapsed() < limit) {
        if let Some(reply) = ask_by(socket, question, id, SILENCE)? {
            return Ok(reply);
        }
    }
    bail!(
        "nobody has answered {} {} within {limit:?}",
        question.name,
        question.rtype
    )
}

fn is_silence(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable, WouldBlock};
    matches!(
        kind,
        WouldBlock | Interrupted | ConnectionRefused | HostUnreachable | NetworkUnreachable
    )
}
