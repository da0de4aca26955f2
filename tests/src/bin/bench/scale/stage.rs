//! Where it happens: a node with a real API server, a pod that asks, and a pod in which CoreDNS runs.

use std::sync::Arc;

use anyhow::Result;
use kxdns_tests::cluster::Cluster;
use kxdns_tests::node::Node;
use kxdns_tests::pod::{Pod, PodSpec};

use super::slices::Slices;

/// The stage. Dropping it ends all that runs on it.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) ground: Arc<Ground>,
    pub(crate) slices: Arc<Slices>,
}

/// A node and its pods.
pub(crate) struct Ground {
    pub(crate) node: Node,
    pub(crate) client: Pod,
    pub(crate) server: Pod,
}

impl Stage {
    /// Starts the control plane, and makes the pods.
    pub(crate) fn build() -> Result<Stage> {
        let node = Node::open()?;
        let cluster = Cluster::start(&node)?;
        let client = node.add_pod(&PodSpec::new("client", 5))?;
        let server = node.add_pod(&PodSpec::new("server", 6))?;
        Ok(Stage {
            cluster,
            ground: Arc::new(Ground { node, client, server }),
            slices: Arc::default(),
        })
    }
}
