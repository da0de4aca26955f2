//! The cases in which CoreDNS and kxdns may differ, each as narrow as its reason: both replies have to be the expected
//! ones, so that nothing else hides behind them.

use domain::base::Rtype;
use domain::base::iana::OptRcode;

use crate::compare::{CLUSTER, CLUSTER_SET, Case, labels_below};
use kxdns_tests::meaning::{Fact, Meaning, Reply};
use kxdns_tests::question::Question;

/// The zones, from right to left.
const ZONES: [[&str; 2]; 4] = [CLUSTER, CLUSTER_SET, ["arpa", "in-addr"], ["arpa", "ip6"]];

/// The Service that both servers stand behind.
const KUBE_DNS: &str = "kube-dns.kube-system.svc";

/// CoreDNS denies an existing level of the tree; kxdns says the same, but that it exists.
pub(crate) fn is_text_of_a_level(case: &Case<'_>) -> bool {
    let (Some([coredns, other]), Some(place)) = (messages(case), Place::of(case.question)) else {
        return false;
    };
    let exists = |namespace| case.corefile.exposes(namespace) && case.known.namespaces.contains(namespace);
    let level = match place.labels()[..] {
        [] | ["svc" | "pod"] => true,
        // Reverse zones have no namespaces.
        _ if place.is_reverse() => false,
        ["svc", namespace] => exists(namespace),
        ["pod", namespace] => exists(namespace) && !case.corefile.has("pods disabled"),
        _ => false,
    };
    level
        && case.question.rtype == Rtype::TXT.to_int()
        && framed_alike(coredns, other)
        && denies(coredns, OptRcode::NXDOMAIN, &place.zone)
        && denies(other, OptRcode::NOERROR, &place.zone)
        && coredns.sections == other.sections
}

/// CoreDNS does not know its own name where the question spells the zone in capitals; kxdns says what it says to a
/// question in lower case.
pub(crate) fn is_name_server_in_capitals(case: &Case<'_>) -> bool {
    let (Some([coredns, other]), Some(place)) = (messages(case), Place::of(case.question)) else {
        return false;
    };
    let (zone, rtype) = (&place.zone, Rtype::from_int(case.question.rtype));
    let name_server = format!("ns.dns.{zone}");
    // What was asked in capitals before may come from the cache.
    let cached = case.corefile.caches() && place.is_reverse();
    let mut zone_labels = case.question.name.0.iter().rev().take(2);
    let capitals = cached || zone_labels.any(|label| label.iter().any(u8::is_ascii_uppercase));
    let denied = |rcode| framed_alike(coredns, other) && denies(coredns, rcode, zone);
    capitals
        && match place.labels()[..] {
            [] => rtype == Rtype::NS && denied(OptRcode::NOERROR) && tells_name_servers(other, zone),
            ["dns", "ns"] => {
                (denied(OptRcode::NXDOMAIN) || is_forwarded(case, coredns, zone))
                    && tells_addresses(other, &name_server, rtype, zone)
            }
            // An alias of it.
            _ => denied(OptRcode::NOERROR) && leads_to(other, &name_server, rtype),
        }
}

/// CoreDNS makes a name that it cannot pack, of a slice that belongs to no Service; kxdns says what other slices say.
pub(crate) fn is_silence_about_an_address(case: &Case<'_>) -> bool {
    let (Some(other), Some(Place { zone, .. })) = (case.other.meaning(), Place::of(case.question)) else {
        return false;
    };
    let name = case.question.name.lower();
    // Up to three labels left of the nibbles are overlooked.
    let is_extra = |extra: &str| zone == "ip6.arpa" && extra.ends_with('.') && extra.matches('.').count() <= 3;
    let is_of = |address: &String| {
        let extra = name.strip_suffix(address.as_str());
        extra.is_some_and(|extra| extra.is_empty() || is_extra(extra))
    };
    let services = format!(".svc.{}", case.corefile.primary());
    let is_of_a_service = |fact: &Fact| fact.rtype == Rtype::PTR && target(fact).ends_with(&services);
    let named = other.rcode == OptRcode::NOERROR && !other.answer().is_empty();
    case.question.rtype == Rtype::PTR.to_int()
        && case.known.nameless.iter().any(is_of)
        && *case.coredns == Reply::Silence
        && (named && other.answer().iter().all(is_of_a_service)
            || denies(other, OptRcode::NXDOMAIN, &zone)
            || is_forwarded(case, other, &zone))
}

