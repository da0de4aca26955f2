//! The Corefiles under which both servers are compared, by name. Both get the same text.

use std::net::IpAddr;

use crate::chain::{CHAIN, HOSTS, ZONE};
use crate::upstream::{FIRST, SECOND, closed_port};

/// A Corefile, but for its paths and addresses: `FIRST`, `SECOND` and `CLOSED` stand for the upstreams and a port that is
/// closed, `FILES` for the folder of what the Corefile reads.
pub(crate) struct Corefile {
    pub(crate) name: &'static str,
    /// The lines inside of `kubernetes`.
    pub(crate) options: &'static [&'static str],
    /// The lines of `forward`.
    pub(crate) forward: &'static [&'static str],
    /// The lines after `forward`.
    pub(crate) plugins: &'static [&'static str],
    /// The lines of further server blocks.
    pub(crate) blocks: &'static [&'static str],
    /// Names outside of the cluster that it speaks of.
    pub(crate) names: &'static [&'static str],
    /// Domains whose names are asked of an upstream by its words.
    pub(crate) domains: &'static [&'static str],
}

/// What rows have in common: the options that kubeadm renders, one upstream, and nothing else.
pub(crate) const PLAIN: Corefile = Corefile {
    name: "",
    options: &["pods insecure", "fallthrough in-addr.arpa ip6.arpa", "ttl 30"],
    forward: &["forward . FIRST {", "    max_concurrent 1000", "}"],
    plugins: &["loadbalance"],
    blocks: &[],
    names: &[],
    domains: &[],
};

/// The folder of the Corefile and the files that it reads.
const FOLDER: &str = "/run/dns";

/// The path of the Corefile.
pub(crate) const COREFILE: &str = "/run/dns/Corefile";

/// The line that limits how many queries are forwarded at a time. CoreDNS still counts one that it has just replied to.
pub(crate) const LIMITED: &str = "    max_concurrent 2";

/// The start of a line that names Namespaces that do not count.
const HIDES: &str = "namespace_labels kubernetes.io/metadata.name notin (";

impl Corefile {
    /// Those that take turns unless another is asked for. More names here change which of them a seed has.
    pub(crate) const TURNS: [&str; 10] = [
        "kubeadm",
        "classic",
        "verified",
        "strict",
        "ignore",
        "noendpoints",
        "zonal",
        "multicluster",
        "selected",
        "bound",
    ];

    const CLUSTER: [Corefile; 10] = [
        // What kubeadm 1.37 renders.
        Corefile {
            name: "kubeadm",
            plugins: &[
                "cache 30 {",
                "    disable success cluster.local",
                "    disable denial cluster.local",
                "}",
                "loop",
                "reload",
                "loadbalance",
            ],
            ..PLAIN
        },
        // The form of old, but for its `cache 30`: it answers from the past.
        Corefile {
            name: "classic",
            plugins: &["loop", "reload", "loadbalance"],
            ..PLAIN
        },
        Corefile {
            name: "verified",
            options: &["pods verified"],
            ..PLAIN
        },
        Corefile {
            name: "strict",
            options: &[
                "pods disabled",
                "endpoint_pod_names",
                // The last three are the markers' (`settle.rs`).
                "namespaces apple berry markers flag-0 flag-1",
                "ttl 3600",
            ],
            plugins: &[],
            ..PLAIN
        },
        Corefile {
            name: "ignore",
            options: &["pods insecure", "ignore empty_service", "fallthrough"],
            ..PLAIN
        },
        Corefile {
            name: "noendpoints",
            options: &["pods insecure", "noendpoints", "ttl 0"],
            ..PLAIN
        },
        Corefile {
            name: "zonal",
            options: &["pods insecure", "zonal", "fallthrough in-addr.arpa ip6.arpa", "ttl 30"],
            ..PLAIN
        },
        Corefile {
            name: "multicluster",
            options: &["pods verified", "zonal", "multicluster clusterset.local", "ttl 30"],
            ..PLAIN
        },
        Corefile {
            name: "selected",
            options: &[
                "endpoint_pod_names",
                "ignore empty_service",
                "pods verified",
                "multicluster clusterset.local",
                "labels tier notin (back)",
                "namespace_labels kubernetes.io/metadata.name notin (cherry, pod)",
                "fallthrough",
            ],
            ..PLAIN
        },
        // A reverse zone stands first: CoreDNS takes it for the one that the targets of PTR records lie in.
        Corefile {
            name: "bound",
            options: &["pods insecure"],
            plugins: &["bind 127.0.0.1", "loadbalance"],
            ..PLAIN
        },
    ];

