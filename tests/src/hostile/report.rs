//! What two servers disagree on, by kind: how often, and the first few cases of each in full.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;

use super::meaning::hex;

/// How many disagreements of one kind are told in full.
const TOLD_OF_A_KIND: usize = 2;

/// How many are told in full altogether: making each of them small takes hundreds of questions.
const TOLD: usize = 100;

/// What a server did, in a few words and in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// A few words, the same for all that is alike.
    pub kind: String,
    /// All of it.
    pub full: String,
}

/// Something to tell of: the bytes that were sent, and what CoreDNS and its rival did.
pub type Case = (Vec<u8>, [Account; 2]);

/// The disagreements of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    kinds: BTreeMap<String, Kind>,
}

#[derive(Clone, Debug, Default)]
struct Kind {
    count: usize,
    told: Vec<String>,
}

impl Report {
    /// Counts a disagreement over `transport`; one of the first of its kind is told as the case that `shrink` makes.
    pub fn add(
        &mut self,
        transport: &str,
        accounts: &[Account; 2],
        shrink: impl FnOnce() -> Result<Case>,
    ) -> Result<()> {
        let [coredns, rival] = accounts;
        let told: usize = self.kinds.values().map(|kind| kind.told.len()).sum();
        let name = format!("{transport}: CoreDNS: {}; kxdns: {}", coredns.kind, rival.kind);
        let kind = self.kinds.entry(name).or_default();
        kind.count += 1;
        if kind.told.len() < TOLD_OF_A_KIND && told < TOLD {
            kind.told.push(tell(&shrink()?));
        }
        Ok(())
    }

    /// Says whether there was no disagreement.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

fn tell((bytes, [coredns, rival]): &Case) -> String {
    format!(
        "  {}\n    CoreDNS: {}\n    kxdns:   {}\n",
        hex(bytes),
        coredns.full,
        rival.full
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, kind) in &self.kinds {
            writeln!(f, "{} times {name}\n{}", kind.count, kind.told.concat())?;
        }
        Ok(())
    }
}
