//! The harness itself: what the other tests take for granted.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{ListParams, PostParams, WatchParams};
use kube::core::Request;
use kube::{Api, Client};
use kxdns_tests::cluster::{Cluster, User, service};
use kxdns_tests::counters::read_losses;
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::{NODE_IPV4, NODE_IPV6, Node};
use kxdns_tests::pod::PodSpec;
use kxdns_tests::process::Process;
use kxdns_tests::wait::until;

const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn a_namespace_has_files_and_links_of_its_own() -> Result<()> {
    let namespace = Namespace::open()?;
    namespace.write("/run/example/file", "text")?;
    namespace.set_resolv_conf("nameserver 10.96.0.10\n")?;
    assert_eq!(namespace.run("cat", ["/run/example/file"])?, "text");
    assert_eq!(namespace.run("cat", ["/etc/resolv.conf"])?, "nameserver 10.96.0.10\n");
    assert_eq!(namespace.run("ls", ["/sys/class/net"])?, "lo\n");
    assert!(!std::path::Path::new("/run/example/file").exists());
    Ok(())
}

#[test]
fn dropping_a_namespace_ends_what_runs_in_it() -> Result<()> {
    let namespace = Namespace::open()?;
    let mut sleeper = namespace.command("sh");
    sleeper.args(["-c", "echo up; exec sleep 1000"]);
    let mut sleeper = Process::start("sleeper", sleeper)?;
    sleeper.await_output("up", LIMIT)?;
    drop(namespace);
    let (status, _) = sleeper.finish(LIMIT)?;
    assert!(!status.success());
    Ok(())
}

#[test]
fn a_paused_program_goes_on_and_its_end_is_seen() -> Result<()> {
    let namespace = Namespace::open()?;
    let mut program = namespace.command("sh");
    program.args([
        "-c",
        "trap 'echo told; exit 0' TERM; echo up; sleep 1000 >/dev/null 2>&1 & wait",
    ]);
    let mut program = Process::start("program", program)?;
    program.await_output("up", LIMIT)?;
    let state = || -> Result<Option<()>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid()?.as_raw_pid()))?;
        Ok(status.contains("State:\tT").then_some(()))
    };
    program.pause()?;
    until("its pause", LIMIT, state)?;
    program.resume()?;
    let (status, output) = program.terminate()?;
    assert!(status.success() && output.ends_with("told\n"), "{status}: {output}");
    Ok(())
}

#[test]
fn a_failing_command_tells_its_words() -> Result<()> {
    let namespace = Namespace::open()?;
    let error = namespace
        .run("ip", ["link", "show", "dev", "absent"])
        .expect_err("there is no such link");
    assert!(error.to_string().contains("absent"), "{error}");
    Ok(())
}

#[test]
fn a_pod_reaches_its_node_over_both_families_without_loss() -> Result<()> {
    let node = Node::open()?;
    let pod = node.add_pod(&PodSpec {
        mtu: 9001,
        offload: false,
        gro: true,
        ..PodSpec::new("test", 5)
    })?;
    for address in [SocketAddr::from((NODE_IPV4, 5353)), SocketAddr::from((NODE_IPV6, 5353))] {
        echo(node.namespace().udp_at(address)?);
        let socket = pod.namespace().udp_to(address)?;
        socket.set_read_timeout(Some(LIMIT))?;
        let before = read_losses(&node, &pod)?;
        socket.send(&[7; 8900])?;
        let mut buffer = [0; 9000];
        assert_eq!(socket.recv(&mut buffer)?, 8900);
        assert_eq!(read_losses(&node, &pod)?, before);
    }
    Ok(())
}

#[test]
fn pods_reach_each_other_through_their_node() -> Result<()> {
    let node = Node::open()?;
    let one = node.add_pod(&PodSpec::new("one", 5))?;
    let other = node.add_pod(&PodSpec::new("other", 6))?;
    echo(other.namespace().udp_at(SocketAddr::from(([0, 0, 0, 0], 5353)))?);
    let socket = one.namespace().udp_to(SocketAddr::from((other.ipv4(), 5353)))?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.send(b"word")?;
    let mut buffer = [0; 16];
    assert_eq!(socket.recv(&mut buffer)?, 4);
    Ok(())
}

#[test]
fn the_agents_user_may_read_services_and_nothing_else() -> Result<()> {
    let node = Node::open()?;
    let cluster = Cluster::start(&node)?;
    cluster.run_as(User::Agent, async |client| {
        let services = Api::<Service>::all(client.clone()).list(&ListParams::default()).await?;
        assert!(
            services
                .items
                .iter()
                .any(|service| service.metadata.name.as_deref() == Some("kubernetes"))
        );
        let write = Api::namespaced(client.clone(), "default")
            .create(&Default::default(), &service("forbidden", &[])?)
            .await;
        assert_eq!(status_of(write.map(drop)), Some(403));
        let others = Api::<ConfigMap>::all(client).list(&ListParams::default()).await;
        assert_eq!(status_of(others.map(drop)), Some(403));
        Ok(())
    })
}

#[test]
fn a_restarted_api_server_has_its_objects_and_forgets_watches() -> Result<()> {
    let node = Node::open()?;
    let mut cluster = Cluster::start(&node)?;
    let namespaces = |client: Client| Api::<k8s_openapi::api::core::v1::Namespace>::all(client);
    let version = cluster.run(async |client| {
        let version = namespaces(client.clone())
            .get("default")
            .await?
            .metadata
            .resource_version;
        create_service(client).await?;
        version.context("no version")
    })?;
    cluster.restart_api_server()?;
    let watched = cluster.run(async |client| {
        let watch = Request::new("/api/v1/namespaces").watch(&WatchParams::default().timeout(5), &version)?;
        namespaces(client.clone()).get("default").await?;
        Ok(client.request_text(watch).await?)
    })?;
    assert!(watched.contains("\"code\":410"), "{watched}");
    Ok(())
}

async fn create_service(client: Client) -> Result<()> {
    let services: Api<Service> = Api::namespaced(client, "default");
    services.create(&PostParams::default(), &service("late", &[])?).await?;
    Ok(())
}

fn status_of(result: kube::Result<()>) -> Option<u16> {
    match result {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

/// Sends every datagram back, for as long as the test runs.
fn echo(socket: UdpSocket) {
    thread::spawn(move || -> Result<()> {
        let mut buffer = [0; 9000];
        loop {
            let (length, sender) = socket.recv_from(&mut buffer).context("nothing to echo")?;
            socket.send_to(&buffer[..length], sender)?;
        }
    });
}