    pub(crate) fn find(name: &str) -> Option<&'static Corefile> {
        Corefile::all().find(|corefile| corefile.name == name)
    }

    /// All of them: those of the cluster's zone and those of the plugin chain.
    pub(crate) fn all() -> impl Iterator<Item = &'static Corefile> {
        Corefile::CLUSTER.iter().chain(CHAIN)
    }

    /// Whether replies may come from a cache.
    pub(crate) fn caches(&self) -> bool {
        let mut lines = self.plugins.iter().chain(self.blocks);
        lines.any(|line| line.trim_start().starts_with("cache"))
    }

    /// Whether a reply depends on what was asked before or at the same time, so that one question is asked after the other.
    pub(crate) fn remembers(&self) -> bool {
        self.caches() || self.forward.contains(&LIMITED)
    }

    /// Whether the search path of a client's Pod counts.
    pub(crate) fn searches(&self) -> bool {
        self.plugins.iter().any(|line| line.starts_with("autopath"))
    }

    /// Whether it says which addresses are listened at.
    pub(crate) fn binds(&self) -> bool {
        self.plugins.iter().any(|line| line.starts_with("bind"))
    }

    /// Whether this option stands in `kubernetes`.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.contains(&option)
    }

    /// Whether a zone speaks of ServiceImports.
    pub(crate) fn imports(&self) -> bool {
        self.has("multicluster clusterset.local")
    }

    /// Whether objects are chosen by their labels.
    pub(crate) fn selects(&self) -> bool {
        self.options.iter().any(|line| line.starts_with("labels "))
    }

    /// Whether names of this zone that `kubernetes` denies are asked of the upstream.
    pub(crate) fn falls_through(&self, zone: &str) -> bool {
        let zones = self.options.iter().find_map(|line| line.strip_prefix("fallthrough"));
        zones.is_some_and(|zones| zones.is_empty() || zones.split_whitespace().any(|it| it == zone))
    }

    /// Whether names of this namespace can exist.
    pub(crate) fn exposes(&self, namespace: &str) -> bool {
        let names = self.options.iter().find_map(|line| line.strip_prefix("namespaces "));
        let hidden = self
            .options
            .iter()
            .find_map(|line| line.strip_prefix(HIDES)?.strip_suffix(')'));
        names.is_none_or(|names| names.split(' ').any(|name| name == namespace))
            && !hidden.is_some_and(|names| names.split(", ").any(|name| name == namespace))
    }

    /// The zones of `kubernetes`, between spaces.
    pub(crate) fn zones(&self) -> &'static str {
        match self.name {
            "bound" => "in-addr.arpa cluster.local ip6.arpa",
            _ if self.imports() => "cluster.local clusterset.local in-addr.arpa ip6.arpa",
            _ => "cluster.local in-addr.arpa ip6.arpa",
        }
    }

    /// The zone in which the targets of PTR records lie.
    pub(crate) fn primary(&self) -> &'static str {
        self.zones().split(' ').next().unwrap_or_default()
    }

    /// The text, for a kubeconfig and the addresses that the server is reached at from outside.
    pub(crate) fn text(&self, kubeconfig: &str, own: &[IpAddr]) -> String {
        let own: String = own.iter().map(|address| format!(" {address}")).collect();
        let plugins = self.plugins.iter().map(|line| match line.strip_prefix("bind") {
            Some(_) => format!("    {line}{own}\n"),
            None => format!("    {line}\n"),
        });
        let plugins: String = plugins.collect();
        let (zones, options, forward) = (self.zones(), indent(self.options, 8), indent(self.forward, 4));
        let text = format!(
            ".:53 {{\n    errors\n    health {{\n        lameduck 5s\n    }}\n    ready\n    \
             kubernetes {zones} {{\n        kubeconfig {kubeconfig}\n{options}    }}\n    \
             prometheus :9153\n{forward}{plugins}}}\n{}",
            indent(self.blocks, 0)
        );
        let (closed, port) = closed_port();
        text.replace("FIRST", &FIRST.address.to_string())
            .replace("SECOND", &SECOND.address.to_string())
            .replace("CLOSED", &format!("{closed}:{port}"))
            .replace("FILES", FOLDER)
    }
}

/// Lines, each so far from the left.
fn indent(lines: &[&str], depth: usize) -> String {
    let margin = " ".repeat(depth);
    lines.iter().map(|line| format!("{margin}{line}\n")).collect()
}

/// A file that Corefiles read: its path and its text.
pub(crate) fn files() -> [(String, &'static str); 2] {
    [("hosts", HOSTS), ("zone", ZONE)].map(|(name, text)| (format!("{FOLDER}/{name}"), text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_of_one_corefile_each() {
        let names: BTreeSet<&str> = Corefile::all().map(|corefile| corefile.name).collect();
        assert_eq!(names.len(), Corefile::all().count());
        for name in Corefile::TURNS {
            assert!(names.contains(name), "{name}");
        }
    }

    #[test]
    fn a_text_has_all_its_addresses_and_files() {
        for corefile in Corefile::all() {
            let text = corefile.text("/kubeconfig", &[]);
            for word in ["FIRST", "SECOND", "CLOSED", "FILES"] {
                assert!(!text.contains(word), "{text}");
            }
        }
    }
}
