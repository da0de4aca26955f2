//! Where kxdns deliberately replies otherwise than CoreDNS, and why: nothing else may differ.

use super::meaning::Meaning;

const RCODE: u16 = 0x000f;
const NXDOMAIN: u16 = 3;
const TYPE_NS: &str = " type 2 ";
const TYPE_TXT: &str = " type 16 ";

/// A deliberate deviation.
struct Deviation {
    /// Says whether it explains what CoreDNS and kxdns reply to the same question.
    explains: fn(&Meaning, &Meaning) -> bool,
    /// Why kxdns deviates.
    reason: &'static str,
}

const DEVIATIONS: [Deviation; 2] = [
    Deviation {
        explains: |coredns, kxdns| {
            let denied = coredns.asks(TYPE_TXT) && coredns.rcode() == NXDOMAIN;
            let as_other_types = Meaning {
                flags: coredns.flags & !RCODE,
                ..coredns.clone()
            };
            denied && *kxdns == as_other_types
        },
        reason: "a name that exists without records has no TXT records either: NODATA, as for every other type",
    },
    Deviation {
        explains: |coredns, kxdns| {
            let denied = coredns.rcode() == NXDOMAIN || coredns.has_no_data();
            let name_server = coredns.asks(TYPE_NS) || coredns.asks_below("ns.dns.");
            let answered = kxdns.flags == coredns.flags & !RCODE && !kxdns.records[0].is_empty();
            denied && name_server && coredns.has_upper_case() && answered && kxdns.records[1].is_empty()
        },
        reason: "letter case makes no difference to the name server of a zone (RFC 4343), which resolvers that vary it rely on",
    },
];

/// The reason why these replies of CoreDNS and kxdns to one question differ, if they do so deliberately.
pub fn explain(coredns: &Meaning, kxdns: &Meaning) -> Option<&'static str> {
    let explains = |deviation: &&Deviation| (deviation.explains)(coredns, kxdns);
    let found = DEVIATIONS.iter().find(explains);
    found
        .filter(|_| coredns.questions == kxdns.questions)
        .map(|deviation| deviation.reason)
}

impl Meaning {
    fn rcode(&self) -> u16 {
        self.flags & RCODE
    }

    fn has_no_data(&self) -> bool {
        self.rcode() == 0 && self.records[0].is_empty()
    }

    fn asks(&self, rtype: &str) -> bool {
        self.questions.iter().any(|question| question.contains(rtype))
    }

    fn asks_below(&self, labels: &str) -> bool {
        let begins = |question: &String| question.to_ascii_lowercase().starts_with(labels);
        self.questions.iter().any(begins)
    }

    fn has_upper_case(&self) -> bool {
        let has = |question: &String| question.bytes().any(|byte| byte.is_ascii_uppercase());
        self.questions.iter().any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply with these answers, or with an SOA record.
    fn meaning(rcode: u16, question: &str, answers: &[&str]) -> Meaning {
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let authority = vec!["an SOA record".to_owned(); usize::from(answers.is_empty())];
        Meaning {
            flags: 0x8400 | rcode,
            counts: [1, answers.len() as u16, authority.len() as u16, 0],
            questions: vec![question.to_owned()],
            records: [answers, authority, Vec::new()],
        }
    }

    #[test]
    fn only_what_the_table_says_is_explained() {
        let txt = "svc.cluster.local type 16 class 1";
        let a = "svc.cluster.local type 1 class 1";
        let (upper, lower) = ("Cluster.local type 2 class 1", "cluster.local type 2 class 1");
        let (nxdomain, nodata) = (|asked| meaning(3, asked, &[]), |asked| meaning(0, asked, &[]));
        let answer = |asked| meaning(0, asked, &["an answer"]);
        let without_soa = |mut meaning: Meaning| {
            meaning.records[1].clear();
            meaning
        };
        let without_aa = |meaning: Meaning| Meaning {
            flags: meaning.flags & !0x0400,
            ..meaning
        };
        for (coredns, kxdns, explained) in [
            (nxdomain(txt), nodata(txt), true),
            (nxdomain(a), nodata(a), false),
            (nodata(txt), nxdomain(txt), false),
            (nxdomain(txt), nodata(a), false),
            (nodata(upper), answer(upper), true),
            (nodata(lower), answer(lower), false),
            (answer(upper), nodata(upper), false),
            (nxdomain(txt), without_soa(nodata(txt)), false),
            (nodata(upper), without_aa(answer(upper)), false),
        ] {
            assert_eq!(explain(&coredns, &kxdns).is_some(), explained, "{coredns} and {kxdns}");
        }
    }
}
