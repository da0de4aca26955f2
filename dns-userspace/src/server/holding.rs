//! What the kernel is to hold of a name: the server's own replies, written down.

use domain::base::iana::{Class, Rtype};

use super::message::{HEADER_LEN, MAX_LEN, Question};
use super::plugin;
use super::query::Query;
use super::reply::Setting;
use crate::corefile::Cache;
use crate::name::Name;
use crate::rules::qtype;
use crate::zone::{Content, Found, Said, ZoneTable};

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

/// What the server replies to a question for a name that comes without OPT record, in the order of its records before they
/// are shuffled; `cache` is the one that replies go through.
pub fn hold(cache: Option<&Cache>, found: &Found<'_>, qtype: u16) -> Held {
    let zones = found.table();
    let is_address = [qtype::A, qtype::AAAA].contains(&qtype);
    let are_followed = || found.alias_targets().iter().all(|target| is_followed(zones, target));
    if is_address && !are_followed() {
        return Held::Elsewhere;
    }
    let (zone, content) = match found.ask(qtype) {
        Said::Outside | Said::FallThrough => return Held::FallThrough,
        Said::Refused => return Held::Elsewhere,
        Said::Here { zone, content } => (zone, content),
    };
    // Most of what is asked is nothing, for which no reply has to be made.
    match content {
        Content::NoData => return Held::NoData,
        Content::NxDomain => return Held::NxDomain,
        Content::Failure | Content::Elsewhere { .. } => return Held::Elsewhere,
        Content::Soa | Content::Records(_) => {}
    }
    let name = found.name();
    let query = Query::of_question(Question {
        name: name.as_wire().to_vec(),
        qtype: Rtype::from_int(qtype),
        class: Class::IN,
    });
    let mut reply = Setting::new(&query, zone, zones.primary()).reply(&content);
    if let Some(cache) = cache.filter(|cache| cache.takes(name)) {
        plugin::pass(cache, &query, &mut reply);
    }
    Held::Set {
        bytes: reply.write(MAX_LEN).split_off(HEADER_LEN + name.as_wire().len() + 4),
        answers: reply.answer.len(),
        additionals: reply.additional.len(),
    }
}

/// Whether changes of a name that an alias leads to are told: that of a Service or an endpoint. Others have shapes whose
/// names are not written down.
fn is_followed(zones: &ZoneTable, target: &Name) -> bool {
    let located = zones.locate(target);
    located.is_some_and(|(_, labels)| matches!(labels[..], [_, _, b"svc"] | [_, _, _, b"svc"]))
}
