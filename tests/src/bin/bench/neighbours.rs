//! What a pod's other traffic pays for a program on its link: bulk TCP, and small packets, which cost by the piece.

mod flood;

use std::time::Duration;

use anyhow::{Context as _, Result};
use dns_userspace::kernel::hook::Hook;
use kxdns_tests::agent::Agent;
use kxdns_tests::bulk::{Amount, BulkServer, Direction};
use kxdns_tests::node::NODE_IPV4;

use self::flood::flood;
use crate::bench::Bench;
use crate::path::{KERNEL_ONLY, Place, start_agent};
use crate::records::records;
use crate::results::{Bound, Goal, Report, Row, Table, Unit, ratios};

const NONE: &str = "none";
/// What else a link may have; the first is what virtual links get unasked.
const HOOKS: [Hook; 3] = [Hook::Tcx, Hook::XdpGeneric, Hook::XdpNative];
const COLUMNS: [(&str, Unit); 4] = [
    ("TCP out", Unit::BitsPerSecond),
    ("TCP in", Unit::BitsPerSecond),
    ("small packets out", Unit::PerSecond),
    ("small packets in", Unit::PerSecond),
];
/// What TCP keeps with the default hook, at least.
const KEPT: f64 = 0.99;

/// Measures the traffic of a pod for each hook.
pub(crate) fn measure(bench: &Bench) -> Result<Report> {
    let rounds = bench.effort.pick(1, 5, 10);
    let hooks = [NONE].into_iter().chain(HOOKS.map(Hook::name));
    let links: Vec<Link> = hooks.map(Link::make).collect::<Result<_>>()?;
    bench.say("agents start");
    let mut subjects: Vec<Subject<'_>> = links.iter().map(Subject::start).collect::<Result<_>>()?;

    let mut traffic = Table::new("Other traffic", "hook", &COLUMNS);
    bench.take_turns(
        rounds,
        &mut subjects,
        |subject| subject.link.hook.to_owned(),
        |subject| {
            traffic.add(subject.link.hook, &subject.measure(bench)?.map(Some));
            Ok(())
        },
    )?;
    subjects.into_iter().try_for_each(|subject| subject.agent.stop())?;
    Ok(report(traffic))
}

/// A pod's link to a node of its own, and the hook that it is for.
struct Link {
    hook: &'static str,
    place: Place,
}

/// A link with everything that is measured on it.
struct Subject<'l> {
    link: &'l Link,
    server: BulkServer,
    agent: Agent<'l>,
}

impl Link {
    fn make(hook: &'static str) -> Result<Self> {
        let place = Place::build()?;
        Ok(Self { hook, place })
    }
}

impl<'l> Subject<'l> {
    /// Starts everything and waits until the kernel answers, where it is to.
    fn start(link: &'l Link) -> Result<Self> {
        let agent = start_agent(&link.place, link.hook, &KERNEL_ONLY, &records()).context(link.hook)?;
        let server = BulkServer::start(&link.place.node)?;
        Ok(Self { link, server, agent })
    }

    /// A sample for each column.
    fn measure(&self, bench: &Bench) -> Result<[f64; 4]> {
        let amount = bench
            .effort
            .pick(Amount::Bytes(256_000_000), Amount::Seconds(1), Amount::Seconds(2));
        let time = Duration::from_secs_f64(bench.effort.pick(0.3, 1.0, 2.0));
        let Place { node, pod } = &self.link.place;
        let (outside, inside) = (node.namespace(), pod.namespace());
        // By turns, for iperf3's server turns away whoever comes before it is done with the last one.
        let bulk_out = self.server.measure(pod, Direction::Out, amount)?;
        let small_out = flood(inside, outside, NODE_IPV4, time)?;
        let bulk_in = self.server.measure(pod, Direction::In, amount)?;
        let small_in = flood(outside, inside, pod.ipv4(), time)?;
        Ok([bulk_out, bulk_in, small_out, small_in])
    }
}

fn report(traffic: Table) -> Report {
    let shares = shares(&traffic);
    let goals = ["TCP out", "TCP in"].map(|column| Goal {
        what: format!("{column} with {}, as a share of that without program", HOOKS[0]),
        bound: Bound::AtLeast(KEPT),
        unit: Unit::Ratio,
        samples: shares.samples(HOOKS[0].name(), column).to_vec(),
    });
    Report {
        title: "What other traffic pays".to_owned(),
        about: about(),
        tables: vec![traffic, shares],
        goals: goals.into(),
        ..Report::default()
    }
}

/// What each hook leaves of the traffic without program, by turns of the same round.
fn shares(traffic: &Table) -> Table {
    let mut shares = Table::new(
        "As a share of none",
        "hook",
        &COLUMNS.map(|(name, _)| (name, Unit::Ratio)),
    );
    for hook in HOOKS.map(Hook::name) {
        let column = |(name, _)| ratios(traffic.samples(hook, name), traffic.samples(NONE, name));
        shares.rows.push(Row {
            name: hook.to_owned(),
            cells: COLUMNS.map(column).into(),
        });
    }
    shares
}

fn about() -> Vec<String> {
    [
        "A pod and its node send to each other over a veth pair: bulk TCP by iperf3, and UDP datagrams of 64 bytes \
         from one socket to one other, of which those count that arrive. *Out* is from the pod: the program sees every \
         packet, and native XDP takes segmentation offload from the pod. *In* is to the pod: the program sees nothing \
         but the pod's acknowledgements.",
        "Each hook has a node and a pod of its own, all at once, and they take turns. The agent runs in all of them, \
         with *none* attached to nothing; elsewhere the kernel has answered the pod before. GRO is on in every pod, \
         since native XDP needs it.",
    ]
    .map(str::to_owned)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_about_the_default_hook_round_by_round() {
        let mut traffic = Table::new("Other traffic", "hook", &COLUMNS);
        let mut add = |hook, rates: [f64; 4]| traffic.add(hook, &rates.map(Some));
        add("none", [10.0, 8.0, 4.0, 2.0]);
        add("tcx", [9.0, 8.0, 3.0, 2.0]);
        add("none", [5.0, 4.0, 4.0, 2.0]);
        add("tcx", [5.0, 6.0, 4.0, 1.0]);
        let report = report(traffic);
        let goals: Vec<_> = report.goals.iter().map(|goal| goal.samples.as_slice()).collect();
        assert_eq!(goals, [[0.9, 1.0], [1.0, 1.5]]);
        assert_eq!(report.tables[1].samples("tcx", "small packets out"), [0.75, 1.0]);
        assert_eq!(report.tables[1].samples("tcx", "small packets in"), [1.0, 0.5]);
    }
}
