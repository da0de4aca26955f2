//! The plan: what the kernel may answer under a configuration.
//!
//! Coarse on purpose: any directive that is not known to leave the cluster's answers alone makes the kernel pass.

use std::cmp::Reverse;
use std::fmt;

use dns_ebpf::maps::ZONES;
use dns_ebpf::zone::MAX_ZONE_LEN;

use super::cache::limit_ttl;
use super::config::{Config, Directive, Key, ServerBlock};
use super::directives::Effect;
use super::error::Span;
use super::kubernetes::{Kubernetes, soa_ttl};
use crate::name::Name;

/// What the kernel may answer of a zone that `kubernetes` serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZonePlan {
    /// The zone.
    pub zone: Name,
    /// What the kernel may answer.
    pub verdict: Verdict,
}

/// What the kernel may answer of a zone, and why no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What exists, and that nothing else does.
    Everything,
    /// What exists. Whatever else is asked about passes on.
    ExistingOnly(Reason),
    /// Nothing.
    Nothing(Reason),
}

/// Why the kernel may not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A directive of the server block stands in the way.
    #[error("`{}` at {} {}", .0.name, .0.span, describe(.0.effect))]
    Directive(Directive),
    /// What does not exist falls through.
    #[error("`kubernetes` lets what does not exist fall through")]
    Fallthrough,
    /// `cache` gives answers another TTL than `kubernetes` does.
    #[error("`cache` gives its answers a TTL of {0} s instead of `kubernetes`' own")]
    Ttl(u32),
    /// Another server block has a say in the zone.
    #[error("the server block at {span} takes questions for `{zone}`")]
    OtherBlock {
        /// The zone of that block.
        zone: Name,
        /// Where it stands.
        span: Span,
    },
    /// The server block does not get the zone's questions.
    #[error("no question for `{zone}` reaches `kubernetes` at {span}: no zone of its server block holds it")]
    Unreachable {
        /// The zone.
        zone: Name,
        /// Where `kubernetes` stands.
        span: Span,
    },
    /// A name would not be known as one of a deeper zone that the kernel may answer nothing of.
    #[error("the kernel does not tell its names from those of `{0}`")]
    Around(Name),
    /// The zone's name is longer than the kernel reads.
    #[error("its name has {0} bytes, of which the kernel reads {MAX_ZONE_LEN}")]
    LongName(usize),
    /// There are more zones than the kernel takes.
    #[error("the kernel takes {ZONES} zones, and has deeper ones")]
    ManyZones,
}

impl ZonePlan {
    /// Whether the kernel has nothing to do with the zone.
    pub fn is_passed(&self) -> bool {
        matches!(self.verdict, Verdict::Nothing(_))
    }
}

impl fmt::Display for ZonePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel answers from {}: {}", self.zone, self.verdict)
    }
}

impl Verdict {
    /// Why the kernel may not answer everything.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Everything => None,
            Self::ExistingOnly(reason) | Self::Nothing(reason) => Some(reason),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => write!(f, "everything"),
            Self::ExistingOnly(reason) => write!(f, "only what exists, since {reason}"),
            Self::Nothing(reason) => write!(f, "nothing, since {reason}"),
        }
    }
}

/// Says what the kernel may answer, zone by zone, for all the zones that `kubernetes` serves.
pub fn plan(config: &Config) -> Vec<ZonePlan> {
    let mut plans = Vec::new();
    for (index, server) in config.servers.iter().enumerate() {
        for (kubernetes, zone) in server
            .kubernetes
            .iter()
            .flat_map(|it| it.zones.iter().map(move |zone| (it, zone)))
        {
            let checked = check_directives(server, zone)
                .and_then(|()| check_ttls(server, kubernetes))
                .and_then(|()| check_route(config, index, kubernetes, zone))
                .and_then(|()| check_len(zone));
            plans.push(ZonePlan {
                zone: zone.clone(),
                verdict: match (checked, find_next(server, kubernetes.fallthrough.concerns(zone))) {
                    (Err(reason), _) => Verdict::Nothing(reason),
                    (Ok(()), Some(reason)) => Verdict::ExistingOnly(reason),
                    (Ok(()), None) => Verdict::Everything,
                },
            });
        }
    }
    limit_count(&mut plans);
    find_hidden(&mut plans);
    plans
}

/// Checks that no directive has a say in what `kubernetes` answers from a zone.
fn check_directives(server: &ServerBlock, zone: &Name) -> Result<(), Reason> {
    let disturbs = |directive: &&Directive| match directive.effect {
        Effect::LeavesAlone | Effect::AnswersRest | Effect::Completes => false,
        _ => concerns(server, directive, zone),
    };
    find_directive(server, disturbs).map_or(Ok(()), Err)
}

