//! `forward`: asks upstream servers, and passes their replies on as they mean them.

mod metrics;
mod pool;
mod tls;
mod upstream;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use domain::base::iana::OptRcode;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rand::seq::SliceRandom as _;
use tokio::time::{Instant, sleep_until, timeout_at};

pub(in crate::server) use self::metrics::ForwardMetrics;
use self::pool::{Limits, Pool, Target};
use self::upstream::{AskError, Upstream};
use super::{Next, Outcome, Plugin, Reply, Serving};
use crate::corefile::{Forward, Policy, Server, UpstreamTransport};
use crate::server::Context;
use crate::server::message::Message;
use crate::server::query::{Query, Transport};
use crate::server::slots::Slots;

/// Its name, as the source of its replies.
pub(super) const NAME: &str = "forward";

/// How long all tries of a query may take together.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often each upstream is tried, unless the Corefile says otherwise.
const ROUNDS: usize = 2;

/// How long an upstream may think before another is asked too.
const HEDGE_AFTER: Duration = Duration::from_millis(250);

/// Of so many queries one may be asked of a second upstream before the first has failed; lest slow upstreams get more to do.
const HEDGE_SHARE: i64 = 10;

/// How many hedges may be saved up.
const HEDGE_BURST: i64 = 20;

/// A `forward` of a server block.
pub(super) struct Forwarding {
    config: Forward,
    upstreams: Vec<Arc<Upstream>>,
    /// Whether another `forward` comes after it in its block.
    has_successor: bool,
    /// How often an upstream was chosen in turn.
    turn: AtomicU32,
    /// How many queries wait.
    waiting: AtomicUsize,
    /// What is left for hedges: each takes `HEDGE_SHARE`, each query gives one.
    hedges: AtomicI64,
    slots: Slots,
    metrics: ForwardMetrics,
}

/// Over what an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Datagrams,
    Stream,
}

/// What to do about what became of a try.
enum Verdict {
    /// Take this reply.
    Take(Message),
    /// Let the next `forward` answer.
    Successor,
    /// Try again; where no try is left, this was the reason.
    Again(Option<AskError>),
    /// Try another upstream, which does not count.
    Another,
}

impl Forwarding {
    /// Sets it up.
    ///
    /// # Errors
    ///
    /// A file of nameservers or for TLS that cannot be read.
    pub(super) fn new(config: &Forward, has_successor: bool, context: &Context) -> Result<Self> {
        let metrics = context.metrics.forward.clone();
        let servers = config.find_servers()?;
        let upstreams = servers
            .iter()
            .map(|server| make_upstream(config, server, &metrics).map(Arc::new));
        Ok(Self {
            upstreams: upstreams.collect::<Result<_>>()?,
            config: config.clone(),
            has_successor,
            turn: AtomicU32::new(0),
            waiting: AtomicUsize::new(0),
            hedges: AtomicI64::new(HEDGE_BURST * HEDGE_SHARE),
            slots: context.slots.clone(),
            metrics,
        })
    }

    /// The upstreams in the order in which they are tried.
    fn order(&self) -> Vec<&Arc<Upstream>> {
        let mut order: Vec<_> = self.upstreams.iter().collect();
        match self.config.policy {
            Policy::Sequential => {}
            Policy::Random => order.shuffle(&mut rand::rng()),
            Policy::RoundRobin => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                let first = turn as usize % order.len().max(1);
                order[..=first].rotate_right(1);
            }
        }
        order
    }

    /// The protocol of a query's first try.
    fn protocol(&self, query: &Query) -> Protocol {
        match (self.config.transport, query.client.transport) {
            (UpstreamTransport::UdpFirst, _) | (UpstreamTransport::AsClient, Transport::Udp) => Protocol::Datagrams,
            (UpstreamTransport::Tcp, _) | (UpstreamTransport::AsClient, Transport::Tcp) => Protocol::Stream,
        }
    }

    /// Asks one upstream.
    async fn attempt(&self, upstream: &Arc<Upstream>, query: &Query, authentic: bool) -> Result<Message, AskError> {
        let protocol = self.protocol(query);
        let reply = upstream.ask(query, protocol, authentic).await?;
        match self.config.transport {
            UpstreamTransport::UdpFirst if reply.header.tc() => upstream.ask(query, Protocol::Stream, authentic).await,
            _ => Ok(reply),
        }
    }

    /// Asks upstreams until one gives an answer that will do, or time or tries run out.
    async fn ask(&self, query: &Query, next: Next<'_>) -> Outcome {
        let order = self.order();
        let mut choice = Choice::new(self, &order);
        let mut tries = self
            .config
            .max_connect_attempts
            .map_or(ROUNDS * order.len(), |most| most as usize);
        if tries == 0 {
            tries = usize::MAX;
        }
        let deadline = Instant::now() + DEADLINE;
        let mut failovers = 0;
        let mut error = None;
        let mut running = FuturesUnordered::new();
        loop {
            if running.is_empty() {
                match choice.next() {
                    Some(upstream) if tries > 0 => running.push(self.run(upstream, query, next.authentic)),
                    _ => break,
                }
            }
            let hedge = sleep_until(Instant::now() + HEDGE_AFTER);
            let result = tokio::select! {
                result = running.next() => result,
                () = hedge, if self.may_hedge(running.len()) => {
                    if let Some(upstream) = choice.next_other() {
                        running.push(self.run(upstream, query, next.authentic));
                    }
                    match timeout_at(deadline, running.next()).await {
                        Ok(result) => result,
                        Err(_) => break,
                    }
                }
                () = sleep_until(deadline) => break,
            };
            let Some((upstream, result)) = result else { break };
            match self.judge(result, &mut failovers) {
                Verdict::Take(message) => return Outcome::Reply(Reply { message, source: NAME }),
                Verdict::Successor => {
                    drop(running);
                    return next.serve(query).await;
                }
                Verdict::Another => {}
                Verdict::Again(failed) => {
                    if self.config.max_fails > 0 {
                        upstream.check();
                    }
                    error = failed.or(error);
                    tries = tries.saturating_sub(1);
                }
            }
        }
        let error = error.map_or_else(|| "no healthy proxies".to_owned(), |error: AskError| error.to_string());
        Outcome::failure(OptRcode::SERVFAIL, error)
    }

    async fn run<'a>(
        &self,
        upstream: &'a Arc<Upstream>,
        query: &Query,
        authentic: bool,
    ) -> (&'a Arc<Upstream>, Result<Message, AskError>) {
        (upstream, self.attempt(upstream, query, authentic).await)
    }

    fn judge(&self, result: Result<Message, AskError>, failovers: &mut usize) -> Verdict {
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => return Verdict::Again(Some(error)),
        };
        let is_in = |codes: &[_]| codes.iter().any(|code| OptRcode::from_rcode(*code) == reply.rcode);
        if is_in(&self.config.failover) {
            *failovers += 1;
            if *failovers < self.upstreams.len() {
                return Verdict::Another;
            }
        }
        let is_nodata = reply.rcode == OptRcode::NOERROR && reply.answer.is_empty();
        if self.has_successor && (is_in(&self.config.next) || self.config.next_on_nodata && is_nodata) {
            return Verdict::Successor;
        }
        Verdict::Take(reply)
    }

    /// Whether another upstream may be asked beside one that is slow. Where their order has a meaning it is kept.
    fn may_hedge(&self, running: usize) -> bool {
        running == 1
            && self.upstreams.len() > 1
            && self.config.policy != Policy::Sequential
            && self.hedges.load(Ordering::Relaxed) >= HEDGE_SHARE
    }
}

