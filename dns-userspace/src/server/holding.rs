//! What the kernel is to hold of a name: the server's own replies, written down.

use dns_ebpf::query::MAX_OPT_LEN;
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

/// What replies go through on their way to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// The cache.
    pub cache: Option<Cache>,
    /// The most that a client's OPT record may give as payload size, in bytes: `bufsize`.
    pub payload_limit: Option<u16>,
}

/// What the server replies to a question for a name that comes without OPT record, in the order of its records before they
/// are shuffled.
pub fn hold(passage: &Passage, found: &Found<'_>, qtype: u16) -> Held {
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
    if let Some(cache) = passage.cache.as_ref().filter(|cache| cache.takes(name)) {
        plugin::pass(cache, &query, &mut reply);
    }
    let mut bytes = reply.write(MAX_LEN);
    // The kernel cuts no reply, and lets clients have as long ones as they say.
    let longest = passage.payload_limit.map_or(MAX_LEN, usize::from);
    if bytes.len() + MAX_OPT_LEN > longest {
        return Held::Elsewhere;
    }
    Held::Set {
        bytes: bytes.split_off(HEADER_LEN + name.as_wire().len() + 4),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::object::Reach;
    use crate::zone::testing::{service, sync, table};

    #[test]
    fn what_clients_may_not_ask_for_is_not_held() {
        let mut table = table(&["cluster.local"]);
        let addresses = (1..=50).map(|last| [10, 96, 0, last].into()).collect();
        sync(&mut table, vec![service("web", Reach::ClusterIps(addresses))]);
        let name = Name::parse("web.default.svc.cluster.local").unwrap();
        let found = table.find(&name).unwrap();
        // A header of 12 bytes, a question of 35, 50 addresses of 16, an OPT record with cookie of 23.
        for (payload_limit, is_held) in [(None, true), (Some(870), true), (Some(869), false), (Some(512), false)] {
            let passage = Passage {
                payload_limit,
                ..Passage::default()
            };
            let held = hold(&passage, &found, qtype::A);
            assert_eq!(matches!(held, Held::Set { .. }), is_held, "{payload_limit:?}");
            assert_eq!(held == Held::Elsewhere, !is_held, "{payload_limit:?}");
            assert_eq!(hold(&passage, &found, qtype::AAAA), Held::NoData);
        }
    }
}
