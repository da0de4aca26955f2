//! Asking upstream servers, and passing their replies on as they came, but for the ID.
//!
//! Like CoreDNS's `forward` with its defaults: the protocol follows the client's, upstreams are tried from a random
//! one on, two seconds each and five in all. It keeps no connections and no record of an upstream's health.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use domain::base::Message;
use domain::base::iana::Rcode;
use futures::{SinkExt as _, StreamExt as _};
use thiserror::Error;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::query::Transport;
use super::tcp;
use crate::name::Name;

/// How long one upstream may take.
const TRY: Duration = Duration::from_secs(2);

/// How long all of them may take together.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often the list of upstreams is gone through.
const ROUNDS: usize = 2;

/// Room for the longest DNS message, in bytes.
const MAX_MESSAGE_LEN: usize = u16::MAX as usize;

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
pub(super) async fn ask(upstreams: &Upstreams, query: &[u8], transport: Transport) -> Result<Vec<u8>, ForwardError> {
    let first = rand::random_range(0..upstreams.addresses.len().max(1));
    ask_from(first, &upstreams.addresses, query, transport).await
}

/// Asks the upstreams, from `first` on.
async fn ask_from(
    first: usize,
    addresses: &[SocketAddr],
    query: &[u8],
    transport: Transport,
) -> Result<Vec<u8>, ForwardError> {
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
async fn exchange(upstream: SocketAddr, query: &[u8], transport: Transport) -> io::Result<Vec<u8>> {
    let mut asked = query.to_vec();
    set_id(&mut asked, rand::random());
    let mut reply = match transport {
        Transport::Udp => exchange_udp(upstream, &asked).await?,
        Transport::Tcp => exchange_tcp(upstream, asked).await?,
    };
    reply[..2].copy_from_slice(&query[..2]);
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
    let mut reply = Vec::with_capacity(MAX_MESSAGE_LEN);
    loop {
        socket.recv_buf(&mut reply).await?;
        if is_reply(&reply, query) {
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
        if is_reply(&reply, &query) {
            return Ok(reply.into());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Says whether a message replies to this query: same ID and question, or no question at all beside an error.
fn is_reply(reply: &[u8], query: &[u8]) -> bool {
    let (Ok(reply), Ok(query)) = (Message::from_slice(reply), Message::from_slice(query)) else {
        return false;
    };
    let is_bare_error = reply.header().qr()
        && reply.header().id() == query.header().id()
        && reply.header().rcode() != Rcode::NOERROR
        && reply.header_counts().qdcount() == 0;
    is_bare_error || reply.is_answer(query)
}

fn set_id(message: &mut [u8], id: u16) {
    message[..2].copy_from_slice(&id.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::testing::*;
    use super::*;

    #[tokio::test]
    async fn passes_query_and_reply_on_unchanged_but_for_their_ids() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (address, seen) = script(transport, |query| vec![strange_reply(query)]).await;
            let query = with_opt(query("WWW.Example.com", 65), 4096, 0x8000, b"\x00\x08\x00\x02\xab\xcd");
            let reply = ask(&upstreams(&[address]), &query, transport).await.unwrap();
            assert_eq!(reply, strange_reply(&query), "{transport:?}");
            let asked = seen.lock().unwrap().remove(0);
            assert_eq!(asked[2..], query[2..], "{transport:?}");
        }
    }

    #[tokio::test]
    async fn asks_under_ids_of_its_own() {
        let (address, seen) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
        for _ in 0..4 {
            ask(&upstreams(&[address]), &query("example.com", 1), Transport::Udp)
                .await
                .unwrap();
        }
        let ids: HashSet<_> = seen.lock().unwrap().iter().map(|query| query[..2].to_vec()).collect();
        assert!(ids.len() > 1, "{ids:?}");
    }

    #[tokio::test]
    async fn ignores_what_does_not_reply_to_its_query() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (address, _) = script(transport, |asked| {
                let mut other_id = strange_reply(asked);
                other_id[0] ^= 1;
                let mut other_question = strange_reply(&query("example.org", 1));
                other_question[..2].copy_from_slice(&asked[..2]);
                let no_question = bare_reply(asked, 0x80);
                vec![
                    asked.to_vec(),
                    b"noise".to_vec(),
                    other_id,
                    other_question,
                    no_question,
                    strange_reply(asked),
                ]
            })
            .await;
            let query = query("example.com", 1);
            let reply = ask(&upstreams(&[address]), &query, transport).await.unwrap();
            assert_eq!(reply, strange_reply(&query), "{transport:?}");
        }
    }

    #[tokio::test]
    async fn takes_an_error_without_a_question() {
        let (address, _) = script(Transport::Udp, |query| vec![bare_reply(query, 0x85)]).await;
        let query = query("example.com", 1);
        let reply = ask(&upstreams(&[address]), &query, Transport::Udp).await.unwrap();
        assert_eq!(reply, bare_reply(&query, 0x85));
    }

    #[tokio::test]
    async fn goes_on_to_the_next_upstream_when_one_is_silent_or_refuses() {
        let (silent, seen) = script(Transport::Udp, |_| vec![]).await;
        let (good, _) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
        let query = query("example.com", 1);
        for first in [silent, closed_port()] {
            let reply = ask_from(0, &[first, good], &query, Transport::Udp).await.unwrap();
            assert_eq!(reply, strange_reply(&query));
        }
        assert_eq!(seen.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn fails_when_every_upstream_has_failed_twice() {
        let closed = closed_port();
        for transport in [Transport::Udp, Transport::Tcp] {
            let failure = ask(&upstreams(&[closed]), &query("example.com", 1), transport)
                .await
                .unwrap_err();
            assert!(
                matches!(failure, ForwardError::Failed(address, _) if address == closed),
                "{failure}"
            );
        }
        let (silent, seen) = script(Transport::Udp, |_| vec![]).await;
        let failure = ask(&upstreams(&[silent]), &query("example.com", 1), Transport::Udp)
            .await
            .unwrap_err();
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
