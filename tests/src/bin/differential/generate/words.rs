//! The names that objects and questions are made of: plain ones, ones that mean something in DNS, and the longest.

/// A label of 63 bytes.
pub(crate) const LONGEST: &str = "a23456789-b23456789-c23456789-d23456789-e23456789-f23456789-abc";

/// The namespaces that may exist. `apple` and `berry` are those of the Corefile `strict`.
pub(crate) const NAMESPACES: [&str; 6] = ["apple", "berry", "cherry", "svc", "pod", LONGEST];

/// The names of Services.
pub(crate) const SERVICES: [&str; 14] = [
    "web", "db", "cache", "queue", "mail", "svc", "pod", "ns", "dns", "tcp", "http", "alias", "apple", LONGEST,
];

/// The hostnames of endpoints and Pods; one looks like an address.
pub(crate) const HOSTNAMES: [&str; 6] = ["db-0", "db-1", "host", "10-244-0-8", "web", LONGEST];

/// The names of ports.
pub(crate) const PORTS: [&str; 6] = ["http", "https", "dns", "dns-tcp", "metrics", "p"];

/// The protocols of ports.
pub(crate) const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// The topology zones of endpoints.
pub(crate) const ZONES: [&str; 4] = ["eu-1a", "eu.1b", "mars", "Venus"];

/// The clusters that ServiceImports are from. Nothing keeps a label's value from being no label of DNS.
pub(crate) const CLUSTERS: [&str; 6] = ["east", "west", "West", "eu.1b", "web", "svc_1"];

/// The values of the label that Services select Pods by.
pub(crate) const APPS: [&str; 3] = ["red", "green", "blue"];

/// Names outside of the cluster; `upstream.rs` answers by their first label.
pub(crate) const OUTSIDE: [&str; 14] = [
    "www.example.com",
    "many.example.com",
    "big.example.com",
    "alias.example.com",
    "nx.example.com",
    "servfail.example.com",
    "refused.example.com",
    "nodata.example.com",
    "text.example.net",
    "mail.example.net",
    "deep.er.example.org",
    "single",
    "svc.cluster.example",
    "example.cluster.localhost",
];