/// CoreDNS makes names that it cannot pack, of endpoints whose cluster is not said; kxdns names them without one.
pub(crate) fn is_silence_about_a_cluster(case: &Case<'_>) -> bool {
    let Some(other) = case.other.meaning() else {
        return false;
    };
    let name = case.question.name.lower();
    let is_at = |import: &String| {
        let target_is_below = |fact: &Fact| fact.rtype == Rtype::SRV && format!("{}.", target(fact)).ends_with(import);
        name.ends_with(import) && other.answer().iter().all(target_is_below)
    };
    case.question.rtype == Rtype::SRV.to_int()
        && *case.coredns == Reply::Silence
        && other.rcode == OptRcode::NOERROR
        // All of them may be too many.
        && (other.truncated || !other.answer().is_empty())
        && case.known.clusterless.iter().any(is_at)
}

/// CoreDNS still knows a Pod that is terminating; kxdns denies it, or does not count it among those that share an address.
pub(crate) fn is_terminating_pod(case: &Case<'_>) -> bool {
    let Some([coredns, other]) = messages(case) else {
        return false;
    };
    let Some(place) = Place::of(case.question) else {
        return false;
    };
    let name = case.question.name.lower();
    let is_of = |pod: &String| {
        let pod = &pod.replace(".cluster.local.", &format!(".{}.", place.zone));
        let extra = name.strip_suffix(pod.as_str());
        extra.is_some_and(|extra| extra.is_empty() || extra.ends_with('.'))
    };
    let is_less = denies(other, OptRcode::NXDOMAIN, &place.zone) || differs_in_weight(coredns, other);
    case.corefile.has("pods verified")
        && case.known.terminating.iter().any(is_of)
        && coredns.rcode == OptRcode::NOERROR
        && (is_forwarded(case, other, &place.zone) || (framed_alike(coredns, other) && is_less))
}

/// Whether both replies are one SRV record, which has less weight in the first.
fn differs_in_weight(one: &Meaning, other: &Meaning) -> bool {
    let weight = |meaning: &Meaning| match meaning.answer() {
        [srv] if srv.rtype == Rtype::SRV => srv.data.split(' ').nth(1)?.parse::<u16>().ok(),
        _ => None,
    };
    let rest = |meaning: &Meaning| {
        let [answer, authority, additional] = meaning.sections.clone();
        let weightless = |fact: &Fact| {
            (
                fact.owner.clone(),
                fact.ttl,
                fact.data.split(' ').skip(2).collect::<String>(),
            )
        };
        (answer.iter().map(weightless).collect::<Vec<_>>(), authority, additional)
    };
    other.rcode == OptRcode::NOERROR && weight(one) < weight(other) && weight(one).is_some() && rest(one) == rest(other)
}

/// CoreDNS says what it kept of the same reply about the cluster; kxdns says it anew.
pub(crate) fn is_kept_of_the_cluster(case: &Case<'_>) -> bool {
    // What fell through is the upstream's.
    let is_own = |meaning: &Meaning| !meaning.flags.contains("RA");
    labels_below(case.question, &ZONES).is_some() && case.other.meaning().is_some_and(is_own) && is_kept(case)
}

/// CoreDNS says what it kept of the same reply: authoritative, later, and to a NOTIFY without RD.
pub(crate) fn is_cached(case: &Case<'_>) -> bool {
    let Some(coredns) = case.coredns.meaning() else {
        return false;
    };
    let is_alias = coredns.answer().iter().any(|fact| fact.rtype == Rtype::CNAME);
    let is_outside = is_alias || labels_below(case.question, &[CLUSTER]).is_none();
    case.corefile.name == "kubeadm" && is_outside && is_kept(case)
}

/// Whether CoreDNS's reply is what a cache makes of the other one.
fn is_kept(case: &Case<'_>) -> bool {
    let Some([coredns, other]) = messages(case) else {
        return false;
    };
    case.corefile.caches()
        && is_kept_of(&coredns.flags, &other.flags)
        && (coredns.rcode, &coredns.question, &coredns.opt) == (other.rcode, &other.question, &other.opt)
        && tells_the_same_later(coredns, other)
}

