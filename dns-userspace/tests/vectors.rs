//! The agent's server against replies of a running CoreDNS 1.14.7: 192 questions under eight Corefiles, over UDP and TCP.
//!
//! The recorded replies are not part of the project; where they are not at hand, nothing is compared, and the test says
//! so. `rules.rs` has tests of its own for each rule, and `cargo xtask differential` asks a CoreDNS that runs.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use dns_userspace::cluster::Event;
use dns_userspace::cluster::object::{Kind, Object, read};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use support::meaning::Meaning;
use support::server::{Server, ask_tcp, ask_udp};

/// The deliberate deviations: names and the types that differ there, with the reason.
const DEVIATIONS: [(&str, &[&str], &str); 8] = [
    (
        "cluster.local.",
        &["TXT"],
        "exists without records, so NODATA for TXT too",
    ),
    (
        "svc.cluster.local.",
        &["TXT"],
        "exists without records, so NODATA for TXT too",
    ),
    (
        "ns1.svc.cluster.local.",
        &["TXT"],
        "exists without records, so NODATA for TXT too",
    ),
    (
        "ns1.pod.cluster.local.",
        &["TXT"],
        "exists without records, so NODATA for TXT too",
    ),
    ("Cluster.Local.", &["NS"], "letter case makes no difference"),
    ("ns.dns.Cluster.local.", &["A"], "letter case makes no difference"),
    (
        "nocip.ns1.svc.cluster.local.",
        &["A"],
        "no address is no CNAME to the root",
    ),
    (
        "60.0.244.10.in-addr.arpa.",
        &["PTR"],
        "a slice of no Service names nobody; CoreDNS says nothing at all",
    ),
];

#[derive(Deserialize)]
struct Vector {
    config: String,
    qname: String,
    qtype: String,
    edns: Option<u16>,
    query_hex: String,
    reply_hex: Option<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_says_what_coredns_said() -> Result<()> {
    let Some(folder) = recorded()? else { return Ok(()) };
    let events = read_events(&folder)?;
    let mut by_config = BTreeMap::<String, Vec<Vector>>::new();
    for vector in read_vectors(&folder)? {
        by_config.entry(vector.config.clone()).or_default().push(vector);
    }
    let (mut compared, mut deviations, mut differences) = (0, BTreeSet::new(), Vec::new());
    for (index, (config, vectors)) in by_config.iter().enumerate() {
        let corefile = fs::read_to_string(folder.join(format!("Corefile.{config}")))?;
        let server = Server::start(index, &corefile, &events).await?;
        for vector in vectors {
            let query = unhex(&vector.query_hex)?;
            for (protocol, reply) in [
                ("UDP", ask_udp(server.address, &query).await?),
                ("TCP", ask_tcp(server.address, &query).await?),
            ] {
                compared += 1;
                if let Some(difference) = compare(vector, protocol, &reply)? {
                    match deviation(vector) {
                        Some(index) => drop(deviations.insert(index)),
                        None => differences.push(difference),
                    }
                }
            }
        }
    }
    tell(&format!("{compared} replies compared with recorded ones"))?;
    ensure!(compared == 2 * 1920, "only {compared} replies were compared");
    ensure!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
    ensure!(
        deviations.len() == DEVIATIONS.len(),
        "a deviation is listed that is none: {deviations:?}"
    );
    Ok(())
}

fn compare(vector: &Vector, protocol: &str, reply: &[u8]) -> Result<Option<String>> {
    let mut said = Meaning::of(reply)?;
    let mut expected = match &vector.reply_hex {
        Some(reply) => Some(Meaning::of(&unhex(reply)?)?),
        None => None,
    };
    if let Some(expected) = &mut expected {
        // The recordings are of UDP. What was truncated there is whole over TCP, and need not be cut at the same record.
        if expected.truncated && (said.truncated || protocol == "TCP") {
            (said.truncated, said.records) = (true, expected.records.clone());
        }
        // A cache, which kxdns has not yet, sets AA of what it has kept, and its TTLs count down.
        if vector.config == "kubeadm" && (expected.recursion_available || expected.is_about("example.com")) {
            said.authoritative |= expected.authoritative;
            said.forget_ttls();
            expected.forget_ttls();
        }
    }
    let Vector {
        config,
        qname,
        qtype,
        edns,
        ..
    } = vector;
    Ok((Some(&said) != expected.as_ref())
        .then(|| format!("{config} {qname} {qtype} {edns:?} {protocol}:\n  kxdns   {said:?}\n  CoreDNS {expected:?}")))
}

fn deviation(vector: &Vector) -> Option<usize> {
    DEVIATIONS
        .iter()
        .position(|(name, types, _)| *name == vector.qname && types.contains(&vector.qtype.as_str()))
}

/// The folder of recorded replies beside the checkout.
fn recorded() -> Result<Option<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    if folder.join("vectors.jsonl.gz").exists() {
        return Ok(Some(folder));
    }
    tell(&format!(
        "nothing is compared: no recorded replies in {}",
        folder.display()
    ))?;
    Ok(None)
}

/// Tells something whether or not the test fails.
fn tell(line: &str) -> Result<()> {
    Ok(writeln!(io::stderr(), "{line}")?)
}

fn read_vectors(folder: &Path) -> Result<Vec<Vector>> {
    let lines = BufReader::new(GzDecoder::new(File::open(folder.join("vectors.jsonl.gz"))?)).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

fn read_events(folder: &Path) -> Result<Vec<Event>> {
    let text = fs::read_to_string(folder.join("objects.json"))?;
    let mut lists: BTreeMap<String, Vec<Box<RawValue>>> = serde_json::from_str(&text)?;
    let mut events = Vec::new();
    for (list, kind) in [
        ("namespaces", Kind::Namespace),
        ("services", Kind::Service),
        ("endpointslices", Kind::EndpointSlice),
        ("pods", Kind::Pod),
    ] {
        let objects = lists.remove(list).context("no such list")?;
        let read = |object: &RawValue| -> Option<Object> { read(kind, object.get()).ok()?.object };
        events.extend(Event::list(
            kind,
            objects.iter().filter_map(|object| read(object)).collect(),
        ));
    }
    Ok(events)
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let byte = |at| Ok(u8::from_str_radix(text.get(at..at + 2).context("odd hex")?, 16)?);
    (0..text.len()).step_by(2).map(byte).collect()
}
