//! What sort of reply a message is: what caches and logs go by.

use domain::base::iana::{Class, Opcode, OptRcode, Rtype};

use super::message::{Message, Record};
use super::rdata::Data;

/// A sort of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is an answer.
    Success,
    /// Others know the answer.
    Delegation,
    /// The name exists, records of the type do not.
    NoData,
    /// The name does not exist.
    NameError,
    /// A failure of the server's.
    ServerFailure,
    /// Another failure.
    OtherFailure,
    /// It is no answer to a question.
    Meta,
}

impl Kind {
    /// The sort of a reply, by what stands in its sections.
    pub(super) fn of(reply: &Message) -> Self {
        let qtype = reply.question.qtype;
        let (starts, refers) = (has(&reply.authority, Rtype::SOA), has(&reply.authority, Rtype::NS));
        match reply.rcode {
            _ if reply.header.opcode() != Opcode::QUERY => Self::Meta,
            _ if matches!(qtype, Rtype::AXFR | Rtype::IXFR) => Self::Meta,
            OptRcode::NOERROR if !reply.answer.is_empty() => Self::Success,
            OptRcode::NXDOMAIN if !reply.answer.is_empty() => Self::OtherFailure,
            OptRcode::NOERROR if starts => Self::NoData,
            OptRcode::NXDOMAIN => Self::NameError,
            OptRcode::SERVFAIL | OptRcode::NOTIMP => Self::ServerFailure,
            OptRcode::NOERROR if refers => Self::Delegation,
            OptRcode::NOERROR => Self::Success,
            _ => Self::OtherFailure,
        }
    }

    /// The sort of a reply to a cache: aliases that lead to no answer are none, where a SOA record says so (RFC 2308, 2.2).
    pub(super) fn to_cache(reply: &Message) -> Self {
        match Self::of(reply) {
            Self::Success if has_soa(reply) && leads_nowhere(reply) => Self::NoData,
            kind => kind,
        }
    }
}

/// Says whether a SOA record tells how long a denial holds.
pub(super) fn has_soa(reply: &Message) -> bool {
    has(&reply.authority, Rtype::SOA)
}

/// Says whether there are records in the answer that do not answer the question.
pub(super) fn leads_nowhere(reply: &Message) -> bool {
    !reply.answer.is_empty() && !answers(reply)
}

/// Says whether the question is answered: at its name, or at the end of the aliases that begin there.
pub(super) fn answers(reply: &Message) -> bool {
    let question = &reply.question;
    let is_of_class = |record: &&Record| question.class == Class::ANY || record.data.class == question.class;
    let records: Vec<_> = reply.answer.iter().filter(is_of_class).collect();
    if reply.rcode != OptRcode::NOERROR {
        return false;
    }
    match question.qtype {
        Rtype::ANY => records.iter().any(|record| is_at(record, &question.name)),
        Rtype::CNAME => matches!(alias(&records, &question.name), Some(Some(_))),
        qtype => last_name(&records, &question.name).is_some_and(|name| {
            let mut records = records.iter();
            records.any(|record| record.data.rtype == qtype && is_at(record, name))
        }),
    }
}

/// The name at the end of the aliases that begin at a name; `None` where they loop or part.
fn last_name<'r>(records: &[&'r Record], mut name: &'r [u8]) -> Option<&'r [u8]> {
    // Without a loop no alias is followed twice.
    for _ in 0..=records.len() {
        match alias(records, name)? {
            Some(target) => name = target,
            None => return Some(name),
        }
    }
    None
}

/// What a name is an alias of, if it is one; `None` where it is one of several.
fn alias<'r>(records: &[&'r Record], name: &[u8]) -> Option<Option<&'r [u8]>> {
    let is_alias = |record: &&&Record| record.data.rtype == Rtype::CNAME && is_at(record, name);
    let mut targets = records.iter().filter(is_alias).map(|record| record.data.as_bytes());
    let first = targets.next();
    let is_first = |target: &[u8]| first.is_some_and(|first| first.eq_ignore_ascii_case(target));
    targets.all(is_first).then_some(first)
}

fn is_at(record: &Record, name: &[u8]) -> bool {
    record.owner.eq_ignore_ascii_case(name)
}

fn has(records: &[Record], rtype: Rtype) -> bool {
    records
        .iter()
        .map(|record| &record.data)
        .any(|data: &Data| data.rtype == rtype)
}