/// Says whether a directive may have to do with names of a zone.
fn concerns(server: &ServerBlock, directive: &Directive, zone: &Name) -> bool {
    match directive.name {
        "rewrite" => {
            let mut rules = server.rewrite.iter().filter(|rule| rule.span == directive.span);
            rules.any(|rule| rule.concerns(zone))
        }
        "acl" => server.acl.iter().any(|acl| acl.concerns(zone)),
        "hosts" => server.hosts.iter().any(|hosts| hosts.concerns(zone)),
        "template" => server.template.iter().any(|template| template.concerns(zone)),
        _ => true,
    }
}

/// Checks that `cache` leaves the TTLs as they are.
fn check_ttls(server: &ServerBlock, kubernetes: &Kubernetes) -> Result<(), Reason> {
    let Some(cache) = &server.cache else {
        return Ok(());
    };
    let soa = soa_ttl(kubernetes.ttl);
    let ttls = [
        (limit_ttl(&cache.success, kubernetes.ttl), kubernetes.ttl),
        (limit_ttl(&cache.denial, soa), soa),
    ];
    let other = ttls.into_iter().find(|(limited, own)| limited != own);
    other.map_or(Ok(()), |(limited, _)| Err(Reason::Ttl(limited)))
}

/// Checks that all questions for the zone reach this server block, at whatever port: which of the ports stands behind the
/// cluster's DNS addresses is not known here.
fn check_route(config: &Config, index: usize, kubernetes: &Kubernetes, zone: &Name) -> Result<(), Reason> {
    let own = config.servers.get(index).into_iter().flat_map(|server| &server.keys);
    let Some(closest) = own
        .filter(|key| zone.is_within(&key.zone))
        .max_by_key(|key| key.zone.as_wire().len())
    else {
        return Err(Reason::Unreachable {
            zone: zone.clone(),
            span: kubernetes.span.clone(),
        });
    };
    let others = config.servers.iter().enumerate().filter(|(other, _)| *other != index);
    let takes =
        |key: &&Key| key.zone.is_within(zone) || (zone.is_within(&key.zone) && key.zone.is_within(&closest.zone));
    match others.flat_map(|(_, server)| &server.keys).find(takes) {
        Some(key) => Err(Reason::OtherBlock {
            zone: key.zone.clone(),
            span: key.span.clone(),
        }),
        None => Ok(()),
    }
}

/// Checks that the kernel can tell the zone's names.
fn check_len(zone: &Name) -> Result<(), Reason> {
    match zone.as_wire().len() {
        len if len > MAX_ZONE_LEN => Err(Reason::LongName(len)),
        _ => Ok(()),
    }
}

/// Who is asked about what does not exist, if anyone.
fn find_next(server: &ServerBlock, falls_through: bool) -> Option<Reason> {
    let is_asked = |directive: &&Directive| match directive.effect {
        Effect::Completes => true,
        Effect::AnswersRest => falls_through,
        _ => false,
    };
    find_directive(server, is_asked).or(falls_through.then_some(Reason::Fallthrough))
}

/// The first directive of which this holds.
fn find_directive(server: &ServerBlock, holds: impl Fn(&&Directive) -> bool) -> Option<Reason> {
    let directive = server.directives.iter().find(holds)?;
    Some(Reason::Directive(directive.clone()))
}

/// Leaves the kernel as many zones as it takes, the deepest.
fn limit_count(plans: &mut [ZonePlan]) {
    let mut taken: Vec<_> = plans.iter_mut().filter(|plan| !plan.is_passed()).collect();
    taken.sort_by_key(|plan| Reverse(plan.zone.labels().count()));
    for plan in taken.into_iter().skip(ZONES) {
        plan.verdict = Verdict::Nothing(Reason::ManyZones);
    }
}

/// Lets the kernel deny nothing around a zone that it does not know.
fn find_hidden(plans: &mut [ZonePlan]) {
    let unknown: Vec<_> = plans
        .iter()
        .filter(|plan| plan.is_passed())
        .map(|plan| plan.zone.clone())
        .collect();
    for plan in plans.iter_mut().filter(|plan| !plan.is_passed()) {
        if let Some(zone) = unknown.iter().find(|zone| zone.is_within(&plan.zone)) {
            plan.verdict = Verdict::ExistingOnly(Reason::Around(zone.clone()));
        }
    }
}

