//! The two that are compared, as processes in the same pod, one after the other.
//!
//! Both go by the same Corefile. It has no `cache`: with it, CoreDNS would hide a change for as long as a TTL.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use kxdns_tests::cluster::User;
use kxdns_tests::http;
use kxdns_tests::metrics::Metrics;
use kxdns_tests::peers::find_peer;
use kxdns_tests::pod::Pod;
use kxdns_tests::process::Process;
use rustix::process::Pid;

use crate::probe::Probe;
use crate::stage::Stage;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DNS: SocketAddr = SocketAddr::new(LOOPBACK, 53);
const METRICS: SocketAddr = SocketAddr::new(LOOPBACK, 9153);
const READY: SocketAddr = SocketAddr::new(LOOPBACK, 8181);
const COREFILE: &str = "/run/scale/Corefile";

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
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
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    pub(crate) rival: Rival,
    pub(crate) process: Process,
    pub(crate) pid: Pid,
    pub(crate) started: Instant,
    pod: Rc<Pod>,
}

impl Server {
    /// Starts a server and waits for nothing.
    pub(crate) fn start(stage: &Stage, rival: Rival) -> Result<Server> {
        let command = command(stage, rival)?;
        let started = Instant::now();
        let process = Process::start(rival.name(), command)?;
        let pid = process.pid()?;
        Ok(Server {
            rival,
            process,
            pid,
            started,
            pod: Rc::clone(&stage.pod),
        })
    }

    /// Whether the server says that it knows every object.
    pub(crate) fn is_ready(&self) -> bool {
        match self.rival {
            Rival::Kxdns => self
                .metrics()
                .is_ok_and(|metrics| metrics.sum("kxdns_synced", &[]) == 1.0),
            Rival::CoreDns => http::get(self.pod.namespace(), READY, "/ready").is_ok(),
        }
    }

    /// How many times a name found no room in the kernel.
    pub(crate) fn refused_names(&self) -> Result<f64> {
        match self.rival {
            Rival::Kxdns => Ok(self.metrics()?.sum("kxdns_kernel_names_refused", &[])),
            Rival::CoreDns => Ok(0.0),
        }
    }

    pub(crate) fn metrics(&self) -> Result<Metrics> {
        Metrics::scrape(self.pod.namespace(), METRICS)
    }

    /// A socket of the server's own pod to its DNS.
    pub(crate) fn probe(&self) -> Result<Probe> {
        Probe::new(self.pod.namespace().udp_to(DNS)?)
    }

    /// Fails, with its last words, once it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        self.process.await_that("anything", Duration::ZERO, || Ok(Some(())))
    }

    /// Ends the server as Kubernetes does.
    pub(crate) fn stop(self) -> Result<()> {
        self.process.terminate().map(drop)
    }
}

fn command(stage: &Stage, rival: Rival) -> Result<Command> {
    let namespace = stage.pod.namespace();
    let user = match rival {
        Rival::Kxdns => User::Agent,
        Rival::CoreDns => User::Admin,
    };
    let kubeconfig = stage.cluster.write_kubeconfig(namespace, user)?;
    match rival {
        Rival::Kxdns => {
            namespace.write(COREFILE, corefile(""))?;
            let mut command = namespace.command(&stage.kxdns);
            command.args([
                "run",
                "--attach",
                "auto",
                "--corefile",
                COREFILE,
                "--kubeconfig",
                &kubeconfig,
            ]);
            Ok(command)
        }
        Rival::CoreDns => {
            namespace.write(COREFILE, corefile(&format!("kubeconfig {kubeconfig}\n")))?;
            let mut command = namespace.command(find_peer("coredns")?);
            command.args(["-conf", COREFILE]);
            Ok(command)
        }
    }
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