/// Whether these flags are what a cache makes of the others.
fn is_kept_of(kept: &str, fresh: &str) -> bool {
    let without = |flag: &str, flags: &str| flags.replace(flag, "");
    let [kept_rest, fresh_rest] = [kept, fresh].map(|flags| match flags.contains("opcode") {
        true => without(" AA", &without(" RD", flags)),
        false => without(" AA", flags),
    });
    let is_authoritative = kept.contains(" AA") || !fresh.contains(" AA");
    kept_rest == fresh_rest && is_authoritative
}

/// Whether a reply has the same records as another one, and no TTL that is higher. Owners that another client has spelled
/// stay as they are in a cache, and then fewer records fit.
fn tells_the_same_later(kept: &Meaning, fresh: &Meaning) -> bool {
    let is_in = |facts: &[Fact], wanted: &Fact| {
        facts.iter().any(|fact| {
            (&fact.owner, fact.rtype, fact.class, &fact.data)
                == (&wanted.owner, wanted.rtype, wanted.class, &wanted.data)
        })
    };
    // To a NOTIFY a cache says what it kept of a query, whose TTLs are another matter.
    let counts_down = !kept.flags.contains("opcode");
    let mut sections = kept.sections.iter().zip(&fresh.sections);
    sections.all(|(kept_facts, fresh_facts)| {
        let highest = fresh_facts.iter().map(|fact| fact.ttl).max().unwrap_or_default();
        let later = |fact: &Fact| !counts_down || fact.ttl <= highest;
        let is_complete = kept.truncated || fresh_facts.iter().all(|fact| is_in(kept_facts, fact));
        let is_right = fresh.truncated || kept_facts.iter().all(|fact| is_in(fresh_facts, fact) && later(fact));
        is_complete && is_right
    })
}

/// Where a question's name stands.
struct Place {
    zone: String,
    /// The labels left of the zone, from right to left.
    labels: Vec<String>,
}

impl Place {
    /// `None` outside of all zones.
    fn of(question: &Question) -> Option<Place> {
        ZONES.iter().find_map(|&[last, first]| {
            Some(Place {
                zone: format!("{first}.{last}"),
                labels: labels_below(question, &[[last, first]])?,
            })
        })
    }

    fn labels(&self) -> Vec<&str> {
        self.labels.iter().map(String::as_str).collect()
    }

    fn is_reverse(&self) -> bool {
        self.zone.ends_with("arpa")
    }
}

/// CoreDNS's reply and the other one, where there are both.
fn messages<'a>(case: &Case<'a>) -> Option<[&'a Meaning; 2]> {
    Some([case.coredns.meaning()?, case.other.meaning()?])
}

/// Whether all is the same but the rcode and the records.
fn framed_alike(one: &Meaning, other: &Meaning) -> bool {
    let frame = |meaning: &Meaning| (meaning.flags.clone(), meaning.question.clone(), meaning.opt.clone());
    frame(one) == frame(other)
}

/// Whether it is the upstream's, which may say anything to names that fall through.
fn is_forwarded(case: &Case<'_>, meaning: &Meaning, zone: &str) -> bool {
    case.corefile.falls_through(zone) && meaning.flags.contains("RA")
}

/// Whether a reply has this rcode, and nothing else but the zone's SOA record.
fn denies(meaning: &Meaning, rcode: OptRcode, zone: &str) -> bool {
    let is_soa = |fact: &Fact| fact.rtype == Rtype::SOA && fact.owner == zone;
    let [answer, authority, additional] = &meaning.sections;
    meaning.rcode == rcode
        && answer.is_empty()
        && matches!(&authority[..], [soa] if is_soa(soa))
        && additional.is_empty()
        && !meaning.truncated
}

/// Whether it is the zone's name servers, each with its addresses.
fn tells_name_servers(meaning: &Meaning, zone: &str) -> bool {
    let [answer, authority, additional] = &meaning.sections;
    let names = [format!("{KUBE_DNS}.{zone}"), format!("ns.dns.{zone}")];
    let told = |name: &String| {
        let is_it = |fact: &Fact| fact.owner == zone && fact.rtype == Rtype::NS && target(fact) == name;
        let is_its = |fact: &Fact| fact.owner == *name && is_address(fact.rtype);
        matches!(&answer[..], [fact] if is_it(fact)) && additional.iter().all(is_its)
    };
    meaning.rcode == OptRcode::NOERROR && authority.is_empty() && !additional.is_empty() && names.iter().any(told)
}

