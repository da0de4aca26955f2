//! The DNS rules against replies of a running CoreDNS 1.14.7: 192 questions under eight Corefiles.
//!
//! The recorded replies are not part of the project; where they are not at hand, nothing is compared, and the test says
//! so. `rules.rs` has tests of its own for each rule.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use dns_userspace::cluster::object::{Kind, read};
use dns_userspace::cluster::{Cluster, Event};
use dns_userspace::corefile::{self, Kubernetes};
use dns_userspace::name::Name;
use dns_userspace::records::labels_below;
use dns_userspace::rules::{self, Answer, Data, Options, Target};
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, ParsedName, ParsedRecord};
use domain::rdata::AllRecordData;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Where the addresses of the recording CoreDNS are told.
const OWN_ADDRESSES: [&str; 3] = ["192.0.2.2", "fd00::2", "fe80::fc:ff:fe00:1"];

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
    query_hex: String,
    reply_hex: Option<String>,
}

#[test]
fn the_rules_say_what_coredns_said() -> Result<()> {
    let Some(folder) = recorded()? else { return Ok(()) };
    let mut cluster = read_cluster(&folder)?;
    cluster.apply(Event::Reset(Kind::Pod, read_objects(&folder, "pods", Kind::Pod)?));
    let mut configs = BTreeMap::new();
    let (mut compared, mut deviations) = (0, BTreeMap::new());
    let mut differences = Vec::new();
    for vector in read_vectors(&folder)? {
        let config = match configs.get(&vector.config) {
            Some(config) => config,
            None => configs
                .entry(vector.config.clone())
                .or_insert(read_config(&folder, &vector.config)?),
        };
        let Some((said, expected)) = compare(&cluster, config, &vector)? else {
            continue;
        };
        compared += 1;
        if said == expected {
            continue;
        }
        match deviation(&vector) {
            Some(index) => *deviations.entry(index).or_insert(0) += 1,
            None => differences.push(format!(
                "{} {} {}:\n  kxdns   {said:?}\n  CoreDNS {expected:?}",
                vector.config, vector.qname, vector.qtype
            )),
        }
    }
    tell(&format!("{compared} recorded replies compared"))?;
    ensure!(compared > 1500, "only {compared} replies were compared");
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

/// What was said, made comparable: whether the name exists, and the records of answer and additional section, sorted.
type Said = (bool, Vec<String>);

/// What we say and what CoreDNS said; `None` where the rules are not asked.
fn compare(cluster: &Cluster, config: &Kubernetes, vector: &Vector) -> Result<Option<(Said, Said)>> {
    let qname = Name::parse(&vector.qname).context("a bad name")?;
    let zone = Name::parse("cluster.local").context("a bad zone")?;
    let query = Message::from_octets(unhex(&vector.query_hex)?)?;
    let qtype = query.sole_question()?.qtype();
    if matches!(qtype, Rtype::AXFR | Rtype::IXFR | Rtype::SOA) {
        return Ok(None);
    }
    let options = Options::new(
        config,
        OWN_ADDRESSES
            .iter()
            .filter_map(|it| it.parse::<IpAddr>().ok())
            .collect(),
    );
    let answer = match (labels_below(&qname, &zone), rules::reverse_address(&qname)) {
        (Some(labels), _) => rules::answer(cluster, &options, &zone, &labels, qtype.to_int()),
        (None, Some(address)) if qtype == Rtype::PTR => rules::pointers(cluster, &options, address),
        _ => return Ok(None),
    };
    let Some(reply) = &vector.reply_hex else {
        return Ok(Some((describe(&answer, &vector.qname), (true, vec!["silence".into()]))));
    };
    let reply = Message::from_octets(unhex(reply)?)?;
    if reply.header().tc() {
        return Ok(None);
    }
    let mut expected = (reply.header().rcode() != Rcode::NXDOMAIN, records(&reply)?);
    if let Answer::Elsewhere { .. } = answer {
        // What stands elsewhere is not said by the rules.
        expected.1.retain(|record| record.contains(" CNAME "));
    }
    Ok(Some((describe(&answer, &vector.qname), expected)))
}

fn describe(answer: &Answer, qname: &str) -> Said {
    let (aliases, glue) = match answer {
        Answer::Absent => return (false, vec![]),
        Answer::Records(records) => (&records.answer, &records.glue[..]),
        Answer::Elsewhere { aliases, .. } => (aliases, &[][..]),
    };
    let mut lines: Vec<_> = aliases
        .iter()
        .map(|record| line(record.owner.as_deref().unwrap_or(qname), &data(&record.data)))
        .chain(
            glue.iter()
                .map(|(target, address)| line(&absolute(target), &address_text(*address))),
        )
        .collect();
    lines.sort();
    (true, lines)
}

fn data(data: &Data) -> String {
    match data {
        Data::A(address) => address_text((*address).into()),
        Data::Aaaa(address) => address_text((*address).into()),
        Data::Cname(target) => format!("CNAME {}", target.trim_end_matches('.')),
        Data::Ns(target) => format!("NS {}", absolute(target)),
        Data::Ptr(target) => format!("PTR {}", absolute(target)),
        Data::Txt(text) => format!("TXT \"{text}\""),
        Data::Srv { weight, port, target } => format!("SRV 0 {weight} {port} {}", absolute(target)),
    }
}

fn address_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("A {address}"),
        IpAddr::V6(address) => format!("AAAA {address}"),
    }
}

