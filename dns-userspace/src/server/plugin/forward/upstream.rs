//! One upstream: asking it, and what is known of its health.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use domain::base::Header;
use domain::base::iana::{Class, OptRcode, Rtype};
use tokio::time::{sleep, timeout};

use super::Protocol;
use super::metrics::UpstreamMetrics;
use super::pool::{Connection, Pool};
use crate::corefile::HealthCheck;
use crate::server::message::{MAX_LEN, Message, Question, Unreadable};
use crate::server::query::Query;
use crate::server::reply;

/// How long a check may take.
const CHECK: Duration = Duration::from_secs(1);

/// The shortest time between two checks, whatever the Corefile says, lest they become a flood.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// An upstream.
pub(super) struct Upstream {
    pub(super) pool: Arc<Pool>,
    /// How long one try may take.
    pub(super) patience: Duration,
    pub(super) health_check: HealthCheck,
    /// Over what it is checked.
    pub(super) check_protocol: Protocol,
    /// How many checks have failed since the last that did not.
    pub(super) fails: AtomicU32,
    /// Whether it is being checked.
    pub(super) checking: AtomicBool,
    pub(super) metrics: UpstreamMetrics,
}

/// Why an upstream did not reply. Worded as CoreDNS words it, since operators look for these words.
#[derive(Debug)]
pub(super) struct AskError {
    protocol: Protocol,
    local: Option<SocketAddr>,
    upstream: SocketAddr,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Connecting(io::Error),
    Writing(io::Error),
    Reading(io::Error),
    Silent,
}

impl Upstream {
    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.pool.address()
    }

    /// Whether it has failed more often than this in a row; never if 0.
    pub(super) fn is_down(&self, max_fails: u32) -> bool {
        max_fails > 0 && self.fails.load(Ordering::Relaxed) > max_fails
    }

    /// Asks it, under an ID of its own, and returns its reply under the query's.
    ///
    /// What comes under that ID is its reply; where it is none to the query, the client gets FORMERR.
    pub(super) async fn ask(&self, query: &Query, wanted: Protocol, authentic: bool) -> Result<Message, AskError> {
        let begun = Instant::now();
        let protocol = self.pool.protocol(wanted);
        let mut asked = query.message.clone();
        asked.header.set_id(rand::random());
        asked.header.set_ad(asked.header.ad() || authentic);
        // A signature is one of the bytes that came, under another ID.
        asked.additional.pop_if(|record| record.data.rtype == Rtype::TSIG);
        let bytes = asked.write(MAX_LEN);
        let reply = self.exchange(&bytes, protocol).await?;
        let mut reply = match Message::read(reply.as_ref()) {
            Ok(reply) if replies(&reply, query) => reply,
            // Perhaps the rest comes over TCP.
            Err(Unreadable::Record(header, question)) if protocol == Protocol::Datagrams => truncated(header, question),
            Err(Unreadable::Record(..)) => {
                return Err(self.error(protocol, None, Cause::Reading(io::ErrorKind::InvalidData.into())));
            }
            Ok(_) | Err(Unreadable::Question) => reply::status(query, OptRcode::FORMERR),
        };
        reply.header.set_id(query.message.header.id());
        self.metrics.count_reply(&reply, begun.elapsed());
        Ok(reply)
    }

    /// Sends a query and receives its reply.
    async fn exchange(&self, query: &[u8], protocol: Protocol) -> Result<impl AsRef<[u8]> + use<>, AskError> {
        let mut taken = self.pool.take(protocol);
        loop {
            let is_new = taken.is_none();
            self.metrics.count_connection(protocol, is_new);
            let mut connection = match taken.take() {
                Some(connection) => connection,
                None => self.connect(protocol).await?,
            };
            let local = connection.local_address();
            match timeout(self.patience, converse(&mut connection, query)).await {
                Ok(Ok(reply)) => {
                    self.pool.keep(connection);
                    return Ok(reply);
                }
                // It was closed while it was idle.
                Ok(Err(_)) if !is_new && protocol == Protocol::Stream => {}
                Ok(Err(cause)) => return Err(self.error(protocol, local, cause)),
                Err(_) => return Err(self.error(protocol, local, Cause::Silent)),
            }
        }
    }

    async fn connect(&self, protocol: Protocol) -> Result<Connection, AskError> {
        let connecting = timeout(self.patience, self.pool.connect(protocol)).await;
        connecting
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| self.error(protocol, None, Cause::Connecting(error)))
    }

    fn error(&self, protocol: Protocol, local: Option<SocketAddr>, cause: Cause) -> AskError {
        AskError {
            protocol,
            local,
            upstream: self.address(),
            cause,
        }
    }

    /// Checks it again and again until it replies, unless that is being done. There is never more than one check on its way.
    pub(super) fn check(self: &Arc<Self>) {
        if self.checking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (upstream, interval) = (Arc::downgrade(self), self.health_check.interval.max(MIN_INTERVAL));
        tokio::spawn(async move {
            while let Some(upstream) = upstream.upgrade() {
                if upstream.is_alive().await {
                    upstream.fails.store(0, Ordering::Relaxed);
                    upstream.checking.store(false, Ordering::Release);
                    return;
                }
                upstream.fails.fetch_add(1, Ordering::Relaxed);
                upstream.metrics.count_failed_check();
                drop(upstream);
                sleep(interval).await;
            }
        });
    }

    /// Says whether it replies to a check, whatever it replies.
    async fn is_alive(&self) -> bool {
        let mut query = Query::of_question(Question {
            name: self.health_check.domain.as_wire().to_vec(),
            qtype: Rtype::NS,
            class: Class::IN,
        });
        query.message.header.set_id(rand::random());
        query.message.header.set_rd(self.health_check.recursion_desired);
        let bytes = query.message.write(MAX_LEN);
        let check = async {
            let mut connection = self.pool.connect(self.pool.protocol(self.check_protocol)).await.ok()?;
            converse(&mut connection, &bytes).await.ok()
        };
        matches!(timeout(CHECK, check).await, Ok(Some(_)))
    }
}

async fn converse(connection: &mut Connection, query: &[u8]) -> Result<impl AsRef<[u8]> + use<>, Cause> {
    connection.send(query).await.map_err(Cause::Writing)?;
    connection.receive([query[0], query[1]]).await.map_err(Cause::Reading)
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

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            local,
            upstream,
            cause,
        } = self;
        let step = match cause {
            Cause::Connecting(error) => return write!(f, "dial {protocol} {upstream}: {}", describe("connect", error)),
            Cause::Writing(_) => "write",
            Cause::Reading(_) | Cause::Silent => "read",
        };
        write!(f, "{step} {protocol} ")?;
        if let Some(local) = local {
            write!(f, "{local}->")?;
        }
        match cause {
            Cause::Silent => write!(f, "{upstream}: i/o timeout"),
            Cause::Connecting(error) | Cause::Writing(error) | Cause::Reading(error) => {
                write!(f, "{upstream}: {}", describe(step, error))
            }
        }
    }
}

fn describe(step: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        io::ErrorKind::ConnectionRefused => format!("{step}: connection refused"),
        io::ErrorKind::ConnectionReset => format!("{step}: connection reset by peer"),
        io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => error.to_string(),
    }
}
