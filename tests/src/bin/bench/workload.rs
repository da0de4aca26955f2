//! What kxdns does for pods that resolve names as Kubernetes sets them up, with a search list and `ndots:5`: the resolvers of
//! glibc and musl look the same names up, with CoreDNS on another node behind kube-proxy, and with kxdns on their own besides.
//!
//! Every address is checked. What leaves the node is counted where it leaves, what the kernel answers by its own counters;
//! nothing but the pods' resolvers asks.

mod mix;
mod round;
mod stage;

use std::time::Duration;

use anyhow::{Result, ensure};
use kxdns_tests::figures::percentile;

use crate::bench::Bench;
use crate::results::{Report, Table, Unit};
use round::{LIBRARIES, Library, Round};
use stage::Stage;

/// A resolver that looks names up, and whether kxdns is there.
#[derive(Clone, Copy)]
struct Subject {
    library: Library,
    with_kxdns: bool,
}

impl Subject {
    fn name(&self) -> String {
        let presence = if self.with_kxdns { "with" } else { "without" };
        format!("{}, {presence} kxdns", self.library.name)
    }
}

/// Measures.
pub(crate) fn measure(bench: &Bench) -> Result<Report> {
    bench.say("a control plane, CoreDNS and kube-proxy");
    let stage = Stage::build()?;
    let entries = mix::draw(bench.effort.pick(100, 500, 1_000));
    let subject = |library| [false, true].map(|with_kxdns| Subject { library, with_kxdns });
    let mut subjects = LIBRARIES.map(subject).concat();
    let mut lookups = Table::new("Lookups", "resolver", &LOOKUPS);
    let mut questions = Table::new("Questions", "resolver", &QUESTIONS);
    bench.take_turns(bench.effort.pick(1, 3, 5), &mut subjects, Subject::name, |subject| {
        let agent = subject.with_kxdns.then(|| stage.start_agent()).transpose()?;
        let round = stage.look_up(subject.library, &entries, agent.as_ref())?;
        ensure!(round.wrong.is_empty(), "wrong lookups: {}", round.wrong.join("; "));
        agent.map_or(Ok(()), |agent| agent.stop())?;
        lookups.add(&subject.name(), &times(&round));
        questions.add(&subject.name(), &counts(&round));
        Ok(())
    })?;
    Ok(Report {
        title: "Under `ndots:5`".into(),
        about: vec![
            ABOUT.into(),
            format!("The proportions are chosen: {}.", mix::describe()),
        ],
        tables: vec![lookups, questions],
        ..Report::default()
    })
}

const LOOKUPS: [(&str, Unit); 6] = [
    ("a cluster's name, p50", Unit::Seconds),
    ("p90", Unit::Seconds),
    ("p99", Unit::Seconds),
    ("another name, p50", Unit::Seconds),
    ("its p90", Unit::Seconds),
    ("its p99", Unit::Seconds),
];

/// A round's samples for [`LOOKUPS`].
fn times(round: &Round) -> [Option<f64>; 6] {
    let [cluster, other] = [0, 1].map(|kind: usize| {
        let mut times = round.times[kind].clone();
        times.sort_unstable();
        [0.5, 0.9, 0.99].map(|share| percentile(&times, share).as_ref().map(Duration::as_secs_f64))
    });
    let ([a, b, c], [d, e, f]) = (cluster, other);
    [a, b, c, d, e, f]
}

const QUESTIONS: [(&str, Unit); 4] = [
    ("a lookup asks", Unit::Count),
    ("of them leave the node", Unit::Count),
    ("answered in the kernel", Unit::Share),
    ("of those about the cluster's names", Unit::Share),
];

/// A round's samples for [`QUESTIONS`].
fn counts(round: &Round) -> [Option<f64>; 4] {
    let (lookups, seen) = (round.lookups() as f64, round.kernel);
    let about_cluster = (seen.answered + seen.passed) as f64;
    let asked = about_cluster + seen.outside as f64;
    let answered = seen.answered as f64;
    // Without kxdns nobody counts them but whoever counts what leaves, which is all of them.
    let asks = if asked > 0.0 { asked } else { round.left as f64 };
    [
        Some(asks / lookups),
        Some(round.left as f64 / lookups),
        (asked > 0.0).then(|| answered / asked),
        (asked > 0.0).then(|| answered / about_cluster),
    ]
}

const ABOUT: &str = "Eight pods of the namespace `default` look names up at once, by the resolvers of glibc and of musl, each in \
     both families, with the search list that the kubelet writes and the domain of a cloud's nodes behind it. CoreDNS is on \
     another node, behind kube-proxy; with kxdns the pods' node answers besides. What it does not answer about the cluster's \
     names is the ExternalName, which only an upstream resolves.";