/// Whether it is the addresses of a name, of the family asked for, or says that there is nothing else at it.
fn tells_addresses(meaning: &Meaning, name: &str, rtype: Rtype, zone: &str) -> bool {
    let is_its = |fact: &Fact| fact.owner == name && fact.rtype == rtype && is_address(rtype);
    let [answer, authority, additional] = &meaning.sections;
    let bare = authority.is_empty() && additional.is_empty();
    let told = meaning.rcode == OptRcode::NOERROR && bare && !answer.is_empty() && answer.iter().all(is_its);
    meaning.flags.contains("AA") && (told || denies(meaning, OptRcode::NOERROR, zone))
}

/// Whether it is one or more aliases and the addresses of the name that they lead to.
fn leads_to(meaning: &Meaning, name: &str, rtype: Rtype) -> bool {
    let (aliases, rest): (Vec<&Fact>, Vec<&Fact>) =
        meaning.answer().iter().partition(|fact| fact.rtype == Rtype::CNAME);
    let is_its = |fact: &&Fact| fact.owner == name && fact.rtype == rtype && is_address(rtype);
    meaning.rcode == OptRcode::NOERROR
        && aliases.iter().any(|alias| target(alias) == name)
        && !rest.is_empty()
        && rest.iter().all(is_its)
}

/// The name that a record leads to.
fn target(fact: &Fact) -> &str {
    fact.data.trim_end_matches('.')
}

fn is_address(rtype: Rtype) -> bool {
    [Rtype::A, Rtype::AAAA].contains(&rtype)
}

#[cfg(test)]
mod tests {
    use domain::base::iana::Class;

    use super::*;
    use crate::compare::{Verdict, compare};
    use crate::corefiles::Corefile;
    use crate::known::Known;

    const TEXT: &str = "TXT at a level of the tree is NODATA";
    const CAPITALS: &str = "letter case makes no difference to NS and ns.dns";
    const SILENCE: &str = "a slice of no Service has no PTR records";
    const KEPT: &str = "names of the cluster are never kept";
    const CACHED: &str = "what CoreDNS caches has the cache's TTL and AA";
    const CLUSTERLESS: &str = "endpoints whose cluster is not said have SRV records";
    const TERMINATING: &str = "under `pods verified` a terminating Pod has no name";

    #[test]
    fn text_at_a_level() {
        let asked = |name| (name, Rtype::TXT);
        let denied = |zone| deny(OptRcode::NXDOMAIN, zone);
        let nodata = |zone| deny(OptRcode::NOERROR, zone);
        let cluster = "cluster.local";
        check(
            TEXT,
            "classic",
            asked("berry.svc.cluster.local"),
            denied(cluster),
            nodata(cluster),
        );
        check(
            TEXT,
            "strict",
            asked("in-addr.arpa"),
            denied("in-addr.arpa"),
            nodata("in-addr.arpa"),
        );
        for (corefile, asked, coredns, other) in [
            // No such namespace, or none that is exposed, and no Pods.
            (
                "classic",
                asked("missing.svc.cluster.local"),
                denied(cluster),
                nodata(cluster),
            ),
            (
                "strict",
                asked("cherry.svc.cluster.local"),
                denied(cluster),
                nodata(cluster),
            ),
            (
                "strict",
                asked("berry.pod.cluster.local"),
                denied(cluster),
                nodata(cluster),
            ),
            (
                "strict",
                asked("berry.svc.in-addr.arpa"),
                denied("in-addr.arpa"),
                nodata("in-addr.arpa"),
            ),
            (
                "classic",
                ("berry.svc.cluster.local", Rtype::A),
                denied(cluster),
                nodata(cluster),
            ),
            (
                "classic",
                asked("berry.svc.cluster.local"),
                nodata(cluster),
                denied(cluster),
            ),
            (
                "classic",
                asked("berry.svc.cluster.local"),
                denied(cluster),
                nodata("svc.cluster.local"),
            ),
        ] {
            check("", corefile, asked, coredns, other);
        }
    }