impl Plugin for Forwarding {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        if !self.config.takes(query.name()) {
            return next.serve(query);
        }
        Box::pin(async move {
            let _waiting = Waiting::begin(&self.waiting);
            if let Some(most) = self.config.max_concurrent
                && self.waiting.load(Ordering::Relaxed) > most
            {
                self.metrics.count_rejected();
                return Outcome::failure(OptRcode::REFUSED, format!("concurrent queries exceeded maximum {most}"));
            }
            let Some(_slot) = self.slots.take(query.client.address.ip()) else {
                return Outcome::failure(OptRcode::REFUSED, "too many queries wait for upstreams");
            };
            if self.hedges.load(Ordering::Relaxed) < HEDGE_BURST * HEDGE_SHARE {
                self.hedges.fetch_add(1, Ordering::Relaxed);
            }
            self.ask(query, next).await
        })
    }
}

/// A query that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The upstreams of one query, one try after the other: those that are down are passed over, unless all are.
struct Choice<'a> {
    forwarding: &'a Forwarding,
    order: &'a [&'a Arc<Upstream>],
    at: usize,
    /// The last that was chosen.
    last: Option<&'a Arc<Upstream>>,
}

impl<'a> Choice<'a> {
    fn new(forwarding: &'a Forwarding, order: &'a [&'a Arc<Upstream>]) -> Self {
        Self {
            forwarding,
            order,
            at: 0,
            last: None,
        }
    }

    /// The next to try; where all are down, one at random, or none with `failfast_all_unhealthy_upstreams`.
    fn next(&mut self) -> Option<&'a Arc<Upstream>> {
        let config = &self.forwarding.config;
        for _ in self.order {
            let upstream = self.order[self.at % self.order.len()];
            self.at += 1;
            if !upstream.is_down(config.max_fails) {
                self.last = Some(upstream);
                return self.last;
            }
        }
        self.forwarding.metrics.count_all_down();
        let any = rand::random_range(0..self.order.len().max(1));
        self.last = self.order.get(any).copied().filter(|_| !config.failfast);
        self.last
    }

    /// Another than the last that is not down, if there is one; it is taken from what is left for hedges.
    fn next_other(&mut self) -> Option<&'a Arc<Upstream>> {
        let (forwarding, last) = (self.forwarding, self.last?);
        let upstream = self.order[self.at % self.order.len()];
        if Arc::ptr_eq(upstream, last) || upstream.is_down(forwarding.config.max_fails) {
            return None;
        }
        forwarding.hedges.fetch_sub(HEDGE_SHARE, Ordering::Relaxed);
        forwarding.metrics.count_hedge();
        self.next()
    }
}

fn make_upstream(config: &Forward, server: &Server, metrics: &ForwardMetrics) -> Result<Upstream> {
    let tls = match server.tls {
        true => Some(tls::connector(&config.tls, server)?),
        false => None,
    };
    let target = Target {
        address: server.address,
        source: config.source_address,
        tls,
    };
    let limits = Limits {
        expire: config.expire,
        max_age: config.max_age,
        max_idle: config.max_idle_conns,
    };
    Ok(Upstream {
        pool: Arc::new(Pool::new(target, limits)),
        patience: config.read_timeout,
        health_check: config.health_check.clone(),
        check_protocol: match config.transport {
            UpstreamTransport::Tcp => Protocol::Stream,
            UpstreamTransport::AsClient | UpstreamTransport::UdpFirst => Protocol::Datagrams,
        },
        fails: AtomicU32::new(0),
        checking: AtomicBool::new(false),
        metrics: metrics.of_upstream(server.address),
    })
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Datagrams => "udp",
            Self::Stream => "tcp",
        })
    }
}

#[cfg(test)]
mod tests;
