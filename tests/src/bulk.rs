//! Bulk TCP from a pod to its node by iperf3: what the programs must not slow down.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::node::{NODE_IPV4, Node};
use crate::pod::Pod;
use crate::process::Process;

const PORT: u16 = 5201;
const START_LIMIT: Duration = Duration::from_secs(10);

/// An iperf3 server on the node.
#[derive(Debug)]
pub struct BulkServer {
    _process: Process,
}

impl BulkServer {
    /// Starts the server and waits until it listens.
    pub fn start(node: &Node) -> Result<BulkServer> {
        let namespace = node.namespace();
        let mut command = namespace.command("iperf3");
        command.args(["--server", "--port", &PORT.to_string()]);
        let mut process = Process::start("iperf3", command)?;
        let address = SocketAddr::from((NODE_IPV4, PORT));
        process.await_that("its port", START_LIMIT, || {
            let listening = namespace.run("ss", ["-Hltn", &format!("sport = :{}", address.port())])?;
            Ok((!listening.is_empty()).then_some(()))
        })?;
        Ok(BulkServer { _process: process })
    }

    /// Sends from the pod for this many seconds and returns the bits per second that arrived.
    pub fn measure(&self, pod: &Pod, seconds: f64) -> Result<f64> {
        let server = NODE_IPV4.to_string();
        let arguments = [
            "--client",
            &server,
            "--port",
            &PORT.to_string(),
            "--time",
            &seconds.to_string(),
            "--json",
        ];
        let report: serde_json::Value = serde_json::from_str(&pod.namespace().run("iperf3", arguments)?)?;
        report["end"]["sum_received"]["bits_per_second"]
            .as_f64()
            .context("iperf3 reports no rate")
    }
}
