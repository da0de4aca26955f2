//! How long the programs take, by test run, above a program of the same type that does nothing.
//!
//! Each run is one packet, so that every one of them sees the query (a repeated run would see its own reply).

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dns_userspace::cluster::Event;
use dns_userspace::cluster::object::{Endpoint, EndpointSlice, Kind, Object, ObjectKey, Port, Reach, Service};
use dns_userspace::corefile;
use dns_userspace::kernel::zones::KernelZone;
use dns_userspace::name::Name;
use dns_userspace::rules::Options;
use dns_userspace::zone::ZoneTable;
use kxdns_tests::figures::lowest_and_median;
use kxdns_tests::frames::{Family, Query, ones_sum, pseudo_header};
use kxdns_tests::program::{Floor, Hook, Programs};
use kxdns_tests::tables::{addresses, zone_table};

use crate::bench::Bench;
use crate::results::{Report, Table, Unit};

/// How many Services there are, each with a name, a port's name and an address's.
const NAMES: usize = 100_000;
/// Steps through a case's frames so that neighbours in time are none in the tables. It has no factor in common with how many
/// there are.
const STRIDE: usize = 7_919;
/// Where the UDP header stands in an IPv4 frame.
const UDP_AT: usize = 14 + 20;
const ADDRESS: [u8; 4] = [10, 107, 37, 188];

struct Case {
    what: &'static str,
    answered: bool,
    /// One of these at random each time.
    frames: Vec<Vec<u8>>,
}

/// Measures.
pub(crate) fn measure(bench: &Bench) -> Result<Report> {
    bench.say(format!("{NAMES} Services"));
    let (programs, floor) = (fill()?, Floor::load()?);
    let cases = cases();
    let runs = bench.effort.pick(50, 5_000, 20_000);
    let mut tables = Hook::ALL.map(|hook| (hook, Table::new(title(hook), "packet", &COLUMNS)));
    bench.take_turns(
        bench.effort.pick(1, 4, 10),
        &mut tables,
        |(hook, _)| title(*hook).to_owned(),
        |(hook, table)| {
            let empty = lowest_and_median(&mut time_floor(&floor, *hook, &cases[0], runs)?);
            for case in &cases {
                let [lowest, median] = lowest_and_median(&mut time(&programs, *hook, case, runs)?);
                let above = |time: i128, empty: i128| Some((time - empty) as f64 / 1e9);
                table.add(case.what, &[above(lowest, empty[0]), above(median, empty[1])]);
            }
            Ok(())
        },
    )?;
    let tables = tables
        .into_iter()
        .map(|(_, table)| table)
        .chain([instructions(&programs)?]);
    Ok(Report {
        title: "The programs alone".into(),
        about: ABOUT.map(str::to_owned).into(),
        tables: tables.collect(),
        ..Report::default()
    })
}

const COLUMNS: [(&str, Unit); 2] = [("lowest", Unit::Seconds), ("median", Unit::Seconds)];

fn title(hook: Hook) -> &'static str {
    match hook {
        Hook::Tc => "tc",
        Hook::TcPod => "tc for a pod",
        Hook::Xdp => "XDP",
        Hook::XdpVeth => "XDP for a veth",
    }
}

fn instructions(programs: &Programs) -> Result<Table> {
    let columns = [("verified", Unit::Count), ("translated", Unit::Count)];
    let mut table = Table::new("Instructions", "program", &columns);
    for hook in Hook::ALL {
        let (verified, translated) = programs.instructions(hook)?;
        table.add(title(hook), &[Some(verified.into()), Some(translated.into())]);
    }
    Ok(table)
}

const ABOUT: [&str; 2] = [
    "Time above an empty program of the same type, by `BPF_PROG_TEST_RUN`, with 100,000 Services in the maps and everything on: \
     destination, lease, counters, certainty. Each run is one packet, so that every one of them sees the query and none its own \
     reply; the kernel's clock goes in steps of about 10 ns. What the verifier walked through and what was translated is told \
     below.",
    "*One of 100,000*: a name's bucket and its record are two cache lines that depend on each other, and both are cold. *tc, \
     longer replies*: a test run leaves no room behind the packet, so that the kernel copies it to let it grow, which a pod's own \
     packets do not cost.",
];

fn fill() -> Result<Programs> {
    let mut programs = Programs::load()?;
    let (mut table, zones) = stage()?;
    programs.fill(&mut table, &zones)?;
    let long = Name::parse(&long_name()).context("it is a name")?;
    let record = addresses(&long, Some(ADDRESS), None);
    programs.set(&long, record)?;
    Ok(programs)
}

/// A cluster of many Services with cluster IPs and one headless one, in the zones that a cluster has.
fn stage() -> Result<(ZoneTable, Vec<KernelZone>)> {
    let corefile = corefile::parse(Path::new("Corefile"), COREFILE)?;
    let kubernetes = corefile.servers.first().and_then(|server| server.kubernetes.as_ref());
    let kubernetes = kubernetes.context("the Corefile has it")?;
    let names = Options::new(kubernetes, Vec::new(), None);
    let kinds = [Kind::Namespace, Kind::Service, Kind::EndpointSlice];
    let zones = ["cluster.local", "in-addr.arpa", "ip6.arpa"];
    let (mut table, zones) = zone_table(&zones, names, kubernetes.fallthrough.clone(), &kinds);
    for kind in kinds {
        for event in Event::list(kind, objects(kind)) {
            table.update(event, 1);
        }
    }
    Ok((table, zones))
}

