//! Asking upstream servers, and passing their replies on as they mean them.
//!
//! Like CoreDNS's `forward` with its defaults: the protocol follows the client's, upstreams are tried from a random
//! one on, two seconds each and five in all. It keeps no connections and no record of an upstream's health.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use domain::base::Header;
use domain::base::iana::{OptRcode, Rtype};
use futures::{SinkExt as _, StreamExt as _};
use thiserror::Error;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{HEADER_LEN, MAX_LEN, Message, Question, Unreadable};
use super::query::{Query, Transport};
use super::{reply, tcp};
use crate::name::Name;

/// How long one upstream may take.
const TRY: Duration = Duration::from_secs(2);

/// How long all of them may take together.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often the list of upstreams is gone through.
const ROUNDS: usize = 2;

/// The servers that answer for names outside of our zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstreams {
    /// The zone that they answer for.
    pub from: Name,
    /// The zones below those that they do not answer for.
    pub except: Vec<Name>,
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
}

/// Why no upstream replied: what became of the last try.
#[derive(Debug, Error)]
pub(super) enum ForwardError {
    /// There are no upstreams.
    #[error("none is configured")]
    NoUpstream,
    /// This one failed last.
    #[error("{0}: {1}")]
    Failed(SocketAddr, io::Error),
    /// This one was silent for too long.
    #[error("{0}: no reply within {TRY:?}")]
    Silent(SocketAddr),
    /// Time ran out over several.
    #[error("none replied within {DEADLINE:?}")]
    Deadline,
}

impl Upstreams {
    /// Says whether a name is theirs to answer for.
    pub(super) fn serve(&self, name: &Name) -> bool {
        name.is_within(&self.from) && !self.except.iter().any(|zone| name.is_within(zone))
    }
}

/// Asks the upstreams, from a random one on, until one replies.
pub(super) async fn ask(upstreams: &Upstreams, query: &Query, transport: Transport) -> Result<Message, ForwardError> {
    let first = rand::random_range(0..upstreams.addresses.len().max(1));
    ask_from(first, &upstreams.addresses, query, transport).await
}

/// Asks the upstreams, from `first` on.
async fn ask_from(
    first: usize,
    addresses: &[SocketAddr],
    query: &Query,
    transport: Transport,
) -> Result<Message, ForwardError> {
    let tries = async {
        let mut failure = ForwardError::NoUpstream;
        for &address in addresses.iter().cycle().skip(first).take(ROUNDS * addresses.len()) {
            match timeout(TRY, exchange(address, query, transport)).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(error)) => failure = ForwardError::Failed(address, error),
                Err(_) => failure = ForwardError::Silent(address),
            }
        }
        Err(failure)
    };
    timeout(DEADLINE, tries).await.unwrap_or(Err(ForwardError::Deadline))
}

/// Asks one upstream, under an ID of its own, and returns its reply under the query's.
///
/// What comes under that ID is its reply; where it is none to the query, the client gets FORMERR.
async fn exchange(upstream: SocketAddr, query: &Query, transport: Transport) -> io::Result<Message> {
    let mut asked = query.message.clone();
    asked.header.set_id(rand::random());
    // A signature is one of the bytes that came, under another ID.
    asked.additional.pop_if(|record| record.data.rtype == Rtype::TSIG);
    let bytes = asked.write(MAX_LEN);
    let reply = match transport {
        Transport::Udp => exchange_udp(upstream, &bytes).await?,
        Transport::Tcp => exchange_tcp(upstream, bytes).await?,
    };
    let mut reply = match Message::read(&reply) {
        Ok(reply) if replies(&reply, query) => reply,
        // Perhaps the rest comes over TCP.
        Err(Unreadable::Record(header, question)) if transport == Transport::Udp => truncated(header, question),
        Err(Unreadable::Record(..)) => return Err(io::ErrorKind::InvalidData.into()),
        Ok(_) | Err(Unreadable::Question) => reply::status(query, OptRcode::FORMERR),
    };
    reply.header.set_id(query.message.header.id());
    Ok(reply)
}

