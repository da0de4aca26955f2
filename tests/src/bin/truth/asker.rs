//! A pod that asks without pause, one question after the other.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use kxdns_tests::client::{Door, Reply};
use kxdns_tests::hostile::random::Random;
use kxdns_tests::namespace::Namespace;

use crate::history::Truth;
use crate::subject::Asked;

/// What takes longer is lost.
const LIMIT: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(100);

/// How many questions a pod asks at most, so that there is room for the replies.
const MOST: usize = 400_000;

/// A question and its reply.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) asked: Asked,
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
    pub(crate) reply: Option<Reply>,
}

impl Entry {
    /// Who has answered.
    pub(crate) fn by(&self) -> &'static str {
        match self.reply.as_ref().map(|reply| reply.by_kernel) {
            None => "nobody",
            Some(true) => "the kernel",
            Some(false) => "the server",
        }
    }
}

/// Asks until the askers are to end.
pub(crate) fn ask(pod: &Namespace, servers: [IpAddr; 2], truth: &Truth, seed: u64) -> Result<Vec<Entry>> {
    let (door, mut random, mut entries) = (Door::open(pod, TICK)?, Random::new(seed), Vec::new());
    while !truth.asked.load(Ordering::Relaxed) && entries.len() < MOST {
        let asked = Asked::pick(&mut random, truth);
        let query = asked.question().to_message(random.word());
        let sent = Instant::now();
        let reply = door.ask(random.pick(servers), &query, LIMIT)?;
        entries.push(Entry {
            asked,
            sent,
            answered: Instant::now(),
            reply,
        });
    }
    Ok(entries)
}
