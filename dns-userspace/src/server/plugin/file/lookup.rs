//! What a zone says to a question (RFC 1034, 4.3.2; RFC 4592; RFC 6672; RFC 4035, 3.1), as CoreDNS's `file` plugin does it.
//!
//! Pure: where an alias leads to what the zone does not know, the caller asks the whole server, and completes the answer.
//!
//! Like CoreDNS, and unlike the standards: a name that only leads to longer ones is answered from a wildcard beside it; a zone
//! of nothing but SOA and NS records denies its own name; ANY is a type that no record has; an alias to a name without records
//! of the type has no SOA record beside it.

use std::collections::BTreeSet;

use domain::base::iana::{OptRcode, Rtype};

use super::zone::{Key, Node, Zone, target};
use crate::name::{MAX_NAME_LEN, Name};
use crate::server::message::{Message, Record};
use crate::server::rdata::Data;
use crate::server::reader::WireName;

/// How many aliases are followed within the zone.
const MAX_ALIASES: usize = 8;

/// A question.
pub(super) struct Asked<'q> {
    name: &'q Name,
    key: Key,
    qtype: Rtype,
    /// Whether the client wants signatures.
    signed: bool,
}

/// What a zone says.
#[derive(Debug)]
pub(super) enum Found {
    /// This.
    Content(Content),
    /// This, and what the server says of another name.
    Elsewhere { answer: Vec<Record>, target: WireName },
}

/// The sections of a reply.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) sort: Sort,
    pub(super) answer: Vec<Record>,
    pub(super) authority: Vec<Record>,
    pub(super) additional: Vec<Record>,
}

/// What sort of reply it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// An answer; without records the name only leads to longer ones.
    Success,
    /// The name does not exist.
    NameError,
    /// The name exists, records of the type do not.
    NoData,
    /// Others know.
    Delegation,
    /// A failure.
    Failure,
    /// A name that a DNAME record makes would be too long.
    TooLong,
}

impl<'q> Asked<'q> {
    pub(super) fn new(name: &'q Name, qtype: Rtype, signed: bool) -> Self {
        let key = Key::of(name.as_wire());
        Self {
            name,
            key,
            qtype,
            signed,
        }
    }
}

impl Content {
    fn new(sort: Sort, answer: Vec<Record>, authority: Vec<Record>, additional: Vec<Record>) -> Self {
        Self {
            sort,
            answer,
            authority,
            additional,
        }
    }

    /// A failure without records.
    fn failure() -> Self {
        Self::new(Sort::Failure, Vec::new(), Vec::new(), Vec::new())
    }
}

impl Zone {
    /// Answers a question for a name in the zone.
    pub(super) fn look_up(&self, asked: &Asked<'_>) -> Found {
        if asked.key == self.origin
            && let Some(content) = self.answer_apex(asked)
        {
            return Found::Content(content);
        }
        let mut wildcard = None;
        let mut node = None;
        for count in self.origin.count()..=asked.key.count() {
            let Some(part) = asked.key.last(count) else { break };
            node = self.node(&part);
            let Some(node) = node else {
                wildcard = self.wildcard_beside(&part).or(wildcard);
                continue;
            };
            let is_whole = part == asked.key;
            if let Some(record) = node.of(Rtype::DNAME).next().filter(|_| !is_whole) {
                return self.substitute(asked, node, record, count);
            }
            if let Some(referral) = self.refer(asked, node, is_whole) {
                return Found::Content(referral);
            }
        }
        if let Some(node) = node {
            return self.answer(asked, node);
        }
        match wildcard.filter(|wildcard| !self.is_nearer(asked, wildcard)) {
            Some(wildcard) => self.expand(asked, &wildcard),
            None => Found::Content(self.deny(asked)),
        }
    }

    /// Completes an answer with what the server says of the name that it leads to.
    pub(super) fn complete(&self, asked: &Asked<'_>, mut answer: Vec<Record>, rest: Option<Message>) -> Content {
        let sort = match &rest {
            None => Sort::Failure,
            Some(rest) => match rest.rcode {
                OptRcode::NXDOMAIN => Sort::NameError,
                OptRcode::SERVFAIL => Sort::Failure,
                OptRcode::NOERROR if rest.answer.is_empty() => Sort::NoData,
                _ => Sort::Success,
            },
        };
        answer.extend(rest.into_iter().flat_map(|rest| rest.answer));
        let authority = match sort {
            Sort::NameError | Sort::NoData => self.apex(Rtype::SOA, asked.signed),
            _ => self.apex(Rtype::NS, asked.signed),
        };
        let additional = self.additional(asked, &answer);
        Content::new(sort, answer, authority, additional)
    }

