//! Bulk TCP between a pod and its node by iperf3: what the programs must not slow down.

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

/// Which way data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the pod to the node.
    Out,
    /// From the node to the pod.
    In,
}

/// How much is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// What goes within so many seconds: whole ones, as iperf3 takes a part of one for none, and none for no end.
    Seconds(u64),
    /// So many bytes.
    Bytes(u64),
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

    /// Sends so much between the pod and the node and returns the bits per second that arrived.
    pub fn measure(&self, pod: &Pod, direction: Direction, amount: Amount) -> Result<f64> {
        let (option, number) = match amount {
            Amount::Seconds(seconds) => ("--time", seconds),
            Amount::Bytes(bytes) => ("--bytes", bytes),
        };
        let (server, port, number) = (NODE_IPV4.to_string(), PORT.to_string(), number.to_string());
        let arguments = ["--client", &server, "--port", &port, "--json", option, &number];
        let reverse = (direction == Direction::In).then_some("--reverse");
        let report = pod.namespace().run("iperf3", arguments.into_iter().chain(reverse))?;
        let report: serde_json::Value = serde_json::from_str(&report)?;
        report["end"]["sum_received"]["bits_per_second"]
            .as_f64()
            .context("iperf3 reports no rate")
    }
}
