//! `cache`: keeps what upstreams have replied, and gives all replies that come by TTLs within limits.
//!
//! What the agent knows by itself, the cluster's names above all, is never kept: it is answered as it is now.

mod metrics;
mod store;
mod ttl;

use std::sync::Arc;
use std::time::Instant;

use domain::base::iana::OptRcode;
use tokio::time::timeout;

pub(in crate::server) use self::metrics::CacheMetrics;
use self::metrics::Counters;
use self::store::{Item, Key, Store};
pub(in crate::server) use self::ttl::pass;
use super::{Detached, Next, Outcome, Plugin, Reply, Serving, Site, forward, join};
use crate::corefile::{Cache, Stale};
use crate::server::Context;
use crate::server::kind::{self, Kind};
use crate::server::message::Message;
use crate::server::query::{Client, Query};
use crate::server::reply;

const NAME: &str = "cache";

/// The `cache` of a server block.
#[derive(Clone)]
pub(super) struct Caching(Arc<Shared>);

struct Shared {
    config: Cache,
    success: Store,
    denial: Store,
    counters: Counters,
}

/// An item that was found.
struct Hit {
    item: Arc<Item>,
    is_stale: bool,
}

impl Caching {
    pub(super) fn new(config: &Cache, site: &Site, context: &Context) -> Self {
        let zones = match &config.zones[..] {
            [] => site.zones.clone(),
            zones => join(zones),
        };
        let counters = context.metrics.cache.of_cache(&site.server, &zones);
        Self(Arc::new(Shared {
            success: Store::new(config.keeping.success, counters.success.evictions.clone()),
            denial: Store::new(config.keeping.denial, counters.denial.evictions.clone()),
            config: config.clone(),
            counters,
        }))
    }

    /// Answers from what is kept, or by what is next.
    async fn answer(&self, query: &Query, next: Next<'_>) -> Outcome {
        let shared = &*self.0;
        let counters = &shared.counters;
        let now = Instant::now();
        counters.requests.inc();
        let Some(Hit { item, is_stale }) = shared.find(&Key::of(query), now) else {
            counters.misses.inc();
            return shared.refresh(query, next).await;
        };
        if !is_stale {
            if shared.is_due(&item, now) {
                self.renew(query, &item, next.detach(), None);
            }
            return shared.reply(query, &item, now);
        }
        let Some(stale) = &shared.config.keeping.stale else {
            return shared.refresh(query, next).await;
        };
        match stale.verify {
            None => self.renew(query, &item, next.detach(), Some(stale)),
            Some(_) if !item.begin_refresh(stale.recheck) => {}
            Some(patience) => {
                if let Some(outcome) = self.verify(query, &item, next, stale, patience).await {
                    return outcome;
                }
            }
        }
        counters.served_stale.inc();
        answer_with(query, &item, stale.ttl)
    }

    /// Asks for a stale reply anew; `None` where that fails or takes too long.
    async fn verify(
        &self,
        query: &Query,
        item: &Arc<Item>,
        next: Next<'_>,
        stale: &Stale,
        patience: Option<std::time::Duration>,
    ) -> Option<Outcome> {
        let (this, next, query) = (self.clone(), next.detach(), query.clone());
        let (item, stale) = (item.clone(), stale.clone());
        // It goes on where the client does not wait for it.
        let refreshing = tokio::spawn(async move {
            let outcome = this.0.refresh_stale(&query, next.next(), &stale).await;
            item.end_refresh(outcome.is_none().then_some(stale.recheck));
            outcome
        });
        match patience {
            Some(patience) => timeout(patience, refreshing).await.ok()?.ok()?,
            None => refreshing.await.ok()?,
        }
    }

    /// Asks for a reply anew, beside what is going on, unless that is being done; a stale one if it was.
    fn renew(&self, query: &Query, item: &Arc<Item>, next: Detached, stale: Option<&Stale>) {
        if !item.begin_refresh(stale.map(|stale| stale.recheck).unwrap_or_default()) {
            return;
        }
        self.0.counters.prefetches.inc();
        let mut query = query.clone();
        query.client = Client::SERVER;
        let (this, item, stale) = (self.clone(), item.clone(), stale.cloned());
        tokio::spawn(async move {
            let succeeded = match &stale {
                Some(stale) => this.0.refresh_stale(&query, next.next(), stale).await.is_some(),
                None => {
                    this.0.refresh(&query, next.next()).await;
                    true
                }
            };
            if succeeded {
                this.0.inherit(&Key::of(&query), &item);
            }
            item.end_refresh(stale.filter(|_| !succeeded).map(|stale| stale.recheck));
        });
    }
}

impl Shared {
    /// Finds what is kept for a query, be it stale.
    fn find(&self, key: &Key<'_>, now: Instant) -> Option<Hit> {
        let stale = self.config.keeping.stale.as_ref();
        let usable = |item: Arc<Item>| {
            let is_stale = item.is_over(now);
            let may = !is_stale || stale.is_some_and(|stale| !item.is_over_since(now, stale.up_to));
            may.then_some(Hit { item, is_stale })
        };
        if stale.is_some_and(|stale| stale.prefer_positive)
            && let Some(hit) = self.success.get(key).and_then(|item| item.answering()).and_then(usable)
        {
            self.counters.success.hits.inc();
            return Some(hit);
        }
        let (denial, success) = (self.denial.get(key).and_then(usable), || {
            self.success.get(key).and_then(usable)
        });
        let hit = match denial {
            // A failure passes; what is known is better.
            Some(hit) if hit.item.rcode() == OptRcode::SERVFAIL => match success() {
                Some(success) => (&self.counters.success, success),
                None => (&self.counters.denial, hit),
            },
            Some(hit) => (&self.counters.denial, hit),
            None => (&self.counters.success, success()?),
        };
        hit.0.hits.inc();
        Some(hit.1)
    }