    /// What stands at the zone's own name, and is no node.
    fn answer_apex(&self, asked: &Asked<'_>) -> Option<Content> {
        let records = |rtype| self.apex(rtype, asked.signed);
        match asked.qtype {
            Rtype::SOA => Some(Content::new(
                Sort::Success,
                records(Rtype::SOA),
                records(Rtype::NS),
                Vec::new(),
            )),
            Rtype::NS => {
                let servers = records(Rtype::NS);
                let glue = self.glue(asked, &servers);
                Some(Content::new(Sort::Success, servers, Vec::new(), glue))
            }
            _ => None,
        }
    }

    /// The wildcard that stands beside a name that does not exist, if there is one; it may only lead to longer names.
    fn wildcard_beside(&self, key: &Key) -> Option<Key> {
        let wildcard = key.parent()?.wildcard();
        let exists = self.node(&wildcard).is_some() || self.leads_on(&wildcard);
        exists.then_some(wildcard)
    }

    /// Whether a name that exists is nearer to the one asked for than a wildcard, which then is none for it (RFC 4592, 3.3.1).
    fn is_nearer(&self, asked: &Asked<'_>, wildcard: &Key) -> bool {
        let mut between = (wildcard.count()..asked.key.count()).filter_map(|count| asked.key.last(count));
        between.any(|key| self.leads_on(&key))
    }

    /// Answers from the records of the name.
    fn answer(&self, asked: &Asked<'_>, node: Node<'_>) -> Found {
        if asked.qtype != Rtype::CNAME && node.of(Rtype::CNAME).next().is_some() {
            return self.follow(asked, node.set(Rtype::CNAME, asked.signed));
        }
        let records = node.set(asked.qtype, asked.signed);
        if node.of(asked.qtype).next().is_none() {
            return Found::Content(self.answer_nothing(asked, node));
        }
        let additional = self.additional(asked, &records);
        let authority = self.apex(Rtype::NS, asked.signed);
        Found::Content(Content::new(Sort::Success, records, authority, additional))
    }

    /// Answers from a wildcard.
    fn expand(&self, asked: &Asked<'_>, wildcard: &Key) -> Found {
        let Some(node) = self.node(wildcard) else {
            let authority = self.apex(Rtype::SOA, asked.signed);
            return Found::Content(Content::new(Sort::NoData, Vec::new(), authority, Vec::new()));
        };
        let expanded = |rtype| {
            let mut records = node.set(rtype, asked.signed);
            for record in &mut records {
                record.owner = asked.name.as_wire().to_vec();
            }
            records
        };
        if asked.qtype != Rtype::CNAME && node.of(Rtype::CNAME).next().is_some() {
            return self.follow(asked, expanded(Rtype::CNAME));
        }
        if node.of(asked.qtype).next().is_none() {
            return Found::Content(self.answer_nothing(asked, node));
        }
        let records = expanded(asked.qtype);
        let additional = self.additional(asked, &records);
        let mut authority = self.apex(Rtype::NS, asked.signed);
        // No longer name exists below the wildcard.
        if let Some((_, before)) = self.before(&asked.key).filter(|_| asked.signed) {
            authority.extend(before.set(Rtype::NSEC, true));
        }
        Found::Content(Content::new(Sort::Success, records, authority, additional))
    }

    /// Says that the name has no records of the type.
    fn answer_nothing(&self, asked: &Asked<'_>, node: Node<'_>) -> Content {
        let mut authority = self.apex(Rtype::SOA, asked.signed);
        if asked.signed {
            authority.extend(node.set(Rtype::NSEC, true));
        }
        Content::new(Sort::NoData, Vec::new(), authority, Vec::new())
    }

    /// Says that the name does not exist, or that it only leads to longer ones.
    fn deny(&self, asked: &Asked<'_>) -> Content {
        let sort = match self.leads_on(&asked.key) {
            true => Sort::Success,
            false => Sort::NameError,
        };
        let mut authority = self.apex(Rtype::SOA, asked.signed);
        if let Some((denying, node)) = self.before(&asked.key).filter(|_| asked.signed) {
            authority.extend(node.set(Rtype::NSEC, true));
            let is_other = |(key, _): &(&Key, _)| *key != denying;
            if sort == Sort::NameError
                && let Some((_, node)) = self.before_wildcard(&asked.key).filter(is_other)
            {
                authority.extend(node.set(Rtype::NSEC, true));
            }
        }
        Content::new(sort, Vec::new(), authority, Vec::new())
    }

    /// The last name that is not behind the wildcard that a name would be expanded from.
    fn before_wildcard(&self, key: &Key) -> Option<(&Key, Node<'_>)> {
        let mut enclosing = (self.origin.count()..=key.count())
            .rev()
            .filter_map(|count| key.last(count));
        let closest = enclosing.find(|key| self.node(key).is_some())?;
        self.before(&closest.wildcard())
    }

