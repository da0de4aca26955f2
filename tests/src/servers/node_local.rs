//! CoreDNS as a cache on the node, set up as NodeLocal DNSCache is.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::Server;
use crate::namespace::Namespace;
use crate::node::{NODE_IPV4, Node};
use crate::peers::find_peer;

/// Where pods ask the cache on their node.
pub const NODE_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 20, 10);

const COREFILE: &str = include_str!("../../servers/node-local.Corefile");
const RULES: &str = include_str!("../../servers/node-local.nft");
const PATH: &str = "/run/node-local/Corefile";
const KNOWN_NAME: &str = "kubernetes.default.svc.cluster.local";

/// Starts CoreDNS as a cache on the node. It asks a Service's address, `upstream`, over TCP: kube-proxy must lead there.
///
/// It listens at [`NODE_LOCAL`] alone. What pods ask the address of kube-dns still goes where kube-proxy leads it.
pub fn start_node_local(node: &Node, upstream: Ipv4Addr) -> Result<Server> {
    let namespace = node.namespace();
    set_up_network(namespace, upstream)?;
    namespace.write(PATH, fill(COREFILE).replace("{upstream}", &upstream.to_string()))?;
    let mut command = namespace.command(find_peer("coredns")?);
    command.args(["-conf", PATH]);
    Server::start("node-local CoreDNS", namespace, command, NODE_LOCAL, KNOWN_NAME)
}

/// Gives the node the cache's address, on loopback where NodeLocal DNSCache makes a link for it, and a way upstream.
fn set_up_network(namespace: &Namespace, upstream: Ipv4Addr) -> Result<()> {
    // The node has no default route, and what has no route is not sent, though kube-proxy would lead it elsewhere.
    let addresses = format!(
        "address replace {NODE_LOCAL}/32 dev lo\n\
         route replace {upstream}/32 dev lo src {NODE_IPV4}\n"
    );
    namespace.feed("ip", &["-batch", "-"], &addresses)?;
    namespace.feed("nft", &["-f", "-"], &fill(RULES)).map(drop)
}

fn fill(text: &str) -> String {
    text.replace("{address}", &NODE_LOCAL.to_string())
}