fn absolute(target: &Target) -> String {
    format!("{target}.cluster.local")
}

fn line(owner: &str, data: &str) -> String {
    let (rtype, data) = data.split_once(' ').unwrap_or((data, ""));
    let tail = data.trim_end_matches('.').to_lowercase();
    format!("{} {rtype} {tail}", owner.trim_end_matches('.').to_lowercase())
}

fn records(reply: &Message<Vec<u8>>) -> Result<Vec<String>> {
    let text = |record: ParsedRecord<'_, Vec<u8>>| -> Result<Option<String>> {
        if matches!(record.rtype(), Rtype::OPT | Rtype::SOA) {
            return Ok(None);
        }
        let record = record.to_any_record::<AllRecordData<_, ParsedName<_>>>()?;
        let data = format!("{} {}", record.rtype(), record.data());
        Ok(Some(line(&record.owner().to_string(), &data)))
    };
    let mut lines = Vec::new();
    for record in reply.iter() {
        lines.extend(text(record?.0)?);
    }
    lines.sort();
    Ok(lines)
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

fn read_cluster(folder: &Path) -> Result<Cluster> {
    let mut cluster = Cluster::default();
    for (list, kind) in [
        ("namespaces", Kind::Namespace),
        ("services", Kind::Service),
        ("endpointslices", Kind::EndpointSlice),
    ] {
        cluster.apply(Event::Reset(kind, read_objects(folder, list, kind)?));
    }
    Ok(cluster)
}

fn read_objects(folder: &Path, list: &str, kind: Kind) -> Result<Vec<dns_userspace::cluster::object::Object>> {
    let text = fs::read_to_string(folder.join("objects.json"))?;
    let mut lists: BTreeMap<String, Vec<Box<RawValue>>> = serde_json::from_str(&text)?;
    let objects = lists.remove(list).context("no such list")?;
    Ok(objects
        .iter()
        .filter_map(|object| read(kind, object.get()).ok().flatten())
        .collect())
}

fn read_config(folder: &Path, name: &str) -> Result<Kubernetes> {
    let path = folder.join(format!("Corefile.{name}"));
    let config = corefile::parse(&path, &fs::read_to_string(&path)?)?;
    let servers = config.servers.into_iter();
    servers
        .into_iter()
        .find_map(|server| server.kubernetes)
        .context("no `kubernetes`")
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let byte = |at| Ok(u8::from_str_radix(text.get(at..at + 2).context("odd hex")?, 16)?);
    (0..text.len()).step_by(2).map(byte).collect()
}
