//! Where something can work, the agent goes on: it says what is wrong, keeps the last good state in force, and is well
//! again by itself.

use std::ffi::CString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aya::programs::{Xdp, XdpMode};
use domain::base::iana::Rcode;
use kxdns_tests::agent::{Agent, COREFILE, PLAIN_COREFILE};
use kxdns_tests::attachments::{list_attached, list_pinned};
use kxdns_tests::baseline;
use kxdns_tests::cluster::{CONTROL_PLANE, Cluster, User};
use kxdns_tests::dns::{Question, ask, await_reply};
use kxdns_tests::figures::{readable, tell};
use kxdns_tests::http;
use kxdns_tests::kube_proxy::create_kube_dns;
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::{NODE_IPV4, Node};
use kxdns_tests::pod::{Pod, PodSpec};
use kxdns_tests::wait::until;
use rustix::process::{Signal, kill_process};

const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const KUBE_DNS_NAME: &str = "kube-dns.kube-system.svc.cluster.local";
const WEB_NAME: &str = "web.default.svc.cluster.local";
const MANIFESTS: &str = "/run/manifests";
const ARGUMENTS: [&str; 3] = ["--kernel-only", "--manifests", MANIFESTS];
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn nothing_is_answered_before_a_manifest_that_is_broken_is_mended() -> Result<()> {
    let stage = Stage::build()?;
    let bad = manifest("web", "10.0.0.300");
    stage.write("web.yaml", &format!("{}---\n{bad}", manifest("other", "10.0.0.2")))?;
    let mut agent = stage.launch(&ARGUMENTS)?;
    let complaint = "web.yaml, document 2: spec.clusterIP \"10.0.0.300\" is no IP address; nothing is answered before \
                     every manifest has been read once";
    agent.await_output(complaint, LIMIT)?;
    agent.await_output("attached by tcx", LIMIT)?;
    assert_eq!(agent.metrics()?.sum("kxdns_synced", &[]), 0.0);
    stage.write("web.yaml", &manifest("web", "10.0.0.3"))?;
    agent.await_kernel(&stage.socket()?, &Question::a(WEB_NAME))?;
    agent.stop()
}

#[test]
fn a_manifest_that_breaks_leaves_its_last_good_state_in_force() -> Result<()> {
    let stage = Stage::build()?;
    stage.write("web.yaml", &manifest("web", "10.0.0.3"))?;
    let mut agent = stage.launch(&ARGUMENTS)?;
    let (socket, question) = (stage.socket()?, Question::a(WEB_NAME));
    agent.await_kernel(&socket, &question)?;

    stage.write("web.yaml", "apiVersion: v1\nkind: Service\nmetadata: [\n")?;
    agent.await_output("web.yaml, document 1: line 3, column 11: ", LIMIT)?;
    agent.await_output("; what was last read of it stays in force", LIMIT)?;
    let [old, new] = [Ipv4Addr::new(10, 0, 0, 3), Ipv4Addr::new(10, 0, 0, 4)];
    assert_eq!(await_reply(&socket, &question, LIMIT)?.addresses, [old]);
    // What is not broken is followed all the same.
    stage.write("other.yaml", &manifest("other", "10.0.0.2"))?;
    agent.await_kernel(&socket, &Question::a("other.default.svc.cluster.local"))?;

    stage.write("web.yaml", &manifest("web", &new.to_string()))?;
    until("the mended manifest", LIMIT, || {
        Ok((await_reply(&socket, &question, LIMIT)?.addresses == [new]).then_some(()))
    })?;
    agent.stop()
}

