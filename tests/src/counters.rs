//! The counters that must not move when a reply is right: drops and errors of a link's both ends, bad checksums.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::namespace::Namespace;
use crate::node::Node;
use crate::pod::Pod;

/// Counters by a name that says where they stand.
pub type Counters = BTreeMap<String, u64>;

/// Reads every loss counter between a pod and its node. Two equal readings mean that nothing was lost in between.
pub fn read_losses(node: &Node, pod: &Pod) -> Result<Counters> {
    let mut counters = Counters::new();
    for (place, namespace, link) in [
        ("pod", pod.namespace(), "eth0"),
        ("node", node.namespace(), pod.node_link()),
    ] {
        let mut found = read_link(namespace, link)?;
        found.extend(read_xdp(namespace, link)?);
        counters.extend(
            found
                .into_iter()
                .map(|(name, value)| (format!("{place} {link} {name}"), value)),
        );
    }
    let protocol = read_protocol(pod.namespace())?;
    counters.extend(protocol.into_iter().map(|(name, value)| (format!("pod {name}"), value)));
    Ok(counters)
}

/// Errors and drops of one link, in both directions.
fn read_link(namespace: &Namespace, link: &str) -> Result<Counters> {
    let table = read_proc(namespace, "dev")?;
    let line = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(link)?.strip_prefix(':'));
    let fields: Vec<&str> = line
        .with_context(|| format!("there is no link {link}"))?
        .split_whitespace()
        .collect();
    let wanted = [("rx errors", 2), ("rx drops", 3), ("tx errors", 10), ("tx drops", 11)];
    wanted
        .into_iter()
        .map(|(name, field)| Ok((name.to_owned(), fields[field].parse()?)))
        .collect()
}

/// What the driver lost while an XDP program was at work.
fn read_xdp(namespace: &Namespace, link: &str) -> Result<Counters> {
    let statistics = namespace.run("ethtool", ["-S", link])?;
    let lost = |name: &str| name.contains("xdp") && (name.ends_with("errors") || name.ends_with("drops"));
    let pairs = statistics.lines().filter_map(|line| line.trim().split_once(": "));
    pairs
        .filter(|(name, _)| lost(name))
        .map(|(name, value)| Ok((name.to_owned(), value.parse()?)))
        .collect()
}

/// UDP datagrams that the namespace's stack threw away.
fn read_protocol(namespace: &Namespace) -> Result<Counters> {
    let mut counters = Counters::new();
    let ipv4 = read_proc(namespace, "snmp")?;
    let mut udp = ipv4.lines().filter_map(|line| line.strip_prefix("Udp: "));
    if let (Some(names), Some(values)) = (udp.next(), udp.next()) {
        for (name, value) in names
            .split(' ')
            .zip(values.split(' '))
            .filter(|(name, _)| is_error(name))
        {
            counters.insert(format!("Udp{name}"), value.parse()?);
        }
    }
    for line in read_proc(namespace, "snmp6")?.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [name, value] if name.starts_with("Udp6") && is_error(name) => {
                counters.insert(name.to_owned(), value.parse()?);
            }
            _ => {}
        }
    }
    Ok(counters)
}

fn is_error(name: &str) -> bool {
    name.ends_with("Errors")
}

fn read_proc(namespace: &Namespace, table: &str) -> Result<String> {
    let path = format!("/proc/{}/net/{table}", namespace.pid());
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}
