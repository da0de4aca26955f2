//! The directives of CoreDNS 1.14: which of them kxdns acts on, and what each may do to a cluster's answers.

use super::shape::{Count, Shape, option};
use super::{
    acl, autopath, bufsize, cache, dns64, errors, file, forward, hosts, kubernetes, log, reload, rewrite, template, web,
};

/// What a directive may do to the answers of the `kubernetes` directive in the same server block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that a client could tell.
    LeavesAlone,
    /// It answers names of its own, possibly those of the cluster.
    Answers,
    /// It comes after `kubernetes`, and answers what that lets fall through.
    AnswersRest,
    /// It tries other names for those that do not exist.
    Completes,
    /// It changes questions or answers on their way.
    Rewrites,
    /// It refuses or diverts some questions.
    Filters,
    /// It signs answers.
    Signs,
    /// It has to see every question.
    Observes,
    /// It puts the addresses of an answer into an order.
    Orders,
}

/// A directive of CoreDNS.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) effect: Effect,
    /// Whether kxdns acts on it.
    pub(super) in_force: bool,
    /// Whether it may stand several times in a server block.
    pub(super) repeats: bool,
    /// What it takes; `None` where that is not looked at.
    pub(super) shape: Option<&'static Shape>,
}

/// Finds a directive by its name.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    DIRECTIVES.iter().find(|known| known.name == name)
}

/// The place of a directive in the order in which questions pass them.
pub(super) fn place(name: &str) -> Option<usize> {
    DIRECTIVES.iter().position(|known| known.name == name)
}

/// The names of all directives, `import` included.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    DIRECTIVES.iter().map(|known| known.name).chain(["import"])
}

/// In the order in which CoreDNS 1.14 has questions pass them, whatever their order in the Corefile. Those whose shape is
/// known stand once in a block unless they say otherwise.
const DIRECTIVES: &[Known] = {
    use Effect::*;
    &[
        known("root", LeavesAlone),
        known("metadata", LeavesAlone),
        known("geoip", LeavesAlone),
        known("cancel", LeavesAlone),
        known("proxyproto", Filters),
        known("quic", LeavesAlone),
        known("grpc_server", LeavesAlone),
        known("https", LeavesAlone),
        known("https3", LeavesAlone),
        known("timeouts", LeavesAlone),
        known("multisocket", LeavesAlone),
        known("reload", LeavesAlone).shaped(&reload::SHAPE).in_force(),
        // It answers an EDNS option, and the kernel passes whatever carries one.
        known("nsid", LeavesAlone),
        // The kernel is given no longer answers than it allows.
        known("bufsize", LeavesAlone).shaped(&bufsize::SHAPE).in_force(),
        // The kernel answers what is sent to the cluster's DNS addresses, whatever sockets listen.
        known("bind", LeavesAlone).shaped(&BIND).repeated().in_force(),
        known("debug", LeavesAlone),
        known("trace", LeavesAlone),
        known("ready", LeavesAlone).shaped(&web::READY).in_force(),
        known("health", LeavesAlone).shaped(&web::HEALTH).in_force(),
        known("pprof", LeavesAlone),
        // It protects CoreDNS's sockets from overload.
        known("shed", LeavesAlone),
        known("prometheus", LeavesAlone).shaped(&web::PROMETHEUS).in_force(),
        known("errors", LeavesAlone).shaped(&errors::SHAPE).in_force(),
        known("log", LeavesAlone).shaped(&log::SHAPE).repeated().in_force(),
        known("dnstap", Observes),
        // It answers `localhost.NAME` for every name.
        known("local", Answers),
        known("dns64", Rewrites).shaped(&dns64::SHAPE).in_force(),
        known("any", Filters).shaped(&ANY).in_force(),
        // It answers class CH only, and the kernel class IN only.
        known("chaos", LeavesAlone),
        // `round_robin` may put addresses in any order; other policies are `Orders`.
        known("loadbalance", LeavesAlone).shaped(&LOADBALANCE).in_force(),
        known("tsig", Filters),
        known("rewrite", Rewrites).shaped(&rewrite::SHAPE).repeated().in_force(),
        known("autopath", Completes).shaped(&autopath::SHAPE).in_force(),
        known("acl", Filters).shaped(&acl::SHAPE).repeated().in_force(),
        known("cache", LeavesAlone).shaped(&cache::SHAPE).in_force(),
        known("header", Rewrites),
        known("dnssec", Signs),
        known("tls", LeavesAlone),
        known("minimal", Rewrites),
        known("template", Answers)
            .shaped(&template::SHAPE)
            .repeated()
            .in_force(),
        // Zone transfers go over TCP.
        known("transfer", LeavesAlone),
        known("hosts", Answers).shaped(&hosts::SHAPE).in_force(),
        known("route53", Answers),
        known("azure", Answers),
        known("clouddns", Answers),
        known("k8s_external", Answers),
        known("kubernetes", LeavesAlone).shaped(&kubernetes::SHAPE).in_force(),
        known("file", AnswersRest).shaped(&file::SHAPE).repeated().in_force(),
        known("auto", AnswersRest),
        known("secondary", AnswersRest),
        known("etcd", AnswersRest),
        known("loop", LeavesAlone).shaped(&LOOP).in_force(),
        known("forward", LeavesAlone)
            .shaped(&forward::SHAPE)
            .repeated()
            .in_force(),
        // Like `forward`, it comes after `kubernetes`.
        known("grpc", LeavesAlone),
        known("erratic", AnswersRest),
        known("whoami", AnswersRest),
        known("on", LeavesAlone),
        known("sign", Signs),
        known("view", Filters),
        known("nomad", AnswersRest),
    ]
};

const ANY: Shape = Shape {
    arguments: Count::NONE,
    options: &[],
};

const BIND: Shape = Shape {
    arguments: Count::SOME,
    options: &[option("except", Count::SOME).in_force()],
};

const LOADBALANCE: Shape = Shape {
    arguments: Count::between(0, 2),
    options: &[option("prefer", Count::SOME).repeated(), option("reload", Count::ONE)],
};

const LOOP: Shape = Shape {
    arguments: Count::NONE,
    options: &[],
};

const fn known(name: &'static str, effect: Effect) -> Known {
    Known {
        name,
        effect,
        in_force: false,
        repeats: true,
        shape: None,
    }
}

impl Known {
    const fn shaped(self, shape: &'static Shape) -> Self {
        Self {
            shape: Some(shape),
            repeats: false,
            ..self
        }
    }

    const fn repeated(self) -> Self {
        Self { repeats: true, ..self }
    }

    const fn in_force(self) -> Self {
        Self { in_force: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_directive_stands_twice() {
        let names: HashSet<_> = names().collect();
        assert_eq!(names.len(), DIRECTIVES.len() + 1);
    }

    #[test]
    fn every_directive_in_force_has_a_shape() {
        assert!(DIRECTIVES.iter().all(|known| known.shape.is_some() || !known.in_force));
    }
}