/// Each query has a socket, hence a port, of its own: a forged reply must guess both port and ID (RFC 5452, 9.2).
async fn exchange_udp(upstream: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match upstream {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(upstream).await?;
    socket.send(query).await?;
    let mut reply = Vec::with_capacity(MAX_LEN);
    loop {
        socket.recv_buf(&mut reply).await?;
        if has_id_of(&reply, query) {
            return Ok(reply);
        }
        reply.clear();
    }
}

async fn exchange_tcp(upstream: SocketAddr, query: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut messages = tcp::frame(TcpStream::connect(upstream).await?);
    let query = Bytes::from(query);
    messages.send(query.clone()).await?;
    while let Some(reply) = messages.next().await {
        let reply = reply?;
        if has_id_of(&reply, &query) {
            return Ok(reply.into());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn has_id_of(reply: &[u8], query: &[u8]) -> bool {
    reply.len() >= HEADER_LEN && reply[..2] == query[..2]
}

/// Says whether a message replies to this query: same name but for letter case, same type and class.
fn replies(reply: &Message, query: &Query) -> bool {
    let (one, other) = (&reply.question, &query.message.question);
    reply.header.qr()
        && one.name.eq_ignore_ascii_case(&other.name)
        && (one.qtype, one.class) == (other.qtype, other.class)
}

/// A reply whose records are lost.
fn truncated(mut header: Header, question: Question) -> Message {
    header.set_tc(true);
    Message::new(header, OptRcode::from_rcode(header.rcode()), question)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::testing::*;
    use super::*;

    fn read(bytes: &[u8]) -> Query {
        Query::read(bytes).unwrap()
    }

    async fn ask_one(address: SocketAddr, query: &[u8], transport: Transport) -> Result<Vec<u8>, ForwardError> {
        let reply = ask(&upstreams(&[address]), &read(query), transport).await?;
        Ok(reply.write(MAX_LEN))
    }

    /// What is sent for a strange reply.
    fn strange(query: &[u8]) -> Vec<u8> {
        Message::read(&strange_reply(query)).unwrap().write(MAX_LEN)
    }

    #[tokio::test]
    async fn passes_query_and_reply_on_unchanged_but_for_their_ids() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (address, seen) = script(transport, |query| vec![strange_reply(query)]).await;
            let query = with_opt(
                query("WWW.Example.com", 65),
                4096,
                0x8000,
                b"\x00\x08\x00\x04\0\x01\0\0",
            );
            let reply = ask_one(address, &query, transport).await.unwrap();
            assert_eq!(reply, strange(&query), "{transport:?}");
            let asked = seen.lock().unwrap().remove(0);
            assert_eq!(asked[2..], query[2..], "{transport:?}");
        }
    }

    #[tokio::test]
    async fn asks_what_was_understood() {
        let (address, seen) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
        let plain = query("a", 1);
        let pointer = [&plain[..12], b"\xc0\x12\0\x01\0\x01\x01a\0"].concat();
        let missing = [&plain[..11], &[1], &plain[12..]].concat();
        let trailing = [&plain[..], b"trailing bytes"].concat();
        let signed = [&missing[..], b"\0\0\xfa\0\xff\0\0\0\0\0\0"].concat();
        for odd in [pointer, missing, trailing, signed] {
            ask_one(address, &odd, Transport::Udp).await.unwrap();
            assert_eq!(seen.lock().unwrap().remove(0)[2..], plain[2..], "{odd:02x?}");
        }
    }

    #[tokio::test]
    async fn asks_under_ids_of_its_own() {
        let (address, seen) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
        for _ in 0..4 {
            ask_one(address, &query("example.com", 1), Transport::Udp)
                .await
                .unwrap();
        }
        let ids: HashSet<_> = seen.lock().unwrap().iter().map(|query| query[..2].to_vec()).collect();
        assert!(ids.len() > 1, "{ids:?}");
    }

    #[tokio::test]
    async fn ignores_what_comes_under_another_id() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (address, _) = script(transport, |asked| {
                let mut other_id = strange_reply(asked);
                other_id[0] ^= 1;
                vec![b"noise".to_vec(), asked[..11].to_vec(), other_id, strange_reply(asked)]
            })
            .await;
            let query = query("example.com", 1);
            let reply = ask_one(address, &query, transport).await.unwrap();
            assert_eq!(reply, strange(&query), "{transport:?}");
        }
    }

    #[tokio::test]
    async fn a_wrong_reply_becomes_formerr() {
        let asked = query("example.com", 1);
        let formerr = [&asked[..2], &[0x81, 1], &asked[4..]].concat();
        let change = |at: usize, byte: u8| {
            move |query: &[u8]| {
                let mut reply = strange_reply(query);
                reply[at] = byte;
                vec![reply]
            }
        };
        for (what, (address, _)) in [
            ("a query", script(Transport::Udp, |query| vec![query.to_vec()]).await),
            ("another name", script(Transport::Udp, change(13, b'x')).await),
            ("another type", script(Transport::Udp, change(26, 28)).await),
            ("another class", script(Transport::Udp, change(28, 3)).await),
            (
                "no question",
                script(Transport::Udp, |query| vec![bare_reply(query, 0x82)]).await,
            ),
            (
                "a header",
                script(Transport::Udp, |query| vec![strange_reply(query)[..12].to_vec()]).await,
            ),
        ] {
            assert_eq!(
                ask_one(address, &asked, Transport::Udp).await.unwrap(),
                formerr,
                "{what}"
            );
        }
    }

    #[tokio::test]
    async fn a_cut_reply_is_truncated_over_udp_and_a_failure_over_tcp() {
        let cut = |query: &[u8]| {
            let reply = strange_reply(query);
            vec![reply[..reply.len() - b" trailing bytes".len() - 1].to_vec()]
        };
        let query = query("example.com", 1);
        let (address, _) = script(Transport::Udp, cut).await;
        let truncated = [&query[..2], &[0x87, 0xf0], &query[4..]].concat();
        assert_eq!(ask_one(address, &query, Transport::Udp).await.unwrap(), truncated);
        let (address, _) = script(Transport::Tcp, cut).await;
        let failure = ask_one(address, &query, Transport::Tcp).await.unwrap_err();
        assert!(matches!(failure, ForwardError::Failed(..)), "{failure}");
    }

    #[tokio::test]
    async fn goes_on_to_the_next_upstream_when_one_is_silent_or_refuses() {
        let (silent, seen) = script(Transport::Udp, |_| vec![]).await;
        let (good, _) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
        let query = query("example.com", 1);
        for first in [silent, closed_port()] {
            let reply = ask_from(0, &[first, good], &read(&query), Transport::Udp)
                .await
                .unwrap();
            assert_eq!(reply.write(MAX_LEN), strange(&query));
        }
        assert_eq!(seen.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn fails_when_every_upstream_has_failed_twice() {
        let closed = closed_port();
        let query = query("example.com", 1);
        for transport in [Transport::Udp, Transport::Tcp] {
            let failure = ask_one(closed, &query, transport).await.unwrap_err();
            assert!(
                matches!(failure, ForwardError::Failed(address, _) if address == closed),
                "{failure}"
            );
        }
        let (silent, seen) = script(Transport::Udp, |_| vec![]).await;
        let failure = ask_one(silent, &query, Transport::Udp).await.unwrap_err();
        assert!(
            matches!(failure, ForwardError::Silent(address) if address == silent),
            "{failure}"
        );
        assert_eq!(seen.lock().unwrap().len(), ROUNDS);
    }

    #[test]
    fn serves_what_is_within_its_zone_and_not_excepted() {
        let name = |text| Name::parse(text).unwrap();
        let (from, except) = (name("example.com"), vec![name("internal.example.com")]);
        let upstreams = Upstreams {
            from,
            except,
            addresses: vec![],
        };
        for (text, expected) in [
            ("example.com", true),
            ("www.Example.COM", true),
            ("badexample.com", false),
            ("com", false),
            (".", false),
            ("internal.example.com", false),
            ("a.internal.example.com", false),
            ("notinternal.example.com", true),
        ] {
            assert_eq!(upstreams.serve(&name(text)), expected, "{text}");
        }
        let all = Upstreams {
            from: name("."),
            except: vec![],
            addresses: vec![],
        };
        assert!(all.serve(&name(".")) && all.serve(&name("example.org")));
    }
}
