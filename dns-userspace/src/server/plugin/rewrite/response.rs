//! A reply, and how the rules that a query came by change it.

use std::ops::RangeInclusive;

use domain::base::iana::{OptRcode, Rtype};

use super::NoName;
use super::options::{Options, Undo};
use crate::corefile::rewrite::{Names, Pattern};
use crate::name::{Text, parse_text};
use crate::server::journal::{Journal, Level};
use crate::server::message::{Message, Record};
use crate::server::plugin::Next;
use crate::server::query::Query;

/// What a rule has to do with a reply.
pub(super) enum Change<'r> {
    /// Names get others.
    Rename(Part, Renaming<'r>),
    /// TTLs come into a range, in seconds.
    Ttl(&'r RangeInclusive<u32>),
    /// The first response code becomes the second.
    Rcode(OptRcode, OptRcode),
    /// Aliases of these names lead to others, made of this text.
    Alias(&'r Names, &'r str),
    /// Options of the OPT record get back what they were.
    Options(Undo),
}

/// Which names of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Owner,
    /// The first in its data, for the types that CoreDNS lists.
    Value,
    All,
}

/// How names get others.
pub(super) enum Renaming<'r> {
    /// Where this is found, this text makes them.
    Pattern(&'r Pattern, &'r str),
    /// The first name, and the end of those below it, becomes the second.
    Name(String, String),
    /// The first end becomes the second.
    Suffix(&'r str, &'r str),
}

/// Who is asked for what aliases lead to.
pub(super) struct Upstream<'a> {
    /// The query as it was asked.
    pub(super) query: &'a Query,
    pub(super) next: Next<'a>,
    pub(super) journal: &'a Journal,
}

/// A reply that is being changed.
pub(super) struct Revision {
    /// Without records.
    message: Message,
    drafts: Vec<Draft>,
    /// Which of them stand in which section.
    sections: [Vec<usize>; 3],
}

/// A record, and its names as texts where something may be done to them: what a rule makes may be a name only after another.
struct Draft {
    record: Record,
    owner: Option<String>,
    value: Option<String>,
}

const ANSWER: usize = 0;
const AUTHORITY: usize = 1;
const ADDITIONAL: usize = 2;

impl Change<'_> {
    /// What is to be undone about options, if that is it.
    pub(super) fn options(&self) -> Option<&Undo> {
        match self {
            Self::Options(undo) => Some(undo),
            _ => None,
        }
    }
}

impl Renaming<'_> {
    fn rename(&self, name: &str) -> Option<String> {
        match self {
            Self::Pattern(pattern, to) => pattern.rewrite(name, to),
            Self::Name(from, to) => {
                let before = name.strip_suffix(from)?;
                (before.is_empty() || before.ends_with('.')).then(|| format!("{before}{to}"))
            }
            Self::Suffix(from, to) => Some(format!("{}{to}", name.strip_suffix(from)?)),
        }
    }
}

impl Revision {
    pub(super) fn of(mut message: Message) -> Self {
        let mut drafts = Vec::new();
        let sections = message.sections_mut().map(|section| {
            let start = drafts.len();
            drafts.extend(section.drain(..).map(Draft::of));
            (start..drafts.len()).collect()
        });
        Self {
            message,
            drafts,
            sections,
        }
    }

