//! Whether two replies mean the same, and the few cases in which they need not.

use std::collections::BTreeSet;

use domain::base::Rtype;
use domain::base::iana::OptRcode;

use crate::corefiles::Corefile;
use crate::meaning::{Meaning, Reply};
use crate::question::Question;

/// Two replies to one question.
pub(crate) struct Case<'a> {
    pub(crate) corefile: &'a Corefile,
    pub(crate) question: &'a Question,
    pub(crate) coredns: &'a Reply,
    pub(crate) other: &'a Reply,
    /// The names of Pods that are terminating.
    pub(crate) terminating: &'a BTreeSet<String>,
}

/// What the comparison of two replies came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Same,
    /// They differ on purpose, by the deviation of this name.
    Deviation(&'static str),
    Different,
}

/// A difference on purpose.
struct Deviation {
    name: &'static str,
    /// Whether this is such a case.
    holds: fn(&Case<'_>) -> bool,
}

/// All differences on purpose.
const DEVIATIONS: [Deviation; 5] = [
    // CoreDNS denies names by TXT that it has by A; a resolver that heeds RFC 8020 would then drop all below.
    Deviation {
        name: "TXT at a name without records is NODATA",
        holds: is_text_of_the_tree,
    },
    // CoreDNS compares these names byte by byte; a resolver that mixes letter case must not lose them.
    Deviation {
        name: "letter case makes no difference to NS and ns.dns",
        holds: is_name_server_in_capitals,
    },
    // CoreDNS makes a name that it cannot pack, and sends nothing.
    Deviation {
        name: "a slice of no Service has no PTR records",
        holds: is_silence_about_an_address,
    },
    // CoreDNS forgets them at its next start, and not before they are gone; to kxdns they are gone at once.
    Deviation {
        name: "under `pods verified` a terminating Pod has no name",
        holds: is_terminating_pod,
    },
    // CoreDNS's cache sets AA and counts TTLs down, and gives all records of a reply the lowest; kxdns asks anew.
    Deviation {
        name: "what CoreDNS caches has the cache's TTL and AA",
        holds: is_cached,
    },
];

/// Compares two replies.
pub(crate) fn compare(case: &Case<'_>) -> Verdict {
    if aspects(case.coredns, case.other).is_empty() {
        return Verdict::Same;
    }
    let deviation = DEVIATIONS.iter().find(|deviation| (deviation.holds)(case));
    deviation.map_or(Verdict::Different, |deviation| Verdict::Deviation(deviation.name))
}

/// In what the replies differ.
pub(crate) fn aspects(first: &Reply, second: &Reply) -> Vec<&'static str> {
    let (Reply::Message(first), Reply::Message(second)) = (first, second) else {
        return if first == second { vec![] } else { vec!["reply"] };
    };
    let [answer, authority, additional] = [0, 1, 2].map(|section| first.sections[section] != second.sections[section]);
    // Which records are left of a truncated reply is the server's choice.
    let whole = !(first.truncated && second.truncated);
    let all = [
        ("rcode", first.rcode != second.rcode),
        ("flags", first.flags != second.flags),
        ("TC", first.truncated != second.truncated),
        ("question", first.question != second.question),
        ("answer", whole && answer),
        ("authority", whole && authority),
        ("additional", whole && additional),
        ("OPT", first.opt != second.opt),
    ];
    all.into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| name)
        .collect()
}

/// The question's labels from right to left in lower case, without the zone; `None` outside of it.
fn labels_in_zone(question: &Question) -> Option<Vec<String>> {
    let labels = question.name.0.iter().rev();
    let lower: Vec<String> = labels
        .map(|label| String::from_utf8_lossy(label).to_ascii_lowercase())
        .collect();
    lower
        .strip_prefix(&["local".to_owned(), "cluster".to_owned()])
        .map(<[String]>::to_vec)
}

fn is_reverse_zone(question: &Question) -> bool {
    matches!(question.name.lower().as_str(), "in-addr.arpa." | "ip6.arpa.")
}

fn is_text_of_the_tree(case: &Case<'_>) -> bool {
    let level = |labels: Vec<String>| match labels.as_slice() {
        [] => true,
        [first] | [first, _] => first == "svc" || first == "pod",
        _ => false,
    };
    let nodata = |meaning: &Meaning| meaning.rcode == OptRcode::NOERROR && meaning.answer().is_empty();
    case.question.rtype == Rtype::TXT.to_int()
        && (is_reverse_zone(case.question) || labels_in_zone(case.question).is_some_and(level))
        && case.other.meaning().is_some_and(nodata)
}

fn is_name_server_in_capitals(case: &Case<'_>) -> bool {
    let labels = &case.question.name.0;
    let capitals = labels.iter().flatten().any(u8::is_ascii_uppercase);
    let name_server = labels_in_zone(case.question).is_some_and(|labels| match labels.as_slice() {
        [] => case.question.rtype == Rtype::NS.to_int(),
        [first, second] => first == "dns" && second == "ns",
        _ => false,
    });
    let zone = is_reverse_zone(case.question) && case.question.rtype == Rtype::NS.to_int();
    let found = |meaning: &Meaning| meaning.rcode == OptRcode::NOERROR;
    capitals && (name_server || zone) && case.other.meaning().is_some_and(found)
}

fn is_silence_about_an_address(case: &Case<'_>) -> bool {
    let reverse = case.question.name.lower().ends_with(".arpa.");
    reverse && *case.coredns == Reply::Silence && case.other.meaning().is_some()
}

fn is_terminating_pod(case: &Case<'_>) -> bool {
    let name = case.question.name.lower();
    let rcode = |reply: &Reply| reply.meaning().map(|meaning| meaning.rcode);
    case.corefile.has("pods verified")
        && case.terminating.iter().any(|pod| name.ends_with(pod))
        && rcode(case.coredns) == Some(OptRcode::NOERROR)
        && rcode(case.other) == Some(OptRcode::NXDOMAIN)
}

fn is_cached(case: &Case<'_>) -> bool {
    let (Some(coredns), Some(other)) = (case.coredns.meaning(), case.other.meaning()) else {
        return false;
    };
    let alias = coredns.answer().iter().any(|fact| fact.rtype == Rtype::CNAME);
    let outside = labels_in_zone(case.question).is_none();
    // Owners that another client has spelled keep their letter case in the cache, and are then not compressed.
    let truncated = coredns.truncated || other.truncated;
    let same = || {
        let (mut coredns, mut other) = (uncached(coredns), uncached(other));
        if truncated {
            (coredns.truncated, other.truncated) = (true, true);
            (coredns.sections, other.sections) = Default::default();
        }
        coredns == other
    };
    case.corefile.caches() && (alias || outside) && same()
}

/// The reply without what a cache changes.
fn uncached(meaning: &Meaning) -> Meaning {
    let mut plain = meaning.clone();
    plain.flags = plain.flags.replace(" AA", "");
    for fact in plain.sections.iter_mut().flatten() {
        fact.ttl = 0;
    }
    plain.sections.iter_mut().for_each(|facts| facts.sort());
    plain
}
