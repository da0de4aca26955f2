//! Replies of a running CoreDNS 1.14.7 to 192 questions under eight Corefiles, and how a reply compares with them.
//!
//! They are not part of the project: they are looked for beside the checkout.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use dns_userspace::cluster::object::{Kind, read};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::meaning::Meaning;

/// How many questions there are.
pub(crate) const VECTORS: usize = 1920;

/// Where the recorded CoreDNS had its upstream, and which addresses of its own it knew.
pub(crate) const UPSTREAM: &str = "127.0.0.1:5399";
pub(crate) const OWN_ADDRESSES: [&str; 3] = ["192.0.2.2", "fd00::2", "fe80::fc:ff:fe00:1"];

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

/// What was recorded.
pub(crate) struct Recording {
    folder: PathBuf,
}

/// A question, and what CoreDNS replied to it.
#[derive(Deserialize)]
pub(crate) struct Vector {
    config: String,
    pub(crate) qname: String,
    qtype: String,
    edns: Option<u16>,
    query_hex: String,
    reply_hex: Option<String>,
}

impl Recording {
    /// Looks beside the checkout; says so where there is nothing.
    pub(crate) fn find() -> Result<Option<Recording>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
        if folder.join("vectors.jsonl.gz").exists() {
            return Ok(Some(Recording { folder }));
        }
        tell(&format!(
            "nothing is compared: no recorded replies in {}",
            folder.display()
        ))?;
        Ok(None)
    }

    /// The questions, by the name of the Corefile that they were asked under.
    pub(crate) fn vectors(&self) -> Result<BTreeMap<String, Vec<Vector>>> {
        let file = File::open(self.folder.join("vectors.jsonl.gz"))?;
        let mut vectors = BTreeMap::<String, Vec<Vector>>::new();
        for line in BufReader::new(GzDecoder::new(file)).lines() {
            let vector: Vector = serde_json::from_str(&line?)?;
            vectors.entry(vector.config.clone()).or_default().push(vector);
        }
        Ok(vectors)
    }

    /// The text of a Corefile.
    pub(crate) fn corefile(&self, config: &str) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join(format!("Corefile.{config}")))?)
    }

    /// The objects of the cluster that make sense, as JSON without kind.
    pub(crate) fn objects(&self) -> Result<Vec<(Kind, String)>> {
        let text = fs::read_to_string(self.folder.join("objects.json"))?;
        let mut lists: BTreeMap<String, Vec<Box<RawValue>>> = serde_json::from_str(&text)?;
        let mut objects = Vec::new();
        for kind in [Kind::Namespace, Kind::Service, Kind::EndpointSlice, Kind::Pod] {
            let list = lists.remove(kind.resource()).context("no such list")?;
            let texts = list.iter().map(|object| object.get());
            let sound = texts.filter(|text| read(kind, text).is_ok_and(|reading| reading.object.is_some()));
            objects.extend(sound.map(|text| (kind, text.to_owned())));
        }
        Ok(objects)
    }
}

impl Vector {
    /// The question's message.
    pub(crate) fn query(&self) -> Result<Vec<u8>> {
        unhex(&self.query_hex)
    }

    /// How a reply differs from the recorded one. The recordings are of UDP: what was truncated there may be whole where
    /// more has room, and need not be cut at the same record.
    fn differ(&self, path: &str, reply: &[u8], has_more_room: bool) -> Result<Option<String>> {
        let mut said = Meaning::of(reply)?;
        let mut expected = self.reply()?;
        if let Some(expected) = &mut expected {
            if expected.truncated && (said.truncated || has_more_room) {
                (said.truncated, said.records) = (true, expected.records.clone());
            }
            // A cache, which kxdns has not yet, sets AA of what it has kept, and its TTLs count down.
            if self.config == "kubeadm" && (expected.recursion_available || expected.is_about("example.com")) {
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
        } = self;
        Ok((Some(&said) != expected.as_ref())
            .then(|| format!("{config} {qname} {qtype} {edns:?} {path}:\n  kxdns   {said:?}\n  CoreDNS {expected:?}")))
    }

    fn reply(&self) -> Result<Option<Meaning>> {
        let reply = self.reply_hex.as_ref().map(|reply| Meaning::of(&unhex(reply)?));
        reply.transpose()
    }

    fn deviation(&self) -> Option<usize> {
        DEVIATIONS
            .iter()
            .position(|(name, types, _)| *name == self.qname && types.contains(&self.qtype.as_str()))
    }
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let byte = |at| Ok(u8::from_str_radix(text.get(at..at + 2).context("odd hex")?, 16)?);
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Replies as they are compared with the recorded ones.
#[derive(Default)]
pub(crate) struct Comparison {
    compared: usize,
    deviations: BTreeSet<usize>,
    differences: Vec<String>,
}

impl Comparison {
    /// Compares a reply that came on this path.
    pub(crate) fn take(&mut self, vector: &Vector, path: &str, reply: &[u8], has_more_room: bool) -> Result<()> {
        self.compared += 1;
        if let Some(difference) = vector.differ(path, reply, has_more_room)? {
            match vector.deviation() {
                Some(index) => drop(self.deviations.insert(index)),
                None => self.differences.push(difference),
            }
        }
        Ok(())
    }

    /// Fails if there were differences, or deviations that are none, or not as many replies as expected.
    pub(crate) fn finish(self, expected: usize) -> Result<()> {
        let Comparison {
            compared,
            deviations,
            differences,
        } = self;
        tell(&format!("{compared} replies compared with recorded ones"))?;
        ensure!(compared == expected, "only {compared} replies were compared");
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
}

/// Tells something whether or not the test fails.
fn tell(line: &str) -> Result<()> {
    Ok(writeln!(io::stderr(), "{line}")?)
}
