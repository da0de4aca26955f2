//! The Corefiles under which both servers are compared, by name. Both get the same text.

use std::net::{IpAddr, Ipv4Addr};

/// A Corefile, but for its paths and addresses.
pub(crate) struct Corefile {
    pub(crate) name: &'static str,
    /// The lines inside of `kubernetes`.
    options: &'static [&'static str],
    /// The lines after `forward`.
    plugins: &'static [&'static str],
}

/// The start of a line that names Namespaces that do not count.
const HIDES: &str = "namespace_labels kubernetes.io/metadata.name notin (";

impl Corefile {
    pub(crate) const ALL: [Corefile; 10] = [
        // What kubeadm 1.37 renders.
        Corefile {
            name: "kubeadm",
            options: &["pods insecure", "fallthrough in-addr.arpa ip6.arpa", "ttl 30"],
            plugins: &[
                "cache 30 {",
                "    disable success cluster.local",
                "    disable denial cluster.local",
                "}",
                "loop",
                "reload",
                "loadbalance",
            ],
        },
        // The form of old, but for its `cache 30`: it answers from the past.
        Corefile {
            name: "classic",
            options: &["pods insecure", "fallthrough in-addr.arpa ip6.arpa", "ttl 30"],
            plugins: &["loop", "reload", "loadbalance"],
        },
        Corefile {
            name: "verified",
            options: &["pods verified"],
            plugins: &["loadbalance"],
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
        },
        Corefile {
            name: "ignore",
            options: &["pods insecure", "ignore empty_service", "fallthrough"],
            plugins: &["loadbalance"],
        },
        Corefile {
            name: "noendpoints",
            options: &["pods insecure", "noendpoints", "ttl 0"],
            plugins: &["loadbalance"],
        },
        Corefile {
            name: "zonal",
            options: &["pods insecure", "zonal", "fallthrough in-addr.arpa ip6.arpa", "ttl 30"],
            plugins: &["loadbalance"],
        },
        Corefile {
            name: "multicluster",
            options: &["pods verified", "zonal", "multicluster clusterset.local", "ttl 30"],
            plugins: &["loadbalance"],
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
            plugins: &["loadbalance"],
        },
        // A reverse zone stands first: CoreDNS takes it for the one that the targets of PTR records lie in.
        Corefile {
            name: "bound",
            options: &["pods insecure"],
            plugins: &["bind 127.0.0.1", "loadbalance"],
        },
    ];

    pub(crate) fn find(name: &str) -> Option<&'static Corefile> {
        Corefile::ALL.iter().find(|corefile| corefile.name == name)
    }

    /// Whether what is not of the cluster's zone may come from a cache.
    pub(crate) fn caches(&self) -> bool {
        self.plugins.iter().any(|line| line.starts_with("cache"))
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

    /// The text, for a kubeconfig, the address of the upstream and those that the server is reached at from outside.
    pub(crate) fn text(&self, kubeconfig: &str, upstream: Ipv4Addr, own: &[IpAddr]) -> String {
        let options: String = self.options.iter().map(|line| format!("        {line}\n")).collect();
        let own: String = own.iter().map(|address| format!(" {address}")).collect();
        let plugins = self.plugins.iter().map(|line| match line.strip_prefix("bind") {
            Some(_) => format!("    {line}{own}\n"),
            None => format!("    {line}\n"),
        });
        let plugins: String = plugins.collect();
        let zones = self.zones();
        format!(
            ".:53 {{\n    errors\n    health {{\n        lameduck 5s\n    }}\n    ready\n    \
             kubernetes {zones} {{\n        kubeconfig {kubeconfig}\n{options}    }}\n    \
             prometheus :9153\n    forward . {upstream} {{\n        max_concurrent 1000\n    }}\n{plugins}}}\n"
        )
    }
}
