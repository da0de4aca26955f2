//! The ways on which the kernel answers a pod: kxdns by a hook, and a reflector by the same, which is the limit.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use aya::Ebpf;
use aya::sys::{Stats, enable_stats};
use dns_userspace::kernel::hook::Hook;
use kxdns_tests::agent::{Agent, PLAIN_COREFILE};
use kxdns_tests::baseline::reflect;
use kxdns_tests::dns::Question;
use kxdns_tests::load::{Arrival, Case, Client, Load};
use kxdns_tests::node::Node;
use kxdns_tests::pod::{Pod, PodSpec};
use kxdns_tests::usage::program_runs;
use rustix::process::getpid;

use crate::records::{KUBE_DNS, Record, manifest};

/// For how long a program's own time is taken.
const PROGRAM_TIME: Duration = Duration::from_millis(100);
const MANIFESTS: &str = "/run/kxdns/manifests";

/// The option of an agent that leaves what the kernel passes on to others.
pub(crate) const KERNEL_ONLY: [&str; 1] = ["--kernel-only"];

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answerer {
    Kxdns,
    Reflector,
}

impl Answerer {
    const ALL: [Self; 2] = [Self::Kxdns, Self::Reflector];

    /// Each of them by each hook.
    pub(crate) fn by_every_hook() -> impl Iterator<Item = (Hook, Self)> {
        Hook::ALL
            .into_iter()
            .flat_map(|hook| Self::ALL.map(|answerer| (hook, answerer)))
    }

    /// What a row of figures is called.
    pub(crate) fn name(self, hook: Hook) -> String {
        match self {
            Self::Kxdns => format!("kxdns, {hook}"),
            Self::Reflector => format!("reflector, {hook}"),
        }
    }
}

/// A node with one pod, and nothing attached yet.
pub(crate) struct Place {
    pub(crate) node: Node,
    pub(crate) pod: Pod,
}

impl Place {
    /// The pod's end of the link has GRO, without which native XDP cannot send to it.
    pub(crate) fn build() -> Result<Self> {
        let node = Node::open()?;
        let pod = node.add_pod(&PodSpec {
            gro: true,
            ..PodSpec::new("client", 5)
        })?;
        Ok(Self { node, pod })
    }

    /// Opens the sockets of so many threads to the DNS Service, each thread on the processor of its number.
    pub(crate) fn clients(&self, threads: usize, sockets: usize) -> Result<Vec<Client>> {
        let server = SocketAddr::from((KUBE_DNS, 53));
        let open = |processor| Client::open(self.pod.namespace(), server, sockets, Some(processor));
        (0..threads).map(open).collect()
    }

    /// Has this processor take in what the pod sends, or, without one, that which sends it. Native XDP comes before that.
    pub(crate) fn receive_on(&self, processor: Option<usize>) -> Result<()> {
        let mask = processor.map_or(0, |processor| 1_u64 << processor);
        let file = format!("/sys/class/net/{}/queues/rx-0/rps_cpus", self.pod.node_link());
        let write = format!("echo {mask:x} >{file}");
        self.node.namespace().run("sh", ["-ec", &write]).map(drop)
    }
}

/// What answers a pod in the kernel, for as long as it lives.
pub(crate) struct Path<'p> {
    pub(crate) place: &'p Place,
    pub(crate) hook: Hook,
    pub(crate) answerer: Answerer,
    pub(crate) agent: Option<Agent<'p>>,
    _reflector: Option<Ebpf>,
}

impl<'p> Path<'p> {
    /// Attaches, and returns once the kernel answers.
    pub(crate) fn open(place: &'p Place, hook: Hook, answerer: Answerer, records: &[Record]) -> Result<Self> {
        let mut path = Self {
            place,
            hook,
            answerer,
            agent: None,
            _reflector: None,
        };
        match answerer {
            Answerer::Kxdns => path.agent = Some(start_agent(place, hook.name(), &KERNEL_ONLY, records)?),
            Answerer::Reflector => {
                path._reflector = Some(reflect(place.node.namespace(), place.pod.node_link(), hook)?)
            }
        }
        Ok(path)
    }

    /// Detaches.
    pub(crate) fn close(self) -> Result<()> {
        self.agent.map_or(Ok(()), Agent::stop)
    }

    /// What a row of figures is called.
    pub(crate) fn name(&self) -> String {
        self.answerer.name(self.hook)
    }

    /// How long a run of the program takes in the mean while these are asked, in seconds: by the kernel's statistics, which
    /// slow it a little.
    pub(crate) fn program_time(&self, clients: &[Client], cases: &[Case]) -> Result<f64> {
        let holder = self.agent.as_ref().map_or(Ok(getpid()), Agent::pid)?;
        let load = Load {
            cases,
            arrival: Arrival::Closed(1),
            duration: PROGRAM_TIME,
        };
        let _statistics = enable_stats(Stats::RunTime)?;
        let before = program_runs(holder)?;
        load.run_rightly(clients)?;
        let after = program_runs(holder)?;
        ensure!(after.count > before.count, "the program has not run");
        Ok((after.time - before.time).as_secs_f64() / (after.count - before.count) as f64)
    }

    /// What it replies to these cases: the reflector sends each question back.
    pub(crate) fn cases(&self, cases: &[Case]) -> Vec<Case> {
        match self.answerer {
            Answerer::Kxdns => cases.to_vec(),
            Answerer::Reflector => cases.iter().map(Case::reflected).collect(),
        }
    }
}

/// Starts an agent that knows the Services, with these options besides, and, unless `attach` is `none`, returns once the
/// kernel answers.
pub(crate) fn start_agent<'p>(place: &'p Place, attach: &str, more: &[&str], records: &[Record]) -> Result<Agent<'p>> {
    let node = place.node.namespace();
    node.write(&format!("{MANIFESTS}/services.yaml"), manifest(records))?;
    let served = KUBE_DNS.to_string();
    let options = ["--manifests", MANIFESTS, "--served", &served, "--attach", attach];
    let agent = Agent::start(node, PLAIN_COREFILE, &[&options, more].concat())?;
    if let Some(record) = records.first().filter(|_| attach != "none") {
        let socket = place.pod.namespace().udp_to(SocketAddr::from((KUBE_DNS, 53)))?;
        agent.await_kernel(&socket, &Question::a(&record.name()))?;
    }
    Ok(agent)
}
