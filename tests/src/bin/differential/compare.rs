//! Whether two replies mean the same, and the few cases in which they need not.

use crate::corefiles::Corefile;
use crate::deviations::{
    is_cached, is_kept_of_the_cluster, is_name_server_in_capitals, is_silence_about_a_cluster,
    is_silence_about_an_address, is_terminating_pod, is_text_of_a_level,
};
use crate::known::Known;
use kxdns_tests::meaning::Reply;
use kxdns_tests::question::Question;

/// Two replies to one question.
pub(crate) struct Case<'a> {
    pub(crate) corefile: &'a Corefile,
    pub(crate) question: &'a Question,
    pub(crate) coredns: &'a Reply,
    pub(crate) other: &'a Reply,
    pub(crate) known: &'a Known,
    /// Whether the same name was asked before, so that a cache may have kept it.
    pub(crate) is_repeated: bool,
    /// Whether both are CoreDNS, which does not differ from itself on purpose.
    pub(crate) is_itself: bool,
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
const DEVIATIONS: [Deviation; 7] = [
    // CoreDNS denies names by TXT that it has by A; a resolver that heeds RFC 8020 would then drop all below.
    Deviation {
        name: "TXT at a level of the tree is NODATA",
        holds: is_text_of_a_level,
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
    // CoreDNS makes a name that it cannot pack, and sends nothing.
    Deviation {
        name: "endpoints whose cluster is not said have SRV records",
        holds: is_silence_about_a_cluster,
    },
    // CoreDNS forgets them at its next start, and not before they are gone; to kxdns they are gone at once.
    Deviation {
        name: "under `pods verified` a terminating Pod has no name",
        holds: is_terminating_pod,
    },
    // CoreDNS's cache counts the TTLs of the cluster's names down, too; kxdns answers them from what it knows now.
    Deviation {
        name: "names of the cluster are never kept",
        holds: is_kept_of_the_cluster,
    },
    // CoreDNS's cache sets AA and counts TTLs down; kxdns asks anew.
    Deviation {
        name: "what CoreDNS caches has the cache's TTL and AA",
        holds: is_cached,
    },
];

/// Compares two replies.
pub(crate) fn compare(case: &Case<'_>) -> Verdict {
    if aspects(case.coredns, case.other).is_empty() || differs_in_a_second(case) {
        return Verdict::Same;
    }
    if case.is_itself {
        return Verdict::Different;
    }
    let deviation = DEVIATIONS.iter().find(|deviation| (deviation.holds)(case));
    deviation.map_or(Verdict::Different, |deviation| Verdict::Deviation(deviation.name))
}

/// Whether both keep the same, and a second has passed between the replies.
fn differs_in_a_second(case: &Case<'_>) -> bool {
    let (Reply::Message(coredns), Reply::Message(other)) = (case.coredns, case.other) else {
        return false;
    };
    let mut aligned = other.clone();
    for (facts, kept) in aligned.sections.iter_mut().zip(&coredns.sections) {
        // Which of two records that differ in their TTL alone comes first does not change with time.
        for (fact, kept) in facts.iter_mut().zip(kept) {
            if fact.ttl.abs_diff(kept.ttl) <= 1 {
                fact.ttl = kept.ttl;
            }
        }
        facts.sort();
    }
    let is_kept = case.corefile.caches() && case.is_repeated;
    is_kept && aspects(case.coredns, &Reply::Message(aligned)).is_empty()
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

/// The question's labels from right to left in lower case, without the zone; `None` outside of all zones.
pub(crate) fn labels_below(question: &Question, zones: &[[&str; 2]]) -> Option<Vec<String>> {
    let labels = question.name.0.iter().rev();
    let lower: Vec<String> = labels
        .map(|label| String::from_utf8_lossy(label).to_ascii_lowercase())
        .collect();
    let (zone, below) = lower.split_at_checked(2)?;
    zones.iter().any(|known| known == zone).then(|| below.to_vec())
}

/// The labels of the cluster's zone, from right to left.
pub(crate) const CLUSTER: [&str; 2] = ["local", "cluster"];

/// Those of the zone that speaks of ServiceImports.
pub(crate) const CLUSTER_SET: [&str; 2] = ["local", "clusterset"];

#[cfg(test)]
mod tests {
    use domain::base::Rtype;
    use domain::base::iana::{Class, OptRcode};
    use kxdns_tests::meaning::{Fact, Meaning};

    use super::*;

    #[test]
    fn a_second_passes_between_kept_replies_alone() {
        for (corefile, ttls, is_repeated, expected) in [
            ("cache", [12, 11], true, Verdict::Same),
            ("cache", [11, 12], true, Verdict::Same),
            ("cache", [12, 12], false, Verdict::Same),
            ("cache", [12, 10], true, Verdict::Different),
            ("cache", [12, 11], false, Verdict::Different),
            ("forward", [12, 11], true, Verdict::Different),
        ] {
            let [coredns, other] = ttls.map(reply);
            let case = Case {
                corefile: Corefile::find(corefile).unwrap(),
                question: &Question::plain("www.example.com", Rtype::A),
                coredns: &coredns,
                other: &other,
                known: &Known::default(),
                is_repeated,
                is_itself: true,
            };
            assert_eq!(compare(&case), expected, "{corefile} {ttls:?} {is_repeated}");
        }
    }

    fn reply(ttl: u32) -> Reply {
        let fact = Fact {
            owner: "www.example.com".to_owned(),
            rtype: Rtype::A,
            class: Class::IN,
            ttl,
            data: "198.51.100.0".to_owned(),
        };
        Reply::Message(Meaning {
            flags: "QR AA".to_owned(),
            truncated: false,
            rcode: OptRcode::NOERROR,
            question: Vec::new(),
            sections: [vec![fact], Vec::new(), Vec::new()],
            opt: None,
        })
    }
}