    #[test]
    fn name_servers_in_capitals() {
        let target = "kube-dns.kube-system.svc.cluster.local";
        let ns = |target| {
            reply(
                "QR AA",
                &[("cluster.local", Rtype::NS, target)],
                &[(target, Rtype::A, "10.96.0.10")],
            )
        };
        let a = |owner| reply("QR AA", &[(owner, Rtype::A, "10.96.0.10")], &[]);
        let alias = |target| {
            let answer = [
                ("x.berry.svc.cluster.local", Rtype::CNAME, target),
                (target, Rtype::A, "10.96.0.10"),
            ];
            reply("QR AA", &answer, &[])
        };
        let nodata = || deny(OptRcode::NOERROR, "cluster.local");
        let denied = || deny(OptRcode::NXDOMAIN, "cluster.local");
        let upstream = || reply("QR RA", &[("ns.dns.cluster.local", Rtype::A, "198.51.100.1")], &[]);
        let own = "ns.dns.cluster.local";
        for (corefile, asked, coredns, other) in [
            ("classic", ("Cluster.local", Rtype::NS), nodata(), ns(target)),
            ("classic", ("ns.dns.cluster.Local", Rtype::A), denied(), a(own)),
            ("classic", ("ns.dns.cluster.Local", Rtype::MX), denied(), nodata()),
            ("ignore", ("ns.dns.cluster.Local", Rtype::A), upstream(), a(own)),
            ("classic", ("x.berry.svc.cluster.LOCAL", Rtype::A), nodata(), alias(own)),
        ] {
            check(CAPITALS, corefile, asked, coredns, other);
        }
        for (corefile, asked, coredns, other) in [
            // CoreDNS knows these.
            ("classic", ("cluster.local", Rtype::NS), nodata(), ns(target)),
            ("classic", ("NS.dns.cluster.local", Rtype::A), denied(), a(own)),
            ("classic", ("ns.dns.cluster.Local", Rtype::A), upstream(), a(own)),
            ("classic", ("Cluster.local", Rtype::NS), denied(), ns(target)),
            (
                "classic",
                ("Cluster.local", Rtype::NS),
                nodata(),
                ns("web.berry.svc.cluster.local"),
            ),
            (
                "classic",
                ("ns.dns.cluster.Local", Rtype::A),
                denied(),
                a("cluster.local"),
            ),
            ("classic", ("ns.dns.cluster.Local", Rtype::AAAA), denied(), a(own)),
            (
                "classic",
                ("x.berry.svc.cluster.LOCAL", Rtype::A),
                nodata(),
                alias(target),
            ),
        ] {
            check("", corefile, asked, coredns, other);
        }
    }

    #[test]
    fn silence_about_an_address() {
        let ptr = |name, target| reply("QR AA", &[(name, Rtype::PTR, target)], &[]);
        let name = "1.0.244.10.in-addr.arpa";
        let service = || ptr(name, "x.web.berry.svc.cluster.local");
        let denied = || deny(OptRcode::NXDOMAIN, "in-addr.arpa");
        check(SILENCE, "strict", (name, Rtype::PTR), Reply::Silence, service());
        check(SILENCE, "strict", (name, Rtype::PTR), Reply::Silence, denied());
        check(
            SILENCE,
            "classic",
            (name, Rtype::PTR),
            Reply::Silence,
            reply("QR RA", &[], &[]),
        );
        for (asked, other) in [
            (("2.0.244.10.in-addr.arpa", Rtype::PTR), denied()),
            (("x.1.0.244.10.in-addr.arpa", Rtype::PTR), denied()),
            ((name, Rtype::A), denied()),
            ((name, Rtype::PTR), deny(OptRcode::NOERROR, "in-addr.arpa")),
            ((name, Rtype::PTR), ptr(name, "x..berry.svc.example")),
            ((name, Rtype::PTR), reply("QR RA", &[], &[])),
        ] {
            check("", "strict", asked, Reply::Silence, other);
        }
        check("", "strict", (name, Rtype::PTR), denied(), Reply::Silence);
    }

