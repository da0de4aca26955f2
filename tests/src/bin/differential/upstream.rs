//! The server behind `forward`: it answers names outside of the cluster, the same at every time, by their first label.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use anyhow::{Context, Result, anyhow};
use domain::base::iana::{Class, Rcode};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder};
use domain::base::{Message, MessageBuilder, Name, Rtype, ToName, Ttl};
use domain::rdata::{A, Aaaa, Cname, Mx, Ptr, Soa, Txt};
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::Node;

/// Its address.
pub(crate) const UPSTREAM: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

const TTL: Ttl = Ttl::from_secs(300);
const SMALLEST_LIMIT: u16 = 512;
/// The UDP size that it advertises itself.
const OWN_SIZE: u16 = 1232;

/// Starts it in a namespace of its own, which it lives as long as.
pub(crate) fn start(node: &Node) -> Result<Namespace> {
    let namespace = node.add_neighbour("upstream", UPSTREAM)?;
    let address = SocketAddr::from((UPSTREAM, 53));
    let (socket, listener) = (namespace.udp_at(address)?, namespace.listen(address)?);
    thread::spawn(move || serve_udp(&socket));
    thread::spawn(move || serve_tcp(&listener));
    Ok(namespace)
}

fn serve_udp(socket: &UdpSocket) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if let Ok(reply) = reply(&buffer[..length], None) {
            // Whoever is gone asks no more.
            let _ = socket.send_to(&reply, client);
        }
    }
}

fn serve_tcp(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || serve_connection(stream));
    }
}

fn serve_connection(mut stream: TcpStream) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).ok()?;
        let reply = reply(&query, Some(u16::MAX)).ok()?;
        stream.write_all(&(reply.len() as u16).to_be_bytes()).ok()?;
        stream.write_all(&reply).ok()?;
    }
}

/// The reply to a query, of at most `limit` bytes; of what the query allows unless told.
fn reply(query: &[u8], limit: Option<u16>) -> Result<Vec<u8>> {
    let query = Message::from_octets(query).context("shorter than a header")?;
    let allowed = query
        .opt()
        .map_or(SMALLEST_LIMIT, |opt| opt.udp_payload_size().max(SMALLEST_LIMIT));
    let whole = write(&query, false)?;
    if whole.len() <= usize::from(limit.unwrap_or(allowed)) {
        return Ok(whole);
    }
    write(&query, true)
}

fn write(query: &Message<&[u8]>, cut: bool) -> Result<Vec<u8>> {
    let question = query.sole_question()?;
    let name = question.qname().to_name::<Vec<u8>>();
    let first = name.first().to_string().to_ascii_lowercase();
    let mut builder = MessageBuilder::new_vec().start_answer(query, rcode(&first, &name))?;
    builder.header_mut().set_ra(true);
    builder.header_mut().set_cd(query.header().cd());
    builder.header_mut().set_tc(cut);
    let before = builder.counts().ancount();
    if !cut {
        push(&mut builder, &first, &name, question.qtype(), question.qclass())?;
    }
    let empty = builder.counts().ancount() == before && !cut;
    let mut builder = builder.authority();
    if empty && !matches!(first.as_str(), "servfail" | "refused") {
        builder.push((Name::root_ref(), question.qclass(), TTL, soa()?))?;
    }
    let mut builder = builder.additional();
    push_opt(&mut builder, query)?;
    Ok(builder.finish())
}

fn rcode(first: &str, name: &Name<Vec<u8>>) -> Rcode {
    match first {
        "servfail" => Rcode::SERVFAIL,
        "refused" => Rcode::REFUSED,
        _ if is_absent(first, name) => Rcode::NXDOMAIN,
        _ => Rcode::NOERROR,
    }
}

/// Whether there is no such name: of reverse names there are only those that end with 1.
fn is_absent(first: &str, name: &Name<Vec<u8>>) -> bool {
    first == "nx" || first != "1" && name.to_string().to_ascii_lowercase().ends_with("arpa")
}

type Builder = AnswerBuilder<Vec<u8>>;

fn push(builder: &mut Builder, first: &str, name: &Name<Vec<u8>>, rtype: Rtype, class: Class) -> Result<()> {
    let target: Name<Vec<u8>> = Name::vec_from_str("www.example.com")?;
    let host = match first {
        "servfail" | "refused" | "nodata" => return Ok(()),
        _ if is_absent(first, name) => return Ok(()),
        "alias" => {
            builder.push((name, class, TTL, Cname::new(&target)))?;
            &target
        }
        _ => name,
    };
    match rtype {
        Rtype::A => push_all(
            builder,
            host,
            class,
            (0..number(first)).map(|last| A::new(Ipv4Addr::new(198, 51, 100, last))),
        ),
        Rtype::AAAA => {
            let address = |last| Aaaa::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
            push_all(builder, host, class, (0..u16::from(number(first))).map(address))
        }
        Rtype::TXT => {
            let text = Txt::<Vec<u8>>::build_from_slice(format!("Text of {first}").as_bytes());
            let text = text.map_err(|_| anyhow!("too long a text"))?;
            push_all(builder, host, class, [text])
        }
        Rtype::MX => push_all(builder, host, class, [Mx::new(10, &target), Mx::new(20, host)]),
        Rtype::PTR if first == "1" => push_all(builder, host, class, [Ptr::new(&target)]),
        _ => Ok(()),
    }
}

fn push_all(
    builder: &mut Builder,
    owner: &Name<Vec<u8>>,
    class: Class,
    all: impl IntoIterator<Item: domain::base::rdata::ComposeRecordData>,
) -> Result<()> {
    for data in all {
        builder.push((owner, class, TTL, data))?;
    }
    Ok(())
}

/// How many addresses a name has.
fn number(first: &str) -> u8 {
    match first {
        "many" => 5,
        "big" => 90,
        _ => 1,
    }
}

fn soa() -> Result<Soa<Name<Vec<u8>>>> {
    let name: Name<Vec<u8>> = Name::vec_from_str("root.example")?;
    Ok(Soa::new(name.clone(), name, 7.into(), TTL, TTL, TTL, TTL))
}

fn push_opt(builder: &mut AdditionalBuilder<Vec<u8>>, query: &Message<&[u8]>) -> Result<()> {
    let Some(opt) = query.opt() else { return Ok(()) };
    builder.opt(|reply| {
        reply.set_udp_payload_size(OWN_SIZE);
        reply.set_dnssec_ok(opt.dnssec_ok());
        Ok(())
    })?;
    Ok(())
}
