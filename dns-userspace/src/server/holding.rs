//! What the kernel is to hold of a name: the server's own replies, written down.

use domain::base::iana::{Class, OptRcode, Rtype};

use super::cache;
use super::message::{HEADER_LEN, MAX_LEN, Question};
use super::query::Query;
use super::respond::{Claim, consult};
use crate::corefile::Cache;
use crate::name::Name;
use crate::rules::qtype;
use crate::zone::ZoneTable;

/// What a name has of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The name exists, records of the type do not.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// To this type the name does not exist here, and others are asked.
    FallThrough,
    /// It exists and cannot be written down: it leads to others, or changes with what nobody tells of.
    Elsewhere,
    /// These records.
    Set {
        /// All that stands behind the question.
        bytes: Vec<u8>,
        /// How many records of it belong to the answer section.
        answers: usize,
        /// How many behind those belong to the additional section.
        additionals: usize,
    },
}

/// What the server replies to a question that comes without OPT record, in the order of its records before they are
/// shuffled; `cache` is the one that replies go through.
pub fn hold(zones: &ZoneTable, cache: Option<&Cache>, name: &Name, qtype: u16) -> Held {
    let is_address = [qtype::A, qtype::AAAA].contains(&qtype);
    if is_address
        && !zones
            .alias_targets(name)
            .iter()
            .all(|target| is_followed(zones, target))
    {
        return Held::Elsewhere;
    }
    let query = Query::of_question(Question {
        name: name.as_wire().to_vec(),
        qtype: Rtype::from_int(qtype),
        class: Class::IN,
    });
    let mut reply = match consult(zones, &query) {
        Claim::Reply(reply) => reply,
        Claim::None => return Held::FallThrough,
        Claim::Alias(..) | Claim::Refused => return Held::Elsewhere,
    };
    if let Some(cache) = cache.filter(|cache| cache.takes(name)) {
        cache::pass(cache, &query, &mut reply);
    }
    match (reply.rcode, reply.answer.len()) {
        (OptRcode::NXDOMAIN, _) => Held::NxDomain,
        (OptRcode::NOERROR, 0) => Held::NoData,
        (OptRcode::NOERROR, answers) => Held::Set {
            bytes: reply.write(MAX_LEN).split_off(HEADER_LEN + name.as_wire().len() + 4),
            answers,
            additionals: reply.additional.len(),
        },
        _ => Held::Elsewhere,
    }
}

/// Whether changes of a name that an alias leads to are told: that of a Service or an endpoint. Others have shapes whose
/// names are not written down.
fn is_followed(zones: &ZoneTable, target: &Name) -> bool {
    let located = zones.locate(target);
    located.is_some_and(|(_, labels)| matches!(labels[..], [_, _, b"svc"] | [_, _, _, b"svc"]))
}