    #[test]
    fn terminating_pods() {
        let name = "10-0-0-7.berry.pod.cluster.local";
        let known = || reply("QR AA", &[(name, Rtype::A, "10.0.0.7")], &[]);
        let denied = || deny(OptRcode::NXDOMAIN, "cluster.local");
        check(TERMINATING, "verified", (name, Rtype::A), known(), denied());
        let set = "clusterset.local";
        check(
            TERMINATING,
            "multicluster",
            ("10-0-0-7.berry.pod.clusterset.local", Rtype::A),
            known(),
            deny(OptRcode::NXDOMAIN, set),
        );
        let forwarded = || reply("QR RA", &[(name, Rtype::A, "198.51.100.0")], &[]);
        check(TERMINATING, "selected", (name, Rtype::A), known(), forwarded());
        check("", "verified", (name, Rtype::A), known(), forwarded());
        let srv = |data| reply("QR AA", &[(name, Rtype::SRV, data)], &[(name, Rtype::A, "10.0.0.7")]);
        let (half, whole) = ("0 50 0 10-0-0-7.berry.pod", "0 100 0 10-0-0-7.berry.pod");
        check(TERMINATING, "verified", (name, Rtype::SRV), srv(half), srv(whole));
        check("", "verified", (name, Rtype::SRV), srv(whole), srv(half));
        check("", "verified", (name, Rtype::SRV), srv(half), srv("0 100 0 other"));
        for (corefile, name, coredns, other) in [
            ("classic", name, known(), denied()),
            ("verified", "110-0-0-7.berry.pod.cluster.local", known(), denied()),
            ("verified", name, denied(), known()),
            ("verified", name, known(), deny(OptRcode::NOERROR, "cluster.local")),
        ] {
            check("", corefile, (name, Rtype::A), coredns, other);
        }
    }

    #[test]
    fn endpoints_whose_cluster_is_not_said() {
        let name = "_http._tcp.web.berry.svc.clusterset.local";
        let srv = |target: &str| reply("QR AA", &[(name, Rtype::SRV, &format!("0 100 80 {target}"))], &[]);
        let own = || srv("10-0-0-1.web.berry.svc.clusterset.local");
        let check = |deviation, question, coredns, other| check(deviation, "multicluster", question, coredns, other);
        check(CLUSTERLESS, (name, Rtype::SRV), Reply::Silence, own());
        let mut cut = deny(OptRcode::NOERROR, "clusterset.local");
        if let Reply::Message(meaning) = &mut cut {
            meaning.truncated = true;
        }
        check(CLUSTERLESS, (name, Rtype::SRV), Reply::Silence, cut);
        for (question, coredns, other) in [
            ((name, Rtype::SRV), own(), Reply::Silence),
            ((name, Rtype::A), Reply::Silence, own()),
            (("other.berry.svc.clusterset.local", Rtype::SRV), Reply::Silence, own()),
            (
                (name, Rtype::SRV),
                Reply::Silence,
                srv("10-0-0-1.other.berry.svc.clusterset.local"),
            ),
            (
                (name, Rtype::SRV),
                Reply::Silence,
                deny(OptRcode::NOERROR, "clusterset.local"),
            ),
        ] {
            check("", question, coredns, other);
        }
    }

    #[test]
    fn kept_replies_about_the_cluster() {
        let name = "web.berry.svc.cluster.local";
        let told = |flags: &str, ttl: u32| {
            let mut meaning = meaning(flags);
            meaning.sections[0] = facts(&[(name, Rtype::A, "10.96.0.1")]);
            meaning.sections[0][0].ttl = ttl;
            Reply::Message(meaning)
        };
        let check = |deviation, corefile, name, coredns, other| {
            check(deviation, corefile, (name, Rtype::A), coredns, other);
        };
        check(KEPT, "cache", name, told("QR AA", 12), told("QR AA", 30));
        check(KEPT, "kubeadm", name, told("QR AA", 12), told("QR AA", 30));
        for (corefile, name, coredns, other) in [
            ("classic", name, told("QR AA", 12), told("QR AA", 30)),
            ("cache", name, told("QR AA", 30), told("QR AA", 12)),
            ("cache", name, told("QR AA RA", 12), told("QR RA", 30)),
            ("cache", "www.example.com", told("QR AA", 12), told("QR AA", 30)),
        ] {
            check("", corefile, name, coredns, other);
        }
    }