    /// Answers by the DNAME record of a node of `count` labels, above the name asked for.
    fn substitute(&self, asked: &Asked<'_>, node: Node<'_>, record: &Record, count: usize) -> Found {
        let mut answer = node.set(Rtype::DNAME, asked.signed);
        let left: Vec<_> = asked.name.labels().take(asked.key.count() - count).collect();
        let mut renamed = WireName::new();
        for label in left {
            renamed.push(label.len() as u8);
            renamed.extend(label);
        }
        renamed.extend(record.data.as_bytes());
        if renamed.len() > MAX_NAME_LEN {
            return Found::Content(Content::new(Sort::TooLong, answer, Vec::new(), Vec::new()));
        }
        if renamed.eq_ignore_ascii_case(asked.name.as_wire()) {
            return Found::Content(Content::failure());
        }
        let alias = Record {
            owner: asked.name.as_wire().to_vec(),
            ttl: record.ttl,
            data: Data::of_name(Rtype::CNAME, &renamed),
        };
        if asked.qtype == Rtype::CNAME {
            answer.push(alias);
            let authority = self.apex(Rtype::NS, asked.signed);
            return Found::Content(Content::new(Sort::Success, answer, authority, Vec::new()));
        }
        match self.follow(asked, vec![alias]) {
            Found::Content(mut content) => {
                answer.append(&mut content.answer);
                Found::Content(Content { answer, ..content })
            }
            Found::Elsewhere {
                answer: aliases,
                target,
            } => {
                answer.extend(aliases);
                Found::Elsewhere { answer, target }
            }
        }
    }

    /// Follows an alias, the first of these records.
    fn follow(&self, asked: &Asked<'_>, mut answer: Vec<Record>) -> Found {
        let mut name = answer.first().and_then(target).unwrap_or_default();
        let mut followed = 0;
        let node = loop {
            let key = Key::of(&name);
            let node = self.node(&key);
            if let Some(referral) = self.refer_below(asked, &key) {
                return Found::Content(Content { answer, ..referral });
            }
            let is_apex = asked.qtype == Rtype::NS || asked.qtype == Rtype::SOA && key == self.origin;
            let Some(node) = node.filter(|_| !is_apex) else {
                return Found::Elsewhere { answer, target: name };
            };
            let alias = node.of(Rtype::CNAME).next();
            let Some(alias) = alias.filter(|_| followed <= MAX_ALIASES) else {
                break node;
            };
            answer.extend(node.set(Rtype::CNAME, asked.signed));
            name = target(alias).unwrap_or_default();
            followed += 1;
        };
        if followed <= MAX_ALIASES {
            answer.extend(node.set(asked.qtype, asked.signed));
        }
        let additional = self.additional(asked, &answer);
        let authority = self.apex(Rtype::NS, asked.signed);
        Found::Content(Content::new(Sort::Success, answer, authority, additional))
    }

    /// The referral that a name gets which an alias leads to, by the first delegation between the zone's name and it.
    fn refer_below(&self, asked: &Asked<'_>, key: &Key) -> Option<Content> {
        (self.origin.count() + 1..=key.count()).find_map(|count| {
            let part = key.last(count)?;
            self.refer(asked, self.node(&part)?, part == *key)
        })
    }

    /// The referral to the servers of a node, if it has some; its DS records stand on this side of the delegation.
    fn refer(&self, asked: &Asked<'_>, node: Node<'_>, is_whole: bool) -> Option<Content> {
        let mut servers: Vec<_> = node.of(Rtype::NS).cloned().collect();
        if servers.is_empty() || asked.qtype == Rtype::DS && is_whole {
            return None;
        }
        let glue = self.glue(asked, &servers);
        if asked.signed {
            servers.extend(node.set(Rtype::DS, true));
        }
        Some(Content::new(Sort::Delegation, Vec::new(), servers, glue))
    }

    /// The addresses of name servers that lie in the zone that they serve.
    fn glue(&self, asked: &Asked<'_>, servers: &[Record]) -> Vec<Record> {
        let servers = servers.iter().filter(|record| record.data.rtype == Rtype::NS);
        let names = servers.filter_map(|record| {
            let key = Key::of(&target(record)?);
            key.is_within(&Key::of(&record.owner)).then_some(key)
        });
        names.flat_map(|key| self.addresses(asked, &key)).collect()
    }

    /// The addresses of names in the zone that an answer leads to, each once.
    fn additional(&self, asked: &Asked<'_>, answer: &[Record]) -> Vec<Record> {
        let leading = [Rtype::SRV, Rtype::MX, Rtype::SVCB, Rtype::HTTPS];
        let mut seen = BTreeSet::new();
        let keys = answer
            .iter()
            .filter(|record| leading.contains(&record.data.rtype))
            .filter_map(|record| Some(Key::of(record.data.first_name()?)))
            .filter(|key| key.is_within(&self.origin) && seen.insert(key.clone()));
        keys.flat_map(|key| self.addresses(asked, &key)).collect()
    }

    fn addresses(&self, asked: &Asked<'_>, key: &Key) -> Vec<Record> {
        let node = self.node(key);
        let sets = node
            .into_iter()
            .flat_map(|node| [Rtype::A, Rtype::AAAA].map(|rtype| node.set(rtype, asked.signed)));
        sets.flatten().collect()
    }
}