    /// Whether an item is asked for often enough, and has little enough time left, to be asked for anew.
    fn is_due(&self, item: &Item, now: Instant) -> bool {
        let Some(prefetch) = &self.config.keeping.prefetch else {
            return false;
        };
        let hits = item.hit(now, prefetch.within);
        let threshold = (item.ttl() * prefetch.percentage).div_ceil(100);
        hits >= prefetch.hits && item.ttl_left(now) <= threshold
    }

    /// Hands the hits of an item on to the one that took its place.
    fn inherit(&self, key: &Key<'_>, old: &Item) {
        if let Some(new) = self.denial.get(key).or_else(|| self.success.get(key)) {
            new.inherit_hits(old);
        }
    }

    fn reply(&self, query: &Query, item: &Item, now: Instant) -> Outcome {
        let ttl = match self.config.keeping.keeps_ttl {
            true => item.ttl(),
            false => item.ttl_left(now),
        };
        answer_with(query, item, ttl)
    }

    /// Asks what is next, and keeps what it replies.
    async fn refresh(&self, query: &Query, next: Next<'_>) -> Outcome {
        let outcome = next.serve(query).await;
        let Outcome::Reply(Reply { mut message, source }) = outcome else {
            return outcome;
        };
        ttl::level(&self.config, &mut message);
        if source == forward::NAME {
            self.keep(query, &message);
        }
        ttl::hide_authentic(query, &mut message);
        Outcome::Reply(Reply { message, source })
    }

    /// The same for a stale reply, whose place only a better one may take (RFC 8767, 4); `None` where there is none.
    async fn refresh_stale(&self, query: &Query, next: Next<'_>, stale: &Stale) -> Option<Outcome> {
        let Outcome::Reply(Reply { mut message, source }) = next.serve(query).await else {
            return None;
        };
        if message.header.tc() {
            return None;
        }
        let is_better = match stale.prefer_positive {
            true => Kind::to_cache(&message) == Kind::Success && kind::answers(&message),
            false => {
                let is_reply = !matches!(Kind::of(&message), Kind::OtherFailure | Kind::Meta);
                is_reply && matches!(message.rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN)
            }
        };
        if !is_better && !stale.prefer_positive {
            return None;
        }
        ttl::level(&self.config, &mut message);
        self.keep(query, &message);
        ttl::hide_authentic(query, &mut message);
        is_better.then_some(Outcome::Reply(Reply { message, source }))
    }

    /// Keeps a reply that has passed, if it is one to be kept.
    fn keep(&self, query: &Query, message: &Message) {
        let kind = Kind::to_cache(message);
        let is_whole = match kind {
            Kind::OtherFailure | Kind::Meta => false,
            Kind::NameError => kind::has_soa(message),
            Kind::Success => kind::has_soa(message) || !kind::leads_nowhere(message),
            Kind::Delegation | Kind::NoData | Kind::ServerFailure => true,
        };
        let ttl = ttl::ttl(&self.config, kind, message);
        if message.header.tc() || !is_whole || ttl == 0 {
            return;
        }
        let keeping = &self.config.keeping;
        let is_within = |zones: &[_]| zones.iter().any(|zone| query.name().is_within(zone));
        let key = Key::of(query);
        let prefers_positive = keeping.stale.as_ref().is_some_and(|stale| stale.prefer_positive);
        match kind {
            Kind::Success | Kind::Delegation if !is_within(&keeping.no_success) => {
                let mut item = Item::new(message, ttl);
                if prefers_positive && !item.answers() {
                    item.remember(self.success.get(&key));
                }
                let answers = item.answers();
                self.success.insert(&key, item);
                if answers || !prefers_positive && query.client == Client::SERVER {
                    self.denial.remove(&key);
                }
            }
            Kind::NoData | Kind::NameError | Kind::ServerFailure if !is_within(&keeping.no_denial) => {
                self.denial.insert(&key, Item::new(message, ttl));
            }
            _ => {}
        }
        self.counters.success.entries.set(self.success.len() as i64);
        self.counters.denial.entries.set(self.denial.len() as i64);
    }
}

/// The reply with what an item says.
fn answer_with(query: &Query, item: &Item, ttl: u32) -> Outcome {
    let mut message = reply::status(query, item.rcode());
    item.fill(&mut message, ttl);
    // As in CoreDNS: some clients want no other.
    message.header.set_aa(true);
    ttl::hide_authentic(query, &mut message);
    Outcome::Reply(Reply { message, source: NAME })
}

impl Plugin for Caching {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let authentic = Next {
            authentic: true,
            ..next
        };
        match self.0.config.takes(query.name()) {
            true => Box::pin(self.answer(query, authentic)),
            false => next.serve(query),
        }
    }
}

#[cfg(test)]
mod tests;
