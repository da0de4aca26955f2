//! The stage: CoreDNS in one pod and a place for its rival in another, one API server and one upstream behind both, and
//! a node that asks.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::upstream;
use crate::agent::Agent;
use crate::cluster::{Cluster, User, object, service};
use crate::coredns::start_coredns_by;
use crate::dns::{Question, ask};
use crate::kube_proxy::create_kube_dns;
use crate::namespace::Namespace;
use crate::node::Node;
use crate::pod::{Pod, PodSpec};
use crate::process::Process;
use crate::wait::until;

/// A name that both servers answer for at once.
pub const KNOWN: &str = "web.default.svc.cluster.local";

const COREDNS: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 5);
const RIVAL: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 6);
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const LIMIT: Duration = Duration::from_secs(30);

/// What stands on the stage.
#[derive(Debug)]
pub struct Stage {
    node: Node,
    rival: Pod,
    cluster: Cluster,
    _coredns: Process,
    _others: (Pod, Namespace),
}

impl Stage {
    /// Starts everything but the rival.
    pub fn build() -> Result<Stage> {
        let node = Node::open()?;
        let cluster = Cluster::start(&node)?;
        create_objects(&cluster)?;
        let neighbour = node.add_neighbour("upstream", UPSTREAM)?;
        upstream::start(&neighbour, SocketAddr::from((UPSTREAM, 53)))?;
        let coredns = node.add_pod(&PodSpec::new("coredns", 5))?;
        let rival = node.add_pod(&PodSpec::new("rival", 6))?;
        let process = start_coredns_by(&cluster, coredns.namespace(), |kubeconfig| corefile(kubeconfig, ""))?;
        await_known(coredns.namespace())?;
        Ok(Stage {
            node,
            rival,
            cluster,
            _coredns: process,
            _others: (coredns, neighbour),
        })
    }

    /// Starts the agent as the rival, without its programs in the kernel.
    pub fn start_agent(&self) -> Result<Agent<'_>> {
        let namespace = self.rival.namespace();
        let kubeconfig = self.cluster.write_kubeconfig(namespace, User::Agent)?;
        let corefile = corefile(&kubeconfig, "prometheus :9153");
        let agent = Agent::start(namespace, &corefile, &["--attach", "none"])?;
        await_known(namespace)?;
        Ok(agent)
    }

    /// Starts a second CoreDNS as the rival.
    pub fn start_twin(&self) -> Result<Process> {
        let twin = start_coredns_by(&self.cluster, self.rival.namespace(), |kubeconfig| {
            corefile(kubeconfig, "")
        })?;
        await_known(self.rival.namespace())?;
        Ok(twin)
    }

    /// From where both are asked.
    pub fn client(&self) -> &Namespace {
        self.node.namespace()
    }

    /// Where CoreDNS and its rival listen.
    pub fn servers(&self) -> [SocketAddr; 2] {
        [COREDNS, RIVAL].map(|address| SocketAddr::from((address, 53)))
    }
}

fn corefile(kubeconfig: &str, more: &str) -> String {
    format!(
        ".:53 {{
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    forward . {UPSTREAM}
    {more}
}}
"
    )
}

fn await_known(namespace: &Namespace) -> Result<()> {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    until("the last object that was created", LIMIT, || {
        let reply = ask(namespace, server, &Question::a(KNOWN), LIMIT).ok();
        Ok(reply.filter(|(reply, _)| !reply.addresses.is_empty()))
    })
    .map(drop)
}

/// One Service of each kind; the one that everybody awaits comes last.
fn create_objects(cluster: &Cluster) -> Result<()> {
    // The name servers that both tell of themselves are then those of one Service.
    create_kube_dns(cluster, KUBE_DNS, COREDNS)?;
    let rival = slice("kube-dns", &json!([{"addresses": [RIVAL]}]))?;
    let endpoints = json!([{"addresses": ["10.244.9.1"]}, {"addresses": ["10.244.9.2"], "hostname": "second"}]);
    let headless = slice("headless", &endpoints)?;
    let services = services()?;
    cluster.run(async |client| {
        let parameters = PostParams::default();
        let slices = |namespace: &str| Api::<EndpointSlice>::namespaced(client.clone(), namespace);
        slices("kube-system").create(&parameters, &rival).await?;
        slices("default").create(&parameters, &headless).await?;
        let api: Api<Service> = Api::namespaced(client, "default");
        for service in &services {
            api.create(&parameters, service).await?;
        }
        Ok(())
    })
}

fn services() -> Result<[Service; 4]> {
    let alias = |name: &str, target: &str| -> Result<Service> {
        object(json!({"metadata": {"name": name}, "spec": {"type": "ExternalName", "externalName": target}}))
    };
    Ok([
        service("headless", &["None"])?,
        alias("alias", "www.example.com")?,
        alias("inner-alias", KNOWN)?,
        service("web", &["10.96.1.1", "fd00:96::101"])?,
    ])
}

fn slice(service: &str, endpoints: &Value) -> Result<EndpointSlice> {
    object(json!({
        "metadata": {"name": format!("{service}-2"), "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "port", "port": 80, "protocol": "TCP"}],
    }))
}
