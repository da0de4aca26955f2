//! A changed Corefile is put in force while clients ask: nothing is lost, and a file that will not do changes nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use domain::base::iana::Rcode;
use kxdns_tests::agent::{Agent, COREFILE};
use kxdns_tests::dns::{Question, Reply, ask_by};
use kxdns_tests::figures::tell;
use kxdns_tests::node::Node;
use rustix::process::{Signal, kill_process};

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 53);
const WEB: &str = "web.default.svc.cluster.local";
const MANIFEST: &str = "/run/manifests/web.yaml";
const LIMIT: Duration = Duration::from_secs(20);

/// A client's patience, as that of stub resolvers.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_changed_corefile_is_put_in_force_while_clients_ask() -> Result<()> {
    let node = Node::open()?;
    let node = node.namespace();
    node.write(
        MANIFEST,
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.0.0.3}\n",
    )?;
    let corefile = |ttl: u32, more: &str| {
        format!(
            ".:53 {{\n    kubernetes cluster.local {{\n        ttl {ttl}\n    }}\n    prometheus :9153\n    \
             reload 2s 0s\n{more}}}\n"
        )
    };
    let arguments = ["--attach", "none", "--manifests", "/run/manifests"];
    let mut agent = Agent::start(node, &corefile(7, ""), &arguments)?;
    let (done, asked) = (AtomicBool::new(false), AtomicU16::new(0));
    thread::scope(|scope| -> Result<()> {
        let asking = scope.spawn(|| -> Result<()> {
            let socket = node.udp_to(SERVER.into())?;
            while !done.load(Ordering::Relaxed) {
                let id = asked.fetch_add(1, Ordering::Relaxed);
                let reply = ask_by(&socket, &Question::a(WEB), id, PATIENCE)?;
                let reply = reply.with_context(|| format!("question {id} was lost"))?;
                assert_eq!(reply.addresses, [Ipv4Addr::new(10, 0, 0, 3)]);
            }
            Ok(())
        });
        let changing = change(&mut agent, node, corefile);
        done.store(true, Ordering::Relaxed);
        asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        changing
    })?;
    tell(&format!("{} questions, none lost", asked.load(Ordering::Relaxed)))?;
    agent.stop()
}

/// Changes the Corefile in all the ways that there are.
fn change(
    agent: &mut Agent<'_>,
    node: &kxdns_tests::namespace::Namespace,
    corefile: impl Fn(u32, &str) -> String,
) -> Result<()> {
    let ask = || -> Result<Reply> {
        let socket = node.udp_to(SERVER.into())?;
        let reply = ask_by(&socket, &Question::a("www.example.com"), 1, PATIENCE)?;
        reply.context("no reply")
    };
    assert_eq!(ask()?.rcode, Rcode::SERVFAIL);

    // Only plugins.
    node.write(COREFILE, corefile(7, "    log\n    forward example.com 127.0.0.1:1\n"))?;
    agent.await_output("[INFO] Reloading complete", LIMIT)?;
    ask()?;
    agent.await_output("\"A IN www.example.com. udp 33 false 512\" SERVFAIL qr,rd 33 ", LIMIT)?;

    // A file that will not do, three ways.
    for (more, complaint) in [
        (
            "    nonsense\n",
            "reload failed: /run/kxdns/Corefile:7:5: unknown directive `nonsense`",
        ),
        (
            "    dnssec\n",
            "reload failed: /run/kxdns/Corefile:7:5: `dnssec` is not supported by kxdns",
        ),
        (
            "    bind 192.0.2.1\n",
            "reload failed: cannot listen on 192.0.2.1:53 (UDP): no interface has this address",
        ),
    ] {
        node.write(COREFILE, corefile(7, more))?;
        agent.await_output(complaint, LIMIT)?;
        assert_eq!(ask()?.rcode, Rcode::SERVFAIL);
    }
    assert_eq!(agent.metrics()?.sum("coredns_reload_failed_total", &[]), 2.0);

    // More than plugins, and at once.
    node.write(COREFILE, corefile(9, ""))?;
    let before = Instant::now();
    kill_process(agent.pid()?, Signal::USR1)?;
    agent.await_output("[INFO] SIGUSR1: Reloading", LIMIT)?;
    let socket = node.udp_to(SocketAddr::from(SERVER))?;
    while ask_by(&socket, &Question::a(WEB), 7, PATIENCE)?
        .context("no reply")?
        .ttl
        != Some(9)
    {
        assert!(before.elapsed() < LIMIT, "it is never put in force");
    }
    agent.await_synced()
}