pub(super) fn describe(effect: Effect) -> &'static str {
    match effect {
        Effect::LeavesAlone => "leaves the cluster's answers alone",
        Effect::Answers => "may answer names of the cluster by itself",
        Effect::AnswersRest => "may answer what `kubernetes` lets fall through",
        Effect::Completes => "may answer other names in place of those that do not exist",
        Effect::Rewrites => "may change questions or answers",
        Effect::Filters => "may refuse or divert questions",
        Effect::Signs => "signs answers",
        Effect::Observes => "has to see every question",
        Effect::Orders => "puts the addresses of an answer in order",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{directives, parse_in};
    use super::*;

    fn planned(corefile: &str) -> Vec<(String, String)> {
        let config = parse_in(Path::new("Corefile"), corefile, &|_| None).unwrap();
        let plans = plan(&config).into_iter();
        plans
            .map(|plan| (plan.zone.to_string(), plan.verdict.to_string()))
            .collect()
    }

    /// What the kernel answers beside each directive that stands behind `kubernetes cluster.local` in the third line: why not
    /// everything, and why not everything where names fall through; or `""` for the reason that they do.
    const BESIDE: &[(&str, Beside)] = &[
        (
            "acl {\n block\n}",
            Nothing("`acl` at Corefile:3:1 may refuse or divert questions"),
        ),
        ("any", Nothing("`any` at Corefile:3:1 may refuse or divert questions")),
        (
            "auto",
            Rest("`auto` at Corefile:3:1 may answer what `kubernetes` lets fall through"),
        ),
        (
            "autopath x",
            Existing("`autopath` at Corefile:3:1 may answer other names in place of those that do not exist"),
        ),
        // Without `pods verified` it does nothing.
        ("autopath @kubernetes", Everything),
        (
            "azure",
            Nothing("`azure` at Corefile:3:1 may answer names of the cluster by itself"),
        ),
        ("bind 10.0.0.1", Everything),
        ("bufsize 1232", Everything),
        ("cache", Everything),
        ("cache 5 {\n denial 1 5\n}", Everything),
        (
            "cache 4",
            Nothing("`cache` gives its answers a TTL of 4 s instead of `kubernetes`' own"),
        ),
        (
            "cache {\n denial 10 4\n}",
            Nothing("`cache` gives its answers a TTL of 4 s instead of `kubernetes`' own"),
        ),
        (
            "cache {\n success 10 20 6\n}",
            Nothing("`cache` gives its answers a TTL of 6 s instead of `kubernetes`' own"),
        ),
        ("cancel", Everything),
        ("chaos", Everything),
        (
            "clouddns",
            Nothing("`clouddns` at Corefile:3:1 may answer names of the cluster by itself"),
        ),
        ("debug", Everything),
        (
            "dns64",
            Nothing("`dns64` at Corefile:3:1 may change questions or answers"),
        ),
        ("dnssec", Nothing("`dnssec` at Corefile:3:1 signs answers")),
        (
            "dnstap x",
            Nothing("`dnstap` at Corefile:3:1 has to see every question"),
        ),
        (
            "erratic",
            Rest("`erratic` at Corefile:3:1 may answer what `kubernetes` lets fall through"),
        ),
        ("errors", Everything),
        (
            "etcd",
            Rest("`etcd` at Corefile:3:1 may answer what `kubernetes` lets fall through"),
        ),
        (
            "file x",
            Rest("`file` at Corefile:3:1 may answer what `kubernetes` lets fall through"),
        ),
        ("forward . 10.0.0.2", Everything),
        ("geoip x", Everything),
        ("grpc . 10.0.0.2", Everything),
        ("grpc_server", Everything),
        (
            "header",
            Nothing("`header` at Corefile:3:1 may change questions or answers"),
        ),
        ("health", Everything),
        (
            "hosts",
            Nothing("`hosts` at Corefile:3:1 may answer names of the cluster by itself"),
        ),
        ("https", Everything),
        ("https3", Everything),
        (
            "k8s_external x",
            Nothing("`k8s_external` at Corefile:3:1 may answer names of the cluster by itself"),
        ),
        ("loadbalance", Everything),
        ("loadbalance round_robin", Everything),
        (
            "loadbalance weighted x",
            Nothing("`loadbalance` at Corefile:3:1 puts the addresses of an answer in order"),
        ),
        (
            "loadbalance {\n prefer 10.0.0.0/8\n}",
            Nothing("`loadbalance` at Corefile:3:1 puts the addresses of an answer in order"),
        ),
        (
            "local",
            Nothing("`local` at Corefile:3:1 may answer names of the cluster by itself"),
        ),
        ("log", Everything),
        ("loop", Everything),
        ("metadata", Everything),
        (
            "minimal",
            Nothing("`minimal` at Corefile:3:1 may change questions or answers"),
        ),
        ("multisocket", Everything),
        (
            "nomad",
            Rest("`nomad` at Corefile:3:1 may answer what `kubernetes` lets fall through"),
        ),
        ("nsid", Everything),
        ("on startup x", Everything),
        ("pprof", Everything),
        ("prometheus", Everything),
        (
            "proxyproto",
            Nothing("`proxyproto` at Corefile:3:1 may refuse or divert questions"),
        ),
        ("quic", Everything),
        ("ready", Everything),
        ("reload", Everything),
        (
            "rewrite name prefix a b",
            Nothing("`rewrite` at Corefile:3:1 may change questions or answers"),
        ),
        ("root /", Everything),
        (
            "route53",
            Nothing("`route53` at Corefile:3:1 may answer names of the cluster by itself"),
        ),
        (
            "secondary",
            Rest("`secondary` at Corefile:3:1 may answer what `kubernetes` lets fall through"),
        ),
        ("shed", Everything),
        ("sign x", Nothing("`sign` at Corefile:3:1 signs answers")),
        (
            "template ANY ANY",
            Nothing("`template` at Corefile:3:1 may answer names of the cluster by itself"),
        ),
        ("timeouts", Everything),
        ("tls", Everything),
        ("trace", Everything),
        ("transfer", Everything),
        ("tsig", Nothing("`tsig` at Corefile:3:1 may refuse or divert questions")),
        (
            "view x",
            Nothing("`view` at Corefile:3:1 may refuse or divert questions"),
        ),
        (
            "whoami",
            Rest("`whoami` at Corefile:3:1 may answer what `kubernetes` lets fall through"),
        ),
    ];

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Beside {
        /// Everything, or what exists where the rest falls through.
        Everything,
        /// The same, the latter for this reason.
        Rest(&'static str),
        /// What exists, for this reason.
        Existing(&'static str),
        /// Nothing, for this reason.
        Nothing(&'static str),
    }

    use Beside::*;

    #[test]
    fn each_directive_has_its_say() {
        for (directive, beside) in BESIDE {
            for (option, falls_through) in [("", false), (" {\n fallthrough\n}", true)] {
                let at = if falls_through { "Corefile:5:1" } else { "Corefile:3:1" };
                let reason = match (beside, falls_through) {
                    (Nothing(reason), _) => format!("nothing, since {reason}"),
                    (Existing(reason), _) => format!("only what exists, since {reason}"),
                    (Everything | Rest(_), false) => "everything".to_owned(),
                    (Everything, true) => {
                        "only what exists, since `kubernetes` lets what does not exist fall through".to_owned()
                    }
                    (Rest(reason), true) => format!("only what exists, since {reason}"),
                };
                let plans = planned(&format!(". {{\nkubernetes cluster.local{option}\n{directive}\n}}"));
                let expected = reason.replace("Corefile:3:1", at);
                assert_eq!(plans, [("cluster.local.".to_owned(), expected)], "{directive}{option}");
            }
        }
    }

    #[test]
    fn each_directive_is_in_the_table() {
        let is_in = |name: &&str| {
            BESIDE
                .iter()
                .any(|(beside, _)| beside.split_whitespace().next() == Some(name))
        };
        let missing: Vec<_> = directives::names().filter(|name| !is_in(name)).collect();
        assert_eq!(missing, ["kubernetes", "import"]);
    }

    /// What is not the server block's to answer by the names that it takes, or not to deny by those that it lets go.
    #[test]
    fn each_zone_has_its_own_verdict() {
        const LONG: &str = "a-cluster-of-a-very-long-name.that-no-one-would-ever-want-to-type.example.org";
        let falls = || "only what exists, since `kubernetes` lets what does not exist fall through".to_owned();
        let other =
            |zone: &str, at: &str| format!("nothing, since the server block at {at} takes questions for `{zone}`");
        let all = || "everything".to_owned();
        for (corefile, verdicts) in [
            (". {\nkubernetes cluster.local in-addr.arpa\n}", vec![all(), all()]),
            (". {\nkubernetes cluster.local in-addr.arpa\n}\ncorp.example {\n}", vec![all(), all()]),
            (
                ". {\nkubernetes cluster.local in-addr.arpa\n}\n10.0.0.0/8 {\n}",
                vec![all(), other("10.in-addr.arpa.", "Corefile:4:1")],
            ),
            (
                ". {\nkubernetes cluster.local in-addr.arpa\n}\nns.svc.cluster.local:54 {\n}",
                vec![other("ns.svc.cluster.local.", "Corefile:4:1"), all()],
            ),
            (
                ". {\nkubernetes cluster.local in-addr.arpa\n}\nlocal {\n}",
                vec![other("local.", "Corefile:4:1"), all()],
            ),
            (
                ". {\n}\nlocal in-addr.arpa {\nkubernetes cluster.local in-addr.arpa\n}",
                vec![all(), all()],
            ),
            (
                ". {\nkubernetes cluster.local in-addr.arpa\n}\n.:54 {\n}",
                vec![other(".", "Corefile:4:1"), other(".", "Corefile:4:1")],
            ),
            (
                "cluster.local {\nkubernetes cluster.local in-addr.arpa\n}",
                vec![
                    all(),
                    "nothing, since no question for `in-addr.arpa.` reaches `kubernetes` at Corefile:2:1: no zone of its server \
                     block holds it"
                        .to_owned(),
                ],
            ),
            (
                ". {\nkubernetes cluster.local in-addr.arpa {\nfallthrough in-addr.arpa\n}\n}",
                vec![all(), falls()],
            ),
            (
                ". {\nkubernetes cluster.local in-addr.arpa {\nfallthrough 10.in-addr.arpa local example.org\n}\n}",
                vec![falls(), falls()],
            ),
            (
                ". {\nkubernetes cluster.local in-addr.arpa {\nfallthrough example.org\n}\n}",
                vec![all(), all()],
            ),
            (
                ". {\nkubernetes cluster.local in-addr.arpa svc.cluster.local {\nfallthrough svc.cluster.local\n}\n}",
                vec![falls(), all(), falls()],
            ),
            (
                &format!(". {{\nkubernetes {LONG} org cluster.local {{\nfallthrough\n}}\n}}"),
                vec![
                    "nothing, since its name has 79 bytes, of which the kernel reads 55".to_owned(),
                    format!("only what exists, since the kernel does not tell its names from those of `{LONG}.`"),
                    falls(),
                ],
            ),
        ] {
            let planned: Vec<_> = planned(corefile).into_iter().map(|(_, verdict)| verdict).collect();
            assert_eq!(planned, verdicts, "{corefile:?}");
        }
    }

    #[test]
    fn a_rewrite_matters_to_the_zones_that_it_may_concern() {
        for (rewrite, cluster, reverse) in [
            ("name exact www.example.org web.n.svc.cluster.local", true, true),
            ("name exact mycluster.local a.cluster.local", true, true),
            ("name exact Web.cluster.local a.example.org", false, true),
            ("name cluster.local a.example.org", false, true),
            ("name suffix .example.org .svc.cluster.local", true, true),
            ("name suffix mycluster.local .cluster.local", true, true),
            ("name suffix local .example.org", false, true),
            ("name suffix .svc.cluster.local .example.org", false, true),
            ("name suffix .arpa .arpa answer value a b", true, false),
            ("name prefix www. web.", false, false),
            ("name substring .example.org .a", false, false),
            ("name regex ^a\\.example\\.org\\.$ b", false, false),
            ("continue ttl example.org 30", true, true),
            ("ttl suffix .cluster.local 30", false, true),
            ("rcode exact 1.0.0.10.in-addr.arpa NXDOMAIN NOERROR", true, false),
            ("cname a.example.org b.example.org", false, false),
            ("type ANY HINFO", false, false),
            ("edns0 nsid set", false, false),
            ("class CH IN", true, true),
            ("class IN CH", false, false),
        ] {
            let planned = planned(&format!(
                ". {{\nkubernetes cluster.local in-addr.arpa\nrewrite class CH IN\nrewrite {rewrite}\n}}"
            ));
            let nothing = "nothing, since `rewrite` at Corefile:4:1 may change questions or answers";
            let verdicts = [cluster, reverse].map(|all| if all { "everything" } else { nothing });
            let found: Vec<_> = planned.iter().map(|(_, verdict)| verdict.as_str()).collect();
            assert_eq!(found, verdicts, "{rewrite}");
        }
    }

    #[test]
    fn the_kernel_takes_the_deepest_of_too_many_zones() {
        let deep: Vec<_> = (1..ZONES).map(|number| format!("{number}.a.example.org")).collect();
        let planned = planned(&format!(
            ". {{\nkubernetes example.org {} other.example.org\n}}",
            deep.join(" ")
        ));
        let (first, others) = planned.split_first().unwrap();
        assert_eq!(
            first.1,
            format!("nothing, since the kernel takes {ZONES} zones, and has deeper ones")
        );
        assert_eq!(others.len(), ZONES);
        assert!(others.iter().all(|(_, verdict)| verdict == "everything"), "{others:?}");
    }
}
