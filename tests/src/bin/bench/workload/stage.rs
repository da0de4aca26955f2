//! A node with pods and kube-proxy, CoreDNS on another, and what the names of the mix stand for.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use dns_userspace::kernel::hook::Hook;
use k8s_openapi::api::core::v1::{Namespace as KubernetesNamespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use kxdns_tests::agent::Agent;
use kxdns_tests::cluster::{Cluster, User, object, service};
use kxdns_tests::coredns::start_coredns_by;
use kxdns_tests::dns::Question;
use kxdns_tests::kube_proxy::{create_kube_dns, start_kube_proxy};
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::Node;
use kxdns_tests::pod::{Pod, PodSpec};
use kxdns_tests::process::Process;
use serde_json::json;

use super::mix::{CART, MIX, WEB};

/// How many pods look names up at once.
const PODS: u8 = 8;
/// Their links, and those to the control plane and to the other node.
const LINKS: usize = PODS as usize + 2;
const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const COREDNS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The link to the other node.
const LINK: &str = "coredns";
/// Where CoreDNS has its upstream, which needs no network.
const UPSTREAM: &str = "127.0.0.1:1053";

/// The search list of a pod of the namespace `default`, with the domain that a cloud gives to its nodes.
const RESOLV_CONF: &str = "nameserver 10.96.0.10\n\
                           search default.svc.cluster.local svc.cluster.local cluster.local node.example\n\
                           options ndots:5\n";

/// The stage. Dropping it ends all that runs on it.
pub(crate) struct Stage {
    pub(crate) pods: Vec<Pod>,
    cluster: Cluster,
    _others: (Process, Process, Namespace),
    node: Node,
}

impl Stage {
    /// Starts everything but kxdns.
    pub(crate) fn build() -> Result<Stage> {
        let node = Node::open()?;
        let cluster = Cluster::start(&node)?;
        create_objects(&cluster)?;
        create_kube_dns(&cluster, KUBE_DNS, COREDNS)?;
        let other = node.add_neighbour(LINK, COREDNS)?;
        other.write("/run/upstream/zone", zone_file())?;
        let coredns = start_coredns_by(&cluster, &other, |kubeconfig| {
            corefile(&format!("kubeconfig {kubeconfig}")) + ".:1053 {\n    file /run/upstream/zone .\n}\n"
        })?;
        let kube_proxy = start_kube_proxy(&cluster, &node, KUBE_DNS)?;
        let pod = |number: u8| -> Result<Pod> {
            let pod = node.add_pod(&PodSpec::new(&format!("client-{number}"), number + 5))?;
            pod.namespace().set_resolv_conf(RESOLV_CONF)?;
            Ok(pod)
        };
        let pods = (0..PODS).map(pod).collect::<Result<_>>()?;
        node.namespace().feed("nft", &["-f", "-"], COUNTER)?;
        Ok(Stage {
            pods,
            cluster,
            _others: (coredns, kube_proxy, other),
            node,
        })
    }

    /// Starts kxdns beside CoreDNS, and returns once the kernel answers every pod.
    pub(crate) fn start_agent(&self) -> Result<Agent<'_>> {
        let node = self.node.namespace();
        let kubeconfig = self.cluster.write_kubeconfig(node, User::Agent)?;
        let mut agent = Agent::start(node, &corefile(""), &["--kernel-only", "--kubeconfig", &kubeconfig])?;
        let question = Question::a("web.default.svc.cluster.local");
        agent.await_attached(Hook::Tcx, LINKS)?;
        let server = SocketAddr::from((KUBE_DNS, 53));
        self.pods
            .iter()
            .try_for_each(|pod| agent.await_first_answer(pod.namespace(), server, &question))?;
        Ok(agent)
    }

    /// How many queries have left the node for CoreDNS so far.
    pub(crate) fn left(&self) -> Result<u64> {
        let counter = self
            .node
            .namespace()
            .run("nft", ["list", "counter", "inet", "left", "queries"])?;
        let mut words = counter.split_whitespace().skip_while(|word| *word != "packets");
        let packets = words.nth(1).and_then(|word| word.parse().ok());
        packets.with_context(|| format!("nft tells no packets: {counter}"))
    }
}

/// Counts after kube-proxy has chosen where a query goes.
const COUNTER: &str = "table inet left {
    counter queries { }
    chain out {
        type filter hook postrouting priority 300;
        oifname coredns meta l4proto { udp, tcp } th dport 53 counter name queries
    }
}
";

/// kubeadm's Corefile, but for what it says of health, `loop` and `reload`.
fn corefile(option: &str) -> String {
    format!(
        ".:53 {{
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        {option}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :9153
    forward . {UPSTREAM} {{
        max_concurrent 1000
    }}
    cache 30 {{
        disable success cluster.local
        disable denial cluster.local
    }}
    loadbalance
}}
"
    )
}

/// All of the world outside the cluster.
fn zone_file() -> String {
    let mut text = String::from(". 60 IN SOA ns. host. 1 7200 1800 86400 60\n. 60 IN NS ns.\nns. 60 IN A 127.0.0.1\n");
    for entry in MIX.iter().filter(|entry| !entry.is_of_cluster) {
        for address in entry.addresses() {
            let rtype = if address.is_ipv4() { "A" } else { "AAAA" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}. 60 IN {rtype} {address}", entry.name);
        }
    }
    text
}

fn create_objects(cluster: &Cluster) -> Result<()> {
    let services = [
        ("default", service("web", WEB)?),
        ("shop", service("cart", CART)?),
        ("shop", external_name("partner", "api.example.com")?),
        ("data", service("db", &["None"])?),
    ];
    let slice = headless_slice()?;
    cluster.run(async |client| {
        let parameters = PostParams::default();
        for name in ["shop", "data"] {
            let namespace: KubernetesNamespace = object(json!({"metadata": {"name": name}}))?;
            Api::all(client.clone()).create(&parameters, &namespace).await?;
        }
        for (namespace, service) in &services {
            Api::<Service>::namespaced(client.clone(), namespace)
                .create(&parameters, service)
                .await?;
        }
        Api::<EndpointSlice>::namespaced(client, "data")
            .create(&parameters, &slice)
            .await?;
        Ok(())
    })
}

fn external_name(name: &str, target: &str) -> Result<Service> {
    object(json!({"metadata": {"name": name}, "spec": {"type": "ExternalName", "externalName": target}}))
}

/// Three Pods of a StatefulSet.
fn headless_slice() -> Result<EndpointSlice> {
    let pod =
        |number: u8| json!({"addresses": [IpAddr::from([10, 244, 7, number + 1])], "hostname": format!("db-{number}")});
    object(json!({
        "metadata": {"name": "db-1", "labels": {"kubernetes.io/service-name": "db"}},
        "addressType": "IPv4",
        "endpoints": [pod(0), pod(1), pod(2)],
        "ports": [{"name": "port", "port": 5432, "protocol": "TCP"}],
    }))
}