    #[test]
    fn kept_replies() {
        let question = ("www.example.com", Rtype::A);
        let reply = |flags: &str, ttl: u32, addresses: &[&str]| {
            let answer: Vec<_> = addresses
                .iter()
                .map(|address| ("www.example.com", Rtype::A, *address))
                .collect();
            let mut meaning = meaning(flags);
            meaning.sections[0] = facts(&answer);
            meaning.sections[0].iter_mut().for_each(|fact| fact.ttl = ttl);
            meaning
        };
        let fresh = || reply("QR RD RA", 30, &["10.0.0.1", "10.0.0.2"]);
        let kept = || reply("QR AA RD RA", 7, &["10.0.0.1", "10.0.0.2"]);
        let cut = |mut meaning: Meaning| {
            meaning.truncated = true;
            meaning.sections[0].pop();
            meaning
        };
        let check = |deviation, corefile, coredns, other| {
            check(
                deviation,
                corefile,
                question,
                Reply::Message(coredns),
                Reply::Message(other),
            );
        };
        check(CACHED, "kubeadm", kept(), fresh());
        check(CACHED, "kubeadm", cut(kept()), fresh());
        check(CACHED, "kubeadm", kept(), cut(fresh()));
        let notify = |flags: &str, ttl| reply(flags, ttl, &["10.0.0.1"]);
        check(
            CACHED,
            "kubeadm",
            notify("QR AA RA opcode 4", 30),
            notify("QR RD RA opcode 4", 5),
        );
        for (corefile, coredns, other) in [
            ("classic", kept(), fresh()),
            ("kubeadm", fresh(), kept()),
            ("kubeadm", kept(), reply("QR RD RA", 5, &["10.0.0.1", "10.0.0.2"])),
            ("kubeadm", kept(), reply("QR RD RA", 30, &["10.0.0.1"])),
            ("kubeadm", kept(), reply("QR RD RA", 30, &["10.0.0.1", "10.0.0.3"])),
            ("kubeadm", kept(), reply("QR RA", 30, &["10.0.0.1", "10.0.0.2"])),
            ("kubeadm", cut(kept()), reply("QR RD RA", 30, &["10.0.0.3", "10.0.0.2"])),
        ] {
            check("", corefile, coredns, other);
        }
    }

    /// Compares two replies; expects the deviation of this name, or none.
    fn check(deviation: &'static str, corefile: &str, (name, rtype): (&str, Rtype), coredns: Reply, other: Reply) {
        let set = |name: &str| [name.to_owned()].into();
        let known = Known {
            namespaces: ["berry", "cherry"].map(str::to_owned).into(),
            terminating: set("10-0-0-7.berry.pod.cluster.local."),
            nameless: set("1.0.244.10.in-addr.arpa."),
            clusterless: set("web.berry.svc.clusterset.local."),
        };
        let question = Question::plain(name, rtype);
        let verdict = compare(&Case {
            corefile: Corefile::find(corefile).unwrap(),
            question: &question,
            coredns: &coredns,
            other: &other,
            known: &known,
            is_repeated: false,
            is_itself: false,
        });
        let expected = match deviation {
            "" => Verdict::Different,
            name => Verdict::Deviation(name),
        };
        assert_eq!(verdict, expected, "{question} under {corefile}\n{coredns}\n{other}");
    }

    fn deny(rcode: OptRcode, zone: &str) -> Reply {
        let mut meaning = meaning("QR AA");
        meaning.rcode = rcode;
        meaning.sections[1] = facts(&[(zone, Rtype::SOA, "ns hostmaster 7200 1800 86400 30")]);
        Reply::Message(meaning)
    }

    fn reply(flags: &str, answer: &[(&str, Rtype, &str)], additional: &[(&str, Rtype, &str)]) -> Reply {
        let mut meaning = meaning(flags);
        meaning.sections = [facts(answer), Vec::new(), facts(additional)];
        Reply::Message(meaning)
    }

    fn meaning(flags: &str) -> Meaning {
        Meaning {
            flags: flags.to_owned(),
            truncated: false,
            rcode: OptRcode::NOERROR,
            question: Vec::new(),
            sections: Default::default(),
            opt: None,
        }
    }

    fn facts(told: &[(&str, Rtype, &str)]) -> Vec<Fact> {
        let fact = |(owner, rtype, data): &(&str, Rtype, &str)| Fact {
            owner: (*owner).to_owned(),
            rtype: *rtype,
            class: Class::IN,
            ttl: 30,
            // As `domain` writes it.
            data: match *rtype {
                Rtype::NS | Rtype::PTR | Rtype::CNAME => format!("{data}."),
                _ => (*data).to_owned(),
            },
        };
        told.iter().map(fact).collect()
    }
}
