//! Where it is played: a control plane, a node with kxdns, and pods that ask the DNS Service's addresses there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use dns_userspace::kernel::hook::Hook;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use kxdns_tests::agent::{Agent, PLAIN_COREFILE};
use kxdns_tests::client::mark_replies;
use kxdns_tests::cluster::{Cluster, User, object};
use kxdns_tests::node::Node;
use kxdns_tests::pod::{Pod, PodSpec};
use serde_json::json;

use crate::state::NAMESPACE;

/// The addresses that pods ask.
pub(crate) const SERVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 10)),
];

/// The node's ends of the links of pods.
const LINKS: &str = "veth-*";
const PODS: [&str; 3] = ["first", "second", "third"];

/// All that runs but kxdns.
pub(crate) struct Stage {
    node: Node,
    pub(crate) cluster: Cluster,
    pub(crate) pods: Vec<Pod>,
}

impl Stage {
    pub(crate) fn build() -> Result<Stage> {
        let node = Node::open()?;
        let cluster = Cluster::start(&node)?;
        let pods = PODS.iter().enumerate().map(|(number, name)| {
            // Native XDP needs it.
            let gro = true;
            node.add_pod(&PodSpec {
                gro,
                ..PodSpec::new(name, 2 + number as u8)
            })
        });
        let pods = pods.collect::<Result<Vec<Pod>>>()?;
        let served = SERVERS.map(|server| format!("address add {server} dev lo\n"));
        node.namespace().feed("ip", &["-batch", "-"], &served.concat())?;
        mark_replies(node.namespace(), LINKS)?;
        cluster.run(async |client| {
            let namespace: Namespace = object(json!({"metadata": {"name": NAMESPACE}}))?;
            Api::all(client).create(&PostParams::default(), &namespace).await?;
            Ok(())
        })?;
        Ok(Stage { node, cluster, pods })
    }

    /// Starts kxdns, and waits until it is attached to the link of every pod.
    pub(crate) fn start_agent(&self, hook: Hook) -> Result<Agent<'_>> {
        let kubeconfig = self.cluster.write_kubeconfig(self.node.namespace(), User::Agent)?;
        let served = SERVERS.map(|server| server.to_string());
        let arguments = [
            "--kubeconfig",
            &kubeconfig,
            "--attach",
            hook.name(),
            "--interface",
            LINKS,
            "--served",
            &served[0],
            &served[1],
        ];
        let mut agent = Agent::start(self.node.namespace(), PLAIN_COREFILE, &arguments)?;
        agent.await_attached(hook, self.pods.len())?;
        Ok(agent)
    }
}