const COREFILE: &str = ". {\n  kubernetes cluster.local in-addr.arpa ip6.arpa {\n    pods insecure\n    fallthrough \
                        in-addr.arpa ip6.arpa\n    ttl 30\n  }\n}\n";

fn objects(kind: Kind) -> Vec<Object> {
    let key = |name: &str| ObjectKey {
        namespace: "default".into(),
        name: name.into(),
    };
    let port = Port {
        name: "http".into(),
        protocol: "TCP".into(),
        number: Some(80),
    };
    let service = |name: &str, reach| {
        Object::Service(
            key(name),
            Service {
                reach,
                ports: vec![port.clone()],
            },
        )
    };
    let endpoint = |last: u8| Endpoint {
        address: [10, 244, 0, last].into(),
        hostname: None,
        pod: None,
        zone: None,
    };
    match kind {
        Kind::Namespace => vec![Object::Namespace("default".into())],
        Kind::EndpointSlice => {
            let slice = EndpointSlice {
                service: "many".into(),
                cluster: None,
                endpoints: (1..=10).map(endpoint).collect(),
                ports: [port].into(),
            };
            vec![Object::EndpointSlice(key("many"), slice)]
        }
        _ => {
            let address = |index: usize| Reach::ClusterIps(vec![Ipv4Addr::from(0x0a60_0000 + index as u32).into()]);
            let many = (0..NAMES).map(|index| service(&format!("s-{index:05}-web"), address(index)));
            let others = [
                service("web-service", Reach::ClusterIps(vec![ADDRESS.into()])),
                service("many", Reach::Headless),
            ];
            many.chain(others).collect()
        }
    }
}

fn name(index: usize) -> String {
    format!("s-{index:05}-web.default.svc.cluster.local")
}

/// A name of 255 bytes in wire form.
fn long_name() -> String {
    let label = "x".repeat(63);
    format!("{label}.{label}.{label}.{}.svc.cluster.local", "y".repeat(43))
}

/// The frame with the checksum that a socket leaves to a device that completes it.
fn waiting(mut frame: Vec<u8>) -> Vec<u8> {
    let [pod, service] = Family::V4.addresses();
    let sum = ones_sum(&pseudo_header(pod, service, (frame.len() - UDP_AT) as u16));
    frame[UDP_AT + 6..UDP_AT + 8].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn cases() -> Vec<Case> {
    let ask = |name: &str, qtype| Query::new(name, qtype).frame(Family::V4);
    let hit = "web-service.default.svc.cluster.local";
    let mut tcp = ask(hit, 1);
    tcp[23] = 6;
    let case = |what, answered, frames| Case { what, answered, frames };
    let upper: String = long_name()
        .chars()
        .enumerate()
        .map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c })
        .collect();
    vec![
        case("A, hit", true, vec![ask(hit, 1)]),
        case("A, hit, checksum left to device", true, vec![waiting(ask(hit, 1))]),
        case(
            "A, hit, mixed case",
            true,
            vec![ask("wEB-SERVICE.DEFAULT.svc.Cluster.LOCAL", 1)],
        ),
        case(
            "A, hit, with OPT",
            true,
            vec![Query::new(hit, 1).with_opt(1232, 0, &[]).frame(Family::V4)],
        ),
        case("A, hit, IPv6", true, vec![Query::new(hit, 1).frame(Family::V6)]),
        case(
            "A, one of 1,000",
            true,
            (0..1_000).map(|index| ask(&name(index * 29), 1)).collect(),
        ),
        case(
            "A, one of 100,000",
            true,
            (0..NAMES).map(|index| ask(&name(index), 1)).collect(),
        ),
        case("A, 255 bytes, mixed case", true, vec![ask(&upper, 1)]),
        case("A, ten addresses", true, vec![ask("many.default.svc.cluster.local", 1)]),
        case("AAAA, NODATA", true, vec![ask(hit, 28)]),
        case("SRV with glue", true, vec![ask(&format!("_http._tcp.{hit}"), 33)]),
        case("PTR", true, vec![ask("188.37.107.10.in-addr.arpa", 12)]),
        case(
            "A, NXDOMAIN by search list",
            true,
            vec![ask("www.example.com.default.svc.cluster.local", 1)],
        ),
        case("miss, outside the zones", false, vec![ask("www.example.com", 1)]),
        case("miss, uncertain", false, vec![ask("1.2.3.4.in-addr.arpa", 12)]),
        case("TCP, not DNS", false, vec![tcp]),
    ]
}

/// How long a program takes for a case, run by run.
fn time(programs: &Programs, hook: Hook, case: &Case, runs: usize) -> Result<Vec<Duration>> {
    let frames = case.frames.iter().cycle().step_by(STRIDE).take(runs);
    frames
        .map(|frame| {
            let (visit, duration) = programs.timed(hook, frame)?;
            ensure!(visit.answered == case.answered, "{}: {visit:?}", case.what);
            Ok(duration)
        })
        .collect()
}

/// How long an empty program takes.
fn time_floor(floor: &Floor, hook: Hook, case: &Case, runs: usize) -> Result<Vec<Duration>> {
    let frames = case.frames.iter().cycle().take(runs);
    frames.map(|frame| floor.timed(hook, frame)).collect()
}
