//! Where the comparison is played: a node with a control plane, an upstream and a pod for each of the two servers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use dns_userspace::kernel::hook::Hook;
use kube::api::PostParams;
use kube::{Api, Client};
use kxdns_tests::agent::{METRICS, is_attached};
use kxdns_tests::client;
use kxdns_tests::cluster::{Cluster, User, object};
use kxdns_tests::kube_proxy::create_kube_dns;
use kxdns_tests::metrics::Metrics;
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::Node;
use kxdns_tests::peers::{find_agent, find_peer};
use kxdns_tests::pod::{Pod, PodSpec};
use kxdns_tests::process::Process;
use serde_json::json;

use crate::ask::Asker;
use crate::corefiles::{COREFILE, Corefile, files};
use crate::generate::pods::NODE;
use crate::world::{Key, Kind, World};
use crate::{apply, imports, upstream};
use kxdns_tests::meaning::Reply;
use kxdns_tests::question::Question;

const START_LIMIT: Duration = Duration::from_secs(30);
const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// A server to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    CoreDns,
    /// Asked through the kernel where there is a hook, else its server alone.
    Kxdns(Option<Hook>),
}

/// All that runs but the two servers.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pods: [Pod; 2],
    /// It asks what runs in the second pod.
    client: client::Client,
    _upstreams: [Namespace; 2],
    _node: Node,
}

/// A running server.
pub(crate) struct Server<'a> {
    pub(crate) program: Program,
    pod: &'a Pod,
    process: Process,
    pub(crate) asker: Asker<'a>,
}

impl Stage {
    pub(crate) fn build() -> Result<Stage> {
        let node = Node::open()?;
        let upstreams = upstream::start(&node)?;
        let mut cluster = Cluster::start(&node)?;
        cluster.start_slice_controller()?;
        let pods = [
            node.add_pod(&PodSpec::new("first", 2))?,
            node.add_pod(&PodSpec::new("second", 3))?,
        ];
        let client = client::Client::attach(pods[1].namespace(), &pods[1].addresses())?;
        create_kube_dns(&cluster, KUBE_DNS, pods[0].ipv4())?;
        cluster.run(async |client| {
            join_kube_dns(&client, pods[1].ipv4()).await?;
            imports::define(&client).await?;
            create_node(client).await
        })?;
        Ok(Stage {
            cluster,
            pods,
            client,
            _upstreams: upstreams,
            _node: node,
        })
    }

    /// Starts both servers under a Corefile: CoreDNS, and what it is compared with.
    pub(crate) fn start_servers(&self, corefile: &Corefile, other: Program) -> Result<[Server<'_>; 2]> {
        Ok([
            self.start(&self.pods[0], corefile, Program::CoreDns)?,
            self.start(&self.pods[1], corefile, other)?,
        ])
    }

    fn start<'a>(&'a self, pod: &'a Pod, corefile: &Corefile, program: Program) -> Result<Server<'a>> {
        let namespace = pod.namespace();
        let kubeconfig = self.cluster.write_kubeconfig(namespace, User::Admin)?;
        namespace.write(COREFILE, corefile.text(&kubeconfig, &pod.addresses()))?;
        for (path, text) in files() {
            namespace.write(&path, text)?;
        }
        let process = launch(pod, program)?;
        let asker = match program {
            Program::Kxdns(Some(_)) => Asker::from(self.client.namespace(), namespace, pod.addresses().to_vec())?,
            _ => Asker::beside(namespace, corefile)?,
        };
        let mut server = Server {
            program,
            pod,
            process,
            asker,
        };
        server.await_synced()?;
        Ok(server)
    }
}

/// Puts the other server behind kube-dns, too: a server names itself after the Service that leads to it.
async fn join_kube_dns(client: &Client, address: Ipv4Addr) -> Result<()> {
    let mut world = World::default();
    let body = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}],
    });
    world.put(Key::new(Kind::EndpointSlice, "kube-system", "kube-dns-2"), body);
    apply::write(client, &World::default(), &world).await
}

/// Makes the Node that all Pods are on: the controller leaves out those without one.
async fn create_node(client: Client) -> Result<()> {
    let labels = json!({"topology.kubernetes.io/zone": "eu-1a"});
    let node = object(json!({"metadata": {"name": NODE, "labels": labels}}))?;
    Api::<k8s_openapi::api::core::v1::Node>::all(client)
        .create(&PostParams::default(), &node)
        .await?;
    Ok(())
}

fn launch(pod: &Pod, program: Program) -> Result<Process> {
    match program {
        Program::CoreDns => {
            let mut command = pod.namespace().command(find_peer("coredns")?);
            command.args(["-conf", COREFILE]);
            Process::start("coredns", command)
        }
        Program::Kxdns(hook) => {
            let mut command = pod.namespace().command(find_agent()?);
            command.args(["run", "--corefile", COREFILE]);
            attach(&mut command, hook, pod.addresses());
            Process::start("kxdns", command)
        }
    }
}

fn attach(command: &mut Command, hook: Option<Hook>, served: [IpAddr; 2]) {
    command.args(["--attach", hook.map_or("none", Hook::name)]);
    if hook.is_some() {
        command.args(["--interface", client::LINK, "--served"]);
        command.args(served.map(|address| address.to_string()));
    }
}

impl Server<'_> {
    /// Starts the program anew, without what it remembers.
    pub(crate) fn restart(mut self) -> Result<Self> {
        self.process.kill()?;
        let process = launch(self.pod, self.program)?;
        let mut server = Server { process, ..self };
        server.await_synced()?;
        Ok(server)
    }

    /// Reads what the server counts.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        Metrics::scrape(self.pod.namespace(), METRICS)
    }

    /// Waits until the server knows every object that there was at its start, and is attached where it is to be.
    fn await_synced(&mut self) -> Result<()> {
        let namespace = self.pod.namespace();
        match self.program {
            Program::CoreDns => {
                let ready = ["-sSf", "-m", "2", "http://127.0.0.1:8181/ready"];
                self.process
                    .await_that("its readiness", START_LIMIT, || Ok(namespace.run("curl", ready).ok()))?;
            }
            Program::Kxdns(hook) => self
                .process
                .await_that("kxdns_synced 1 and its hook", START_LIMIT, || {
                    let metrics = Metrics::scrape(namespace, METRICS).ok();
                    Ok(metrics.and_then(|metrics| is_ready(&metrics, hook).then_some(())))
                })?,
        }
        Ok(())
    }

    /// Asks until the reply is the awaited one.
    pub(crate) fn await_reply(
        &mut self,
        question: &Question,
        limit: Duration,
        is_right: impl Fn(&Reply) -> bool,
    ) -> Result<()> {
        let asker = &mut self.asker;
        let mut last = Reply::Silence;
        let what = format!("its reply to {question}");
        let awaited = self.process.await_that(&what, limit, || {
            last = asker.ask(question)?.reply;
            Ok(is_right(&last).then_some(()))
        });
        awaited.with_context(|| format!("{} last replied: {last}", self.program))
    }
}

fn is_ready(metrics: &Metrics, hook: Option<Hook>) -> bool {
    metrics.sum("kxdns_synced", &[]) == 1.0 && hook.is_none_or(|hook| is_attached(metrics, hook, 1))
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Program::CoreDns => write!(formatter, "CoreDNS"),
            Program::Kxdns(None) => write!(formatter, "kxdns"),
            Program::Kxdns(Some(hook)) => write!(formatter, "kxdns through {hook}"),
        }
    }
}