    /// Applies all changes to each record, the last first.
    pub(super) async fn make(mut self, changes: &[Change<'_>], upstream: &Upstream<'_>) -> Result<Message, NoName> {
        let is_empty = self.drafts.is_empty();
        for section in [AUTHORITY, ANSWER, ADDITIONAL] {
            for at in self.sections[section].clone() {
                for change in changes.iter().rev() {
                    self.apply(at, change, upstream).await;
                }
            }
        }
        // As in CoreDNS, codes are changed for each record, which matters where several rules do so.
        for change in changes.iter().rev().filter(|_| is_empty) {
            self.change_rcode(change);
        }
        self.finish()
    }

    async fn apply(&mut self, at: usize, change: &Change<'_>, upstream: &Upstream<'_>) {
        let draft = &mut self.drafts[at];
        match change {
            Change::Rename(..) | Change::Ttl(_) if draft.record.is_opt() => {}
            Change::Rename(part, renaming) => draft.rename(*part, renaming),
            Change::Ttl(range) => draft.record.ttl = draft.record.ttl.clamp(*range.start(), *range.end()),
            Change::Rcode(..) => self.change_rcode(change),
            Change::Alias(names, to) => self.redirect(at, names, to, upstream).await,
            Change::Options(undo) => self.undo(undo),
        }
    }

    fn change_rcode(&mut self, change: &Change<'_>) {
        if let Change::Rcode(from, to) = change
            && self.message.rcode == *from
        {
            self.message.rcode = *to;
        }
    }

    fn undo(&mut self, undo: &Undo) {
        let mut additional = self.sections[ADDITIONAL].iter().rev();
        if let Some(&at) = additional.find(|at| self.drafts[**at].record.is_opt()) {
            let record = &mut self.drafts[at].record;
            let mut options = Options::of(record);
            options.undo(undo);
            *record = options.write();
        }
    }

    /// Leads an alias elsewhere: what stands there takes the place of all that stood behind it.
    async fn redirect(&mut self, at: usize, names: &Names, to: &str, upstream: &Upstream<'_>) {
        let Some(target) = self.drafts[at].target().map(str::to_owned) else {
            return;
        };
        let Some(new) = names.rewrite(&target, to) else {
            return;
        };
        let Some(name) = parse_text(&new) else {
            // It is found out when the reply is finished.
            self.drafts[at].value = Some(new);
            return;
        };
        let Some(reply) = upstream.next.resolve(upstream.query, name).await else {
            upstream.journal.write(Level::Error, "upstream lookup returned nil");
            return;
        };
        let mut answer = Vec::new();
        for at in std::mem::take(&mut self.sections[ANSWER]) {
            let Some(found) = self.drafts[at].target() else {
                continue;
            };
            answer.push(at);
            if found == target {
                self.drafts[at].value = Some(new);
                break;
            }
        }
        answer.extend(self.drafts.len()..self.drafts.len() + reply.answer.len());
        self.drafts.extend(reply.answer.into_iter().map(Draft::of));
        self.sections[ANSWER] = answer;
        self.message.header.set_tc(reply.header.tc());
    }

    fn finish(mut self) -> Result<Message, NoName> {
        let mut records: Vec<_> = self.drafts.into_iter().map(Some).collect();
        for (section, places) in self.message.sections_mut().into_iter().zip(self.sections) {
            for draft in places.into_iter().filter_map(|at| records[at].take()) {
                section.push(draft.finish()?);
            }
        }
        Ok(self.message)
    }
}

impl Draft {
    fn of(record: Record) -> Self {
        Self {
            record,
            owner: None,
            value: None,
        }
    }

    fn rename(&mut self, part: Part, renaming: &Renaming<'_>) {
        if part != Part::Value {
            let owner = &self.record.owner;
            let owner = self.owner.get_or_insert_with(|| Text(owner).to_string());
            if let Some(new) = renaming.rename(owner) {
                *owner = new;
            }
        }
        if part != Part::Owner
            && let Some(value) = self.value()
            && let Some(new) = renaming.rename(value)
        {
            *value = new;
        }
    }

    /// The name in its data that rules change, if it has one.
    fn value(&mut self) -> Option<&mut String> {
        let has_value = matches!(
            self.record.data.rtype,
            Rtype::SRV | Rtype::MX | Rtype::CNAME | Rtype::NS | Rtype::DNAME | Rtype::NAPTR | Rtype::SOA | Rtype::PTR
        );
        if self.value.is_none() && has_value {
            self.value = self.record.data.first_name().map(|name| Text(name).to_string());
        }
        self.value.as_mut()
    }

    /// What it is an alias of, if it is one.
    fn target(&mut self) -> Option<&str> {
        match self.record.data.rtype {
            Rtype::CNAME => self.value().map(|value| &**value),
            _ => None,
        }
    }

    fn finish(mut self) -> Result<Record, NoName> {
        let name = |text: String| parse_text(&text).ok_or(NoName(text));
        if let Some(owner) = self.owner {
            self.record.owner = name(owner)?;
        }
        if let Some(value) = self.value {
            self.record.data.set_first_name(&name(value)?);
        }
        Ok(self.record)
    }
}
