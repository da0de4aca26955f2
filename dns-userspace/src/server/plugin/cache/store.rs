//! Replies that are kept, up to a number of them, by question.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::base::iana::{Class, OptRcode, Rtype};
use prometheus_client::metrics::counter::Counter;
use quick_cache::{DefaultHashBuilder, Equivalent, Lifecycle, UnitWeighter, sync};

use crate::name::Name;
use crate::server::kind;
use crate::server::message::{Message, Record};
use crate::server::query::Query;

/// Under what a reply is kept: not by client, nor by what it can take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OwnedKey {
    name: Name,
    qtype: Rtype,
    class: Class,
    wants_signatures: bool,
    checks: bool,
}

/// The same, of a query.
#[derive(Hash)]
pub(super) struct Key<'q> {
    name: &'q Name,
    qtype: Rtype,
    class: Class,
    wants_signatures: bool,
    checks: bool,
}

/// Replies by question.
pub(super) struct Store(sync::Cache<OwnedKey, Arc<Item>, UnitWeighter, DefaultHashBuilder, Evictions>);

/// Counts what has to make room.
#[derive(Clone)]
struct Evictions(Counter);

/// A reply that is kept.
pub(super) struct Item {
    rcode: OptRcode,
    is_authentic: bool,
    offers_recursion: bool,
    sections: [Vec<Record>; 3],
    /// Whether it answers its question.
    answers: bool,
    /// What answered it before, where this does not.
    before: Option<Arc<Item>>,
    /// In seconds.
    ttl: u32,
    since: Instant,
    hits: Mutex<Hits>,
    is_refreshed: AtomicBool,
    /// Until then nobody is asked again, since a refresh has failed.
    rest: Mutex<Option<Instant>>,
}

/// How often an item was asked for.
#[derive(Clone, Copy)]
struct Hits {
    count: u32,
    last: Instant,
}

impl<'q> Key<'q> {
    /// The key of a query.
    pub(super) fn of(query: &'q Query) -> Self {
        Self {
            name: query.name(),
            qtype: query.message.question.qtype,
            class: query.message.question.class,
            wants_signatures: query.edns().is_some_and(|edns| edns.wants_signatures()),
            checks: query.message.header.cd(),
        }
    }

    fn to_owned(&self) -> OwnedKey {
        OwnedKey {
            name: self.name.clone(),
            qtype: self.qtype,
            class: self.class,
            wants_signatures: self.wants_signatures,
            checks: self.checks,
        }
    }
}

impl Equivalent<OwnedKey> for Key<'_> {
    fn equivalent(&self, key: &OwnedKey) -> bool {
        self.name == &key.name
            && (self.qtype, self.class) == (key.qtype, key.class)
            && (self.wants_signatures, self.checks) == (key.wants_signatures, key.checks)
    }
}

impl Lifecycle<OwnedKey, Arc<Item>> for Evictions {
    type RequestState = ();

    fn begin_request(&self) {}

    fn on_evict(&self, (): &mut (), _: OwnedKey, _: Arc<Item>) {
        self.0.inc();
    }
}

impl Store {
    /// An empty one, which counts what has to make room once it is full.
    pub(super) fn new(capacity: usize, evictions: Counter) -> Self {
        Self(sync::Cache::with(
            capacity,
            capacity as u64,
            UnitWeighter,
            DefaultHashBuilder::default(),
            Evictions(evictions),
        ))
    }

    pub(super) fn get(&self, key: &Key<'_>) -> Option<Arc<Item>> {
        self.0.get(key)
    }

    pub(super) fn insert(&self, key: &Key<'_>, item: Item) {
        self.0.insert(key.to_owned(), Arc::new(item));
    }

    pub(super) fn remove(&self, key: &Key<'_>) {
        self.0.remove(key);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Item {
    /// An item of a reply without OPT record.
    pub(super) fn new(reply: &Message, ttl: u32) -> Self {
        let since = Instant::now();
        Self {
            rcode: reply.rcode,
            is_authentic: reply.header.ad(),
            offers_recursion: reply.header.ra(),
            sections: [&reply.answer, &reply.authority, &reply.additional].map(Clone::clone),
            answers: kind::answers(reply),
            before: None,
            ttl,
            since,
            hits: Mutex::new(Hits { count: 0, last: since }),
            is_refreshed: AtomicBool::new(false),
            rest: Mutex::new(None),
        }
    }

    /// Writes what it says into a reply.
    pub(super) fn fill(&self, reply: &mut Message, ttl: u32) {
        reply.header.set_ad(self.is_authentic);
        reply.header.set_ra(self.offers_recursion);
        for (section, kept) in reply.sections_mut().into_iter().zip(&self.sections) {
            section.extend(kept.iter().map(|record| Record { ttl, ..record.clone() }));
        }
    }

    pub(super) fn rcode(&self) -> OptRcode {
        self.rcode
    }

    /// The TTL that it was kept with, in seconds.
    pub(super) fn ttl(&self) -> u32 {
        self.ttl
    }

    /// The rest of its TTL, in seconds.
    pub(super) fn ttl_left(&self, now: Instant) -> u32 {
        let age = now.saturating_duration_since(self.since).as_secs();
        self.ttl.saturating_sub(u32::try_from(age).unwrap_or(u32::MAX))
    }

    /// Whether its TTL is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ttl_left(now) == 0
    }

    /// Whether its TTL has been over for so long.
    pub(super) fn is_over_since(&self, now: Instant, time: Duration) -> bool {
        let age = now.saturating_duration_since(self.since);
        age >= Duration::from_secs(self.ttl.into()) + time
    }

    /// Whether it answers its question.
    pub(super) fn answers(&self) -> bool {
        self.answers
    }

    /// It, or what answered its question before.
    pub(super) fn answering(self: Arc<Self>) -> Option<Arc<Self>> {
        match self.answers {
            true => Some(self),
            false => self.before.clone(),
        }
    }

    /// Remembers what answered its question before.
    pub(super) fn remember(&mut self, before: Option<Arc<Self>>) {
        self.before = before.and_then(Self::answering);
    }

    /// Counts a hit, and returns how many there were with no longer than `within` between two.
    pub(super) fn hit(&self, now: Instant, within: Duration) -> u32 {
        let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = now.saturating_duration_since(hits.last) <= within;
        let count = if goes_on { hits.count.saturating_add(1) } else { 1 };
        *hits = Hits { count, last: now };
        count
    }

    /// Takes over how often another was asked for.
    pub(super) fn inherit_hits(&self, old: &Self) {
        let hits = *old.hits.lock().unwrap_or_else(PoisonError::into_inner);
        *self.hits.lock().unwrap_or_else(PoisonError::into_inner) = hits;
    }

    /// Says that it is asked for anew; false where it is already, or nobody is to be asked for a while.
    pub(super) fn begin_refresh(&self, recheck: Duration) -> bool {
        let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = !recheck.is_zero() && rest.is_some_and(|until| Instant::now() < until);
        !rests && !self.is_refreshed.swap(true, Ordering::AcqRel)
    }

    /// Says that it was asked for; after a failure nobody is to be asked for so long.
    pub(super) fn end_refresh(&self, failed: Option<Duration>) {
        let until = failed.map(|recheck| Instant::now() + recheck);
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = until;
        self.is_refreshed.store(false, Ordering::Release);
    }
}
