//! The two that are compared, as processes, one after the other.
//!
//! Both go by the same Corefile. It has no `cache`: with it, CoreDNS would hide a change for as long as a TTL.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kxdns_tests::agent::{Agent, METRICS};
use kxdns_tests::cluster::{Cluster, User};
use kxdns_tests::histogram::Histogram;
use kxdns_tests::http;
use kxdns_tests::metrics::{KERNEL_ANSWERS, Metrics};
use kxdns_tests::namespace::Namespace;
use kxdns_tests::peers::find_peer;
use kxdns_tests::process::Process;
use rustix::process::Pid;

use super::changes::Inside;
use super::probe::Probe;
use super::stage::{Ground, Stage};

/// Where the kernel answers. Nobody listens there.
const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const READY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8181);
const COREFILE: &str = "/run/scale/Corefile";
/// A reply of the kernel takes microseconds. What it passes is answered by nobody, which is to be known soon.
const KERNEL_LIMIT: Duration = Duration::from_millis(10);
const COREDNS_LIMIT: Duration = Duration::from_millis(100);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rival {
    /// Its answers are the kernel's.
    Kxdns,
    CoreDns,
}

impl Rival {
    pub(crate) const ALL: [Rival; 2] = [Rival::Kxdns, Rival::CoreDns];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Rival::Kxdns => "kxdns",
            Rival::CoreDns => "CoreDNS",
        }
    }

    /// Where it runs: kxdns on the node, CoreDNS in a pod.
    fn place(self, ground: &Ground) -> &Namespace {
        match self {
            Rival::Kxdns => ground.node.namespace(),
            Rival::CoreDns => ground.server.namespace(),
        }
    }
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    pub(crate) rival: Rival,
    pub(crate) process: Process,
    pub(crate) pid: Pid,
    pub(crate) started: Instant,
    ground: Arc<Ground>,
}

impl Server {
    /// Starts a server and waits for nothing.
    pub(crate) fn start(stage: &Stage, rival: Rival) -> Result<Server> {
        let command = match rival {
            Rival::Kxdns => kxdns(&stage.cluster, &stage.ground)?,
            Rival::CoreDns => coredns(&stage.cluster, &stage.ground)?,
        };
        let started = Instant::now();
        let process = Process::start(rival.name(), command)?;
        let pid = process.pid()?;
        Ok(Server {
            rival,
            process,
            pid,
            started,
            ground: Arc::clone(&stage.ground),
        })
    }

    /// Whether the server says that it knows every object.
    pub(crate) fn is_ready(&self) -> bool {
        match self.rival {
            Rival::Kxdns => self
                .metrics()
                .is_ok_and(|metrics| metrics.sum("kxdns_synced", &[]) == 1.0),
            Rival::CoreDns => http::get(self.rival.place(&self.ground), READY, "/ready").is_ok(),
        }
    }

    /// Fails where a name has found no room in the kernel, which then denies nothing.
    pub(crate) fn ensure_no_refused_names(&self) -> Result<()> {
        let refused = self.metrics()?.sum("kxdns_kernel_names_refused", &[]);
        ensure!(
            refused == 0.0,
            "{refused} names found no room; it said:\n{}",
            self.process.output()
        );
        Ok(())
    }

    /// How many questions the kernel has answered.
    pub(crate) fn kernel_answers(&self) -> Result<f64> {
        Ok(self.metrics()?.sum(KERNEL_ANSWERS, &[]))
    }

    /// What events have done inside the agent so far.
    pub(crate) fn inside(&self) -> Result<Option<Inside>> {
        if self.rival != Rival::Kxdns {
            return Ok(None);
        }
        let metrics = self.metrics()?;
        Ok(Some(Inside {
            seconds: Histogram::read(&metrics, "kxdns_update_duration_seconds"),
            names: Histogram::read(&metrics, "kxdns_update_names"),
        }))
    }

    /// A socket of the client's to whoever answers for the server.
    pub(crate) fn probe(&self) -> Result<Probe> {
        let (address, limit) = match self.rival {
            Rival::Kxdns => (KUBE_DNS, KERNEL_LIMIT),
            Rival::CoreDns => (self.ground.server.ipv4(), COREDNS_LIMIT),
        };
        let socket = self.ground.client.namespace().udp_to(SocketAddr::from((address, 53)))?;
        Probe::new(socket, limit)
    }

    /// Fails, with its last words, once it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        self.process.await_that("anything", Duration::ZERO, || Ok(Some(())))
    }

    /// Ends the server as Kubernetes does.
    pub(crate) fn stop(self) -> Result<()> {
        self.process.terminate().map(drop)
    }

    fn metrics(&self) -> Result<Metrics> {
        Metrics::scrape(self.rival.place(&self.ground), METRICS)
    }
}

/// The agent on the node, attached to the link of the client alone.
fn kxdns(cluster: &Cluster, ground: &Ground) -> Result<Command> {
    let node = ground.node.namespace();
    let kubeconfig = cluster.write_kubeconfig(node, User::Agent)?;
    node.write(COREFILE, corefile(""))?;
    let arguments = [
        "--kernel-only",
        "--corefile",
        COREFILE,
        "--kubeconfig",
        &kubeconfig,
        "--served",
        &KUBE_DNS.to_string(),
        "--interface",
        ground.client.node_link(),
    ];
    Agent::command(node, &arguments)
}

fn coredns(cluster: &Cluster, ground: &Ground) -> Result<Command> {
    let pod = ground.server.namespace();
    let kubeconfig = cluster.write_kubeconfig(pod, User::Admin)?;
    pod.write(COREFILE, corefile(&format!("kubeconfig {kubeconfig}\n")))?;
    let mut command = pod.command(find_peer("coredns")?);
    command.args(["-conf", COREFILE]);
    Ok(command)
}

fn corefile(way_to_the_api: &str) -> String {
    format!(
        ".:53 {{
    errors
    ready
    prometheus :9153
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        {way_to_the_api}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    loadbalance
}}
"
    )
}
