//! kube-proxy on the node (nftables mode), and the kube-dns Service that it leads to CoreDNS: the classic path.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node as NodeObject, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::cluster::{Cluster, User, object};
use crate::node::{NODE_IPV4, Node};
use crate::peers::find_peer;
use crate::process::Process;

const NODE_NAME: &str = "node";
const RULES_LIMIT: Duration = Duration::from_secs(30);

/// Creates the Service kube-system/kube-dns with this cluster IP, and the EndpointSlice that leads it to `server`.
pub fn create_kube_dns(cluster: &Cluster, cluster_ip: Ipv4Addr, server: Ipv4Addr) -> Result<()> {
    create_dns_service(cluster, "kube-dns", cluster_ip, server)
}

/// Creates a Service of kube-system like [`create_kube_dns`]: NodeLocal DNSCache asks by one of its own.
pub fn create_dns_service(cluster: &Cluster, name: &str, cluster_ip: Ipv4Addr, server: Ipv4Addr) -> Result<()> {
    let ports = json!([
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        {"name": "metrics", "port": 9153, "protocol": "TCP"},
    ]);
    let service: Service = object(json!({
        "metadata": {"name": name},
        "spec": {"clusterIP": cluster_ip, "ports": ports},
    }))?;
    let slice: EndpointSlice = object(json!({
        "metadata": {"name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [server], "conditions": {"ready": true}}],
        "ports": ports.as_array().map(|ports| ports.iter().map(endpoint_port).collect::<Vec<_>>()),
    }))?;
    cluster.run(async |client| {
        let parameters = PostParams::default();
        Api::namespaced(client.clone(), "kube-system")
            .create(&parameters, &service)
            .await?;
        Api::namespaced(client, "kube-system")
            .create(&parameters, &slice)
            .await?;
        Ok(())
    })
}

/// Starts kube-proxy on the node and waits until its rules know the kube-dns address.
pub fn start_kube_proxy(cluster: &Cluster, node: &Node, cluster_ip: Ipv4Addr) -> Result<Process> {
    create_node(cluster)?;
    let namespace = node.namespace();
    let kubeconfig = cluster.write_kubeconfig(namespace, User::Admin)?;
    let mut command = namespace.command(find_peer("kube-proxy")?);
    command
        .args([
            "--kubeconfig",
            &kubeconfig,
            "--proxy-mode",
            "nftables",
            "--hostname-override",
            NODE_NAME,
        ])
        .args([
            "--cluster-cidr",
            "10.244.0.0/16",
            "--nodeport-addresses",
            &format!("{NODE_IPV4}/32"),
        ])
        .args([
            "--conntrack-max-per-core",
            "0",
            "--conntrack-tcp-timeout-established",
            "0",
        ])
        .args(["--conntrack-tcp-timeout-close-wait", "0"]);
    let mut process = Process::start("kube-proxy", command)?;
    let address = cluster_ip.to_string();
    process.await_that("its rules", RULES_LIMIT, || {
        let rules = namespace
            .run("nft", ["list", "map", "ip", "kube-proxy", "service-ips"])
            .ok();
        Ok(rules.filter(|rules| rules.contains(&address)))
    })?;
    Ok(process)
}

/// Creates the Node unless it is there. kube-proxy looks for its own, and waits 30 s for it before it does anything.
fn create_node(cluster: &Cluster) -> Result<()> {
    let node: NodeObject = object(json!({
        "metadata": {"name": NODE_NAME},
        "status": {"addresses": [{"type": "InternalIP", "address": NODE_IPV4}]},
    }))?;
    cluster.run(async |client| {
        let nodes = Api::all(client);
        let mut entry = nodes.entry(NODE_NAME).await?.or_insert(|| node);
        entry.commit(&PostParams::default()).await?;
        Ok(())
    })
}

fn endpoint_port(port: &serde_json::Value) -> serde_json::Value {
    json!({"name": port["name"], "port": port["port"], "protocol": port["protocol"]})
}
