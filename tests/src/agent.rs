//! The agent under test, `kxdns run`, on a node.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dns_userspace::kernel::hook::Hook;
use rustix::process::Pid;

use crate::dns::{Question, Reply, ask, await_reply};
use crate::metrics::{KERNEL_ANSWERS, KERNEL_PASSES, Metrics};
use crate::namespace::Namespace;
use crate::peers::find_agent;
use crate::process::Process;
use crate::wait::until;

/// Where a Corefile's `prometheus` must listen for [`Agent`] to find it.
pub const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9153);

/// The smallest Corefile for an agent that is told the rest by its arguments.
pub const PLAIN_COREFILE: &str = "\
.:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        ttl 30
    }
    prometheus :9153
}
";

/// Where the Corefile is written.
pub const COREFILE: &str = "/run/kxdns/Corefile";

const START_LIMIT: Duration = Duration::from_secs(20);
const ATTACH_LIMIT: Duration = Duration::from_secs(10);

/// A running agent. It may still be about to attach to links: await its first answer. Dropping it kills it;
/// [`Agent::stop`] ends it as Kubernetes does.
#[derive(Debug)]
pub struct Agent<'a> {
    node: &'a Namespace,
    process: Process,
}

impl<'a> Agent<'a> {
    /// Starts the agent that [`find_agent`] finds and waits until it is synced. The Corefile must say `prometheus :9153`.
    pub fn start(node: &'a Namespace, corefile: &str, arguments: &[&str]) -> Result<Agent<'a>> {
        Agent::start_program(&find_agent()?, node, corefile, arguments)
    }

    /// Starts this program as the agent.
    pub fn start_program(program: &Path, node: &'a Namespace, corefile: &str, arguments: &[&str]) -> Result<Agent<'a>> {
        node.write(COREFILE, corefile)?;
        let mut command = node.command(program);
        command.args(["run", "--corefile", COREFILE]).args(arguments);
        let mut agent = Agent::launch(node, command)?;
        agent.await_synced()?;
        Ok(agent)
    }

    /// The command `kxdns run` on a node, with the agent that [`find_agent`] finds.
    pub fn command(node: &Namespace, arguments: &[&str]) -> Result<Command> {
        let mut command = node.command(find_agent()?);
        command.arg("run").args(arguments);
        Ok(command)
    }

    /// Starts the agent by a command of the node's own, and waits for nothing.
    pub fn launch(node: &'a Namespace, command: Command) -> Result<Agent<'a>> {
        let process = Process::start("kxdns", command)?;
        Ok(Agent { node, process })
    }

    /// Waits until the agent knows every object. The Corefile must say `prometheus :9153`.
    pub fn await_synced(&mut self) -> Result<()> {
        let node = self.node;
        self.process.await_that("kxdns_synced 1", START_LIMIT, || {
            let metrics = Metrics::scrape(node, METRICS).ok();
            Ok(metrics.and_then(|metrics| (metrics.sum("kxdns_synced", &[]) == 1.0).then_some(())))
        })
    }

    /// Waits until so many links have this hook's program.
    pub fn await_attached(&mut self, hook: Hook, links: usize) -> Result<()> {
        let node = self.node;
        self.process.await_that("its hook", ATTACH_LIMIT, || {
            let metrics = Metrics::scrape(node, METRICS)?;
            Ok(is_attached(&metrics, hook, links).then_some(()))
        })
    }

    /// Reads the agent's metrics.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::scrape(self.node, METRICS)
    }

    /// The agent's process.
    pub fn pid(&self) -> Result<Pid> {
        self.process.pid()
    }

    /// What the agent has said so far.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Waits until the agent has said these words.
    pub fn await_output(&mut self, words: &str, limit: Duration) -> Result<()> {
        self.process.await_output(words, limit)
    }

    /// Asks from this socket until the kernel answers, which it does once the agent has attached to the pod's link.
    pub fn await_kernel(&self, socket: &UdpSocket, question: &Question) -> Result<Reply> {
        let reply = await_reply(socket, question, ATTACH_LIMIT);
        reply.with_context(|| {
            format!(
                "the kernel does not answer; kxdns:\n{}\n{}",
                self.output(),
                self.passes()
            )
        })
    }

    /// Asks this server until the kernel counts an answer, where somebody else answers before it does.
    pub fn await_first_answer(&self, from: &Namespace, server: SocketAddr, question: &Question) -> Result<()> {
        until("the kernel's first answer", ATTACH_LIMIT, || {
            ask(from, server, question, ATTACH_LIMIT)?;
            Ok((self.metrics()?.sum(KERNEL_ANSWERS, &[]) > 0.0).then_some(()))
        })
    }

    /// The reasons for which the kernel has passed packets on.
    fn passes(&self) -> String {
        let metrics = self.metrics();
        let passes = metrics.as_ref().map(|metrics| metrics.series(KERNEL_PASSES));
        let passes = passes.into_iter().flatten().filter(|(_, count)| *count > 0.0);
        passes
            .map(|(reason, count)| format!("passed {reason}: {count}\n"))
            .collect()
    }

    /// Kills the agent by SIGKILL, so that it can clear nothing away.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()
    }

    /// Ends the agent by SIGTERM; anything but a clean exit is an error.
    pub fn stop(self) -> Result<()> {
        let (status, output) = self.process.terminate()?;
        ensure!(status.success(), "kxdns ended with {status} on SIGTERM:\n{output}");
        Ok(())
    }
}

/// Whether so many links have this hook's program, by the agent's metrics.
pub fn is_attached(metrics: &Metrics, hook: Hook, links: usize) -> bool {
    metrics.sum("kxdns_links", &[("hook", hook.name())]) == links as f64
}