#[test]
fn questions_pass_until_the_api_server_can_be_reached() -> Result<()> {
    let stage = Stage::build()?;
    let cluster = Cluster::start(&stage.node)?;
    create_kube_dns(&cluster, KUBE_DNS, NODE_IPV4)?;
    let kubeconfig = cluster.write_kubeconfig(stage.node(), User::Agent)?;
    let address = format!("{KUBE_DNS}/32");
    stage.node().run("ip", ["address", "add", &address, "dev", "lo"])?;
    refuse_questions(stage.node().udp_at(SocketAddr::from((KUBE_DNS, 53)))?);
    let control_plane = CONTROL_PLANE.to_string();
    let reroute = |kind: &str| {
        let route = format!("route replace {kind}\n");
        stage.node().feed("ip", &["-batch", "-"], &route)
    };
    reroute(&format!("unreachable {control_plane}"))?;

    let served = KUBE_DNS.to_string();
    let mut agent = stage.launch(&["--kernel-only", "--kubeconfig", &kubeconfig, "--served", &served])?;
    // Which kind of object is tried first is left to chance.
    let complaint = "API server https://10.0.1.2:6443: cannot list ";
    agent.await_output(complaint, LIMIT)?;
    agent.await_output("attached by tcx", LIMIT)?;
    let (question, server) = (Question::a(KUBE_DNS_NAME), SocketAddr::from((KUBE_DNS, 53)));
    let (reply, _) = ask(stage.pod.namespace(), server, &question, LIMIT)?;
    assert_eq!(reply.rcode, Rcode::REFUSED, "the server behind answers");
    let metrics = agent.metrics()?;
    assert_eq!(metrics.sum("kxdns_synced", &[]), 0.0);
    assert!(metrics.sum("kxdns_kernel_passes_total", &[("reason", "unsynced")]) > 0.0);

    reroute(&format!("{control_plane} dev control src {NODE_IPV4}"))?;
    agent.await_output("API server https://10.0.1.2:6443 answers again", LIMIT)?;
    let socket = stage.socket()?;
    until("the kernel's answer", LIMIT, || {
        let reply = await_reply(&socket, &question, LIMIT)?;
        Ok((reply.addresses == [KUBE_DNS]).then_some(()))
    })?;
    assert_eq!(agent.output().matches(complaint).count(), 1, "{}", agent.output());
    agent.stop()
}

#[test]
fn a_link_that_is_not_there_is_awaited() -> Result<()> {
    let stage = Stage::build()?;
    let mut agent = stage.launch(&[&ARGUMENTS[..], &["--interface", "veth-late"]].concat())?;
    let warning =
        "no link matches --interface veth-late yet; it is attached when it appears (links now: lo, veth-test)";
    agent.await_output(warning, LIMIT)?;
    let late = stage.node.add_pod(&PodSpec::new("late", 6))?;
    let socket = late.namespace().udp_to(SocketAddr::from((KUBE_DNS, 53)))?;
    agent.await_kernel(&socket, &Question::a(KUBE_DNS_NAME))?;
    assert_eq!(
        agent.output().matches("no link matches").count(),
        1,
        "{}",
        agent.output()
    );
    assert_eq!(list_attached(stage.node(), stage.pod.node_link())?, "");
    agent.stop()
}

#[test]
fn a_foreign_xdp_program_is_named_and_never_replaced() -> Result<()> {
    let stage = Stage::build()?;
    let other = stage.node.add_pod(&PodSpec::new("other", 6))?;
    let link = stage.pod.node_link();
    let mut foreign = baseline::load()?;
    let program: &mut Xdp = foreign.program_mut(baseline::XDP).context("not loaded")?.try_into()?;
    let name = CString::new(link)?;
    stage
        .node()
        .inside(|| program.attach(name.as_c_str(), XdpMode::Skb))??;
    let before = list_attached(stage.node(), link)?;
    assert!(!before.is_empty());

    let mut agent = stage.launch(&[&ARGUMENTS[..], &["--attach", "xdp-generic"]].concat())?;
    let id = program.info()?.id();
    let refusal = format!(
        "{link}: not attached: it already has XDP program {id} `{}`; kxdns does not replace it: detach it, or use",
        baseline::XDP
    );
    agent.await_output(&refusal, LIMIT)?;
    let socket = other.namespace().udp_to(SocketAddr::from((KUBE_DNS, 53)))?;
    agent.await_kernel(&socket, &Question::a(KUBE_DNS_NAME))?;
    assert_eq!(list_attached(stage.node(), link)?, before);

    drop(foreign);
    agent.await_kernel(&stage.socket()?, &Question::a(KUBE_DNS_NAME))?;
    agent.stop()?;
    stage.check_nothing_left()
}

#[test]
fn an_agent_that_is_stopped_at_any_time_leaves_nothing_behind() -> Result<()> {
    let stage = Stage::build()?;
    let corefile = PLAIN_COREFILE.replace("prometheus", "reload\n    prometheus");
    stage.node().write(COREFILE, corefile)?;
    for hook in ["tcx", "clsact", "xdp-generic"] {
        for moment in [
            "Running configuration SHA512",
            "the kernel answers from",
            "served: 10.96.0.10",
            "attached by",
        ] {
            let mut agent = stage.launch(&["--manifests", MANIFESTS, "--attach", hook])?;
            agent.await_output(moment, LIMIT)?;
            agent.stop().with_context(|| format!("{hook}, {moment}"))?;
            stage
                .check_nothing_left()
                .with_context(|| format!("{hook}, {moment}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_lame_duck_answers_until_its_time_is_over() -> Result<()> {
    const LAMEDUCK: Duration = Duration::from_secs(2);
    let stage = Stage::build()?;
    stage.write("web.yaml", &manifest("web", "10.0.0.3"))?;
    let corefile = PLAIN_COREFILE.replacen(
        '{',
        "{\n    health 127.0.0.1:8080 {\n        lameduck 2s\n    }\n    ready 127.0.0.1:8181",
        1,
    );
    let agent = Agent::start(stage.node(), &corefile, &["--attach", "none", "--manifests", MANIFESTS])?;
    let page = |port: u16, path| http::get(stage.node(), (Ipv4Addr::LOCALHOST, port).into(), path);
    let socket = stage.node().udp_to((Ipv4Addr::LOCALHOST, 53).into())?;
    let question = Question::a(WEB_NAME);
    until("readiness", LIMIT, || {
        Ok(page(8181, "/ready").ok().filter(|text| text == "OK"))
    })?;

    kill_process(agent.pid()?, Signal::TERM)?;
    let told = Instant::now();
    until("the end of readiness", LIMIT, || {
        Ok(page(8181, "/ready").is_err().then_some(()))
    })?;
    assert_eq!(page(8080, "/health")?, "OK");
    assert_eq!(
        await_reply(&socket, &question, LIMIT)?.addresses,
        [Ipv4Addr::new(10, 0, 0, 3)]
    );
    agent.stop()?;
    assert!(told.elapsed() >= LAMEDUCK, "{:?}", told.elapsed());
    Ok(())
}

#[test]
fn an_agent_that_was_killed_is_followed_by_one_that_works() -> Result<()> {
    let stage = Stage::build()?;
    for hook in ["tcx", "clsact", "xdp-generic"] {
        let arguments = [&ARGUMENTS[..], &["--attach", hook]].concat();
        let [old, new] = [Ipv4Addr::new(10, 0, 0, 3), Ipv4Addr::new(10, 0, 0, 4)];
        let (socket, question) = (stage.socket()?, Question::a(WEB_NAME));
        stage.write("web.yaml", &manifest("web", &old.to_string()))?;
        let killed = stage.launch(&arguments)?;
        assert_eq!(killed.await_kernel(&socket, &question)?.addresses, [old]);
        killed.kill()?;
        assert!(
            !list_pinned(stage.node())?.is_empty(),
            "the maps of the one that was killed stay pinned"
        );

        // By whatever hook its successor attaches, what was left there answers no more.
        stage.write("web.yaml", &manifest("web", &new.to_string()))?;
        let mut next = stage.launch(&ARGUMENTS)?;
        next.await_output("attached by tcx", LIMIT)?;
        assert_eq!(next.await_kernel(&socket, &question)?.addresses, [new], "{hook}");
        next.stop()?;
        stage.check_nothing_left().context(hook)?;
    }
    Ok(())
}

#[test]
fn fifty_links_are_detached_in_time() -> Result<()> {
    const LINKS: usize = 50;
    let stage = Stage::build()?;
    let peers = Namespace::open()?;
    let add = |number| {
        let peer = format!("peer name eth{number} netns {}", peers.link_handle());
        format!("link add many{number} type veth {peer}\nlink set many{number} up\n")
    };
    let links: String = (1..LINKS).map(add).collect();
    stage.node().feed("ip", &["-batch", "-"], &links)?;
    let start = Instant::now();
    let agent = stage.launch(&ARGUMENTS)?;
    until("all links", LIMIT, || {
        let metrics = agent.metrics().ok();
        let attached = metrics.map(|metrics| metrics.sum("kxdns_links", &[("hook", "tcx")]));
        Ok((attached == Some(LINKS as f64)).then_some(()))
    })?;
    let (attached, start) = (start.elapsed(), Instant::now());
    agent.stop()?;
    let detached = start.elapsed();
    let (attached_in, detached_in) = (readable(attached), readable(detached));
    tell(&format!(
        "{LINKS} links: started and attached in {attached_in}, detached and ended in {detached_in}"
    ))?;
    assert!(detached < Duration::from_secs(5), "{detached:?}");
    assert_eq!(list_attached(stage.node(), "many49")?, "");
    stage.check_nothing_left()
}

/// A node with a pod, a Corefile and the manifest of the kube-dns Service.
struct Stage {
    node: Node,
    pod: Pod,
}

impl Stage {
    fn build() -> Result<Stage> {
        let node = Node::open()?;
        let pod = node.add_pod(&PodSpec::new("test", 5))?;
        let stage = Stage { node, pod };
        stage.node().write(COREFILE, PLAIN_COREFILE)?;
        let kube_dns = manifest("kube-dns, namespace: kube-system", &KUBE_DNS.to_string());
        stage.node().write(&format!("{MANIFESTS}/kube-dns.yaml"), kube_dns)?;
        Ok(stage)
    }

    fn node(&self) -> &Namespace {
        self.node.namespace()
    }

    fn launch(&self, arguments: &[&str]) -> Result<Agent<'_>> {
        let arguments = [&["--corefile", COREFILE], arguments].concat();
        Agent::launch(self.node(), Agent::command(self.node(), &arguments)?)
    }

    /// The pod's way to the kube-dns address.
    fn socket(&self) -> Result<UdpSocket> {
        self.pod.namespace().udp_to(SocketAddr::from((KUBE_DNS, 53)))
    }

    /// Writes a manifest in one step, as an atomic update of a file.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        self.node().write("/run/draft", text)?;
        fs::rename(
            self.node().path("/run/draft"),
            self.node().path(format!("{MANIFESTS}/{name}")),
        )?;
        Ok(())
    }

    fn check_nothing_left(&self) -> Result<()> {
        assert_eq!(list_attached(self.node(), self.pod.node_link())?, "");
        assert!(list_pinned(self.node())?.is_empty());
        Ok(())
    }
}

fn manifest(name: &str, address: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: {address}}}\n")
}

/// Stands behind the kube-dns address and answers every query by REFUSED, as nothing in the kernel does.
fn refuse_questions(socket: UdpSocket) {
    thread::spawn(move || -> Result<()> {
        let mut buffer = [0; 512];
        loop {
            let (length, sender) = socket.recv_from(&mut buffer)?;
            buffer[2] |= 0x80;
            buffer[3] = 5;
            socket.send_to(&buffer[..length], sender)?;
        }
    });
}
