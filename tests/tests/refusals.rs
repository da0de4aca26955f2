//! Where nothing can work, the agent says so: one line for each thing that is wrong, with the way out, exit status 1,
//! and nothing left behind.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use kxdns_tests::agent::{Agent, COREFILE, METRICS, PLAIN_COREFILE};
use kxdns_tests::attachments::{list_attached, list_pinned};
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::Node;
use kxdns_tests::peers::find_agent;
use kxdns_tests::pod::{Pod, PodSpec};
use kxdns_tests::process::Process;

const LIMIT: Duration = Duration::from_secs(10);
const MANIFESTS: &str = "/run/manifests";
const SERVICES: &str = "\
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10}
";
/// The id of a user that is not root.
const NOBODY: u32 = 65534;

#[test]
fn a_corefile_tells_all_its_errors_with_their_places() -> Result<()> {
    let stage = Stage::build()?;
    let cases: [(&str, &[&str]); 4] = [
        (
            ".:53 {\n    kuberntes cluster.local\n    forward . dns.example\n    loop twice\n}\n",
            &[
                "/run/kxdns/Corefile:2:5: unknown directive `kuberntes`; did you mean `kubernetes`?",
                "/run/kxdns/Corefile:3:15: expected ",
                "/run/kxdns/Corefile:4:5: `loop` takes ",
            ],
        ),
        (
            ".:53 {\n    kubernetes cluster.local {\n        tll 30\n    }\n",
            &["/run/kxdns/Corefile:1:6: this `{` is never closed; expected a `}`"],
        ),
        (
            ".:53 {\n    forward . 10.0.0.2\n}\n",
            &["/run/kxdns/Corefile: no `kubernetes`; add one such as `kubernetes cluster.local` to"],
        ),
        (
            "a.local {\n    kubernetes a.local\n}\nb.local {\n    kubernetes b.local\n}\n",
            &["/run/kxdns/Corefile:5:5: a second `kubernetes`; kxdns serves the zones of one: give the first, at "],
        ),
    ];
    for (corefile, expected) in cases {
        stage.node().write(COREFILE, corefile)?;
        stage.check(&["--manifests", MANIFESTS], expected)?;
    }
    Ok(())
}

#[test]
fn server_blocks_on_two_ports_are_no_trouble_to_the_kernel() -> Result<()> {
    let stage = Stage::build()?;
    let corefile = format!("{PLAIN_COREFILE}example.org:54 {{\n    forward . 10.0.0.2\n}}\n");
    let arguments = ["--manifests", MANIFESTS, "--kernel-only"];
    Agent::start(stage.node(), &corefile, &arguments)?.stop()?;
    stage.check_nothing_left()
}

#[test]
fn what_is_not_there_is_named() -> Result<()> {
    let stage = Stage::build()?;
    let cases: [(&[&str], &str); 7] = [
        (
            &["--manifests", "/run/none"],
            "--manifests /run/none: no such file or folder",
        ),
        (
            &["--kubeconfig", "/run/none"],
            "kubeconfig /run/none: No such file or directory",
        ),
        (
            &[],
            "no API server: not in a cluster's pod; give --kubeconfig, --manifests, or `endpoint` or",
        ),
        (
            &["--manifests", MANIFESTS, "--bpffs", "/run/none"],
            "no BPF file system at /run/none; mount one with `mount -t bpf bpf /run/none`, or name another place with",
        ),
        (
            &["--manifests", MANIFESTS, "--bpffs", "/run"],
            "/run is no BPF file system; mount one with `mount -t bpf bpf /run`, or name another place with --bpffs",
        ),
        (
            &["--manifests", MANIFESTS, "--interface", "veth[0"],
            "--interface: error parsing glob 'veth[0': unclosed character class",
        ),
        (
            &["--manifests", MANIFESTS, "--served", "0.0.0.0"],
            "--served 0.0.0.0: no address that a pod can ask; give the DNS Service's cluster IP",
        ),
    ];
    for (arguments, expected) in cases {
        stage.check(arguments, &[expected])?;
    }
    fs::remove_file(stage.node().path(COREFILE))?;
    stage.check(&[], &["/run/kxdns/Corefile: cannot be read: No such file or directory"])
}

#[test]
fn more_addresses_than_fit_are_refused() -> Result<()> {
    let stage = Stage::build()?;
    let addresses: Vec<_> = (1..=8).map(|number| format!("10.0.0.{number}")).collect();
    let mut arguments = vec!["--manifests", MANIFESTS, "--served"];
    arguments.extend(addresses.iter().map(String::as_str));
    stage.check(
        &arguments,
        &["--served: 8 addresses of one family; kxdns takes 7 at most"],
    )?;
    // As many as are allowed leave room for the DNS Service's.
    arguments.pop();
    let mut agent = Agent::start(stage.node(), PLAIN_COREFILE, &arguments)?;
    agent.await_output("10.0.0.7, 10.96.0.10", LIMIT)?;
    agent.stop()
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() -> Result<()> {
    let stage = Stage::build()?;
    for (arguments, expected) in [
        (["--lease", "1s"], "shorter than 3s; it is renewed every second"),
        (["--lease", "soon"], "give one such as `30s` or `5m`"),
        (["--leases", "5m"], "a similar argument exists: '--lease'"),
    ] {
        let command = Agent::command(stage.node(), &arguments)?;
        let (status, output) = Process::start("kxdns", command)?.finish(LIMIT)?;
        assert_eq!(status.code(), Some(2), "{output}");
        assert!(output.contains(expected), "{output}");
    }
    stage.check_nothing_left()
}

#[test]
fn a_port_in_use_is_named() -> Result<()> {
    let stage = Stage::build()?;
    let arguments = ["--manifests", MANIFESTS];
    let way_out = "address in use; another DNS server runs here. Stop it, use `bind` in the Corefile, or run with";
    {
        let _udp = stage.node().udp_at(SocketAddr::from(([127, 0, 0, 1], 53)))?;
        stage.check(
            &arguments,
            &[&format!("cannot listen on [::]:53 (UDP): {way_out} --kernel-only")],
        )?;
    }
    {
        let _tcp = stage.node().listen(SocketAddr::from(([127, 0, 0, 1], 53)))?;
        stage.check(
            &arguments,
            &[&format!("cannot listen on [::]:53 (TCP): {way_out} --kernel-only")],
        )?;
    }
    let _metrics = stage.node().listen(METRICS)?;
    let expected =
        "cannot serve metrics on [::]:9153: address in use; give `prometheus` another address in the Corefile";
    stage.check(&arguments, &[expected])
}

#[test]
fn a_second_agent_leaves_the_first_alone() -> Result<()> {
    let stage = Stage::build()?;
    let arguments = ["--manifests", MANIFESTS, "--kernel-only"];
    let mut agent = Agent::start(stage.node(), PLAIN_COREFILE, &arguments)?;
    agent.await_output("attached by tcx", LIMIT)?;
    let before = (
        list_attached(stage.node(), stage.pod.node_link())?,
        list_pinned(stage.node())?,
    );

    let elsewhere = PLAIN_COREFILE.replace(":9153", ":9154");
    stage.node().write("/run/second/Corefile", elsewhere)?;
    let arguments = [
        "--corefile",
        "/run/second/Corefile",
        "--manifests",
        MANIFESTS,
        "--kernel-only",
    ];
    let errors = refuse(Agent::command(stage.node(), &arguments)?)?;
    assert_eq!(
        errors,
        ["another kxdns is at work on this node (it holds /sys/fs/bpf); stop it first"]
    );
    assert_eq!(
        (
            list_attached(stage.node(), stage.pod.node_link())?,
            list_pinned(stage.node())?
        ),
        before
    );
    agent.stop()?;
    stage.check_nothing_left()
}

#[test]
fn a_missing_privilege_is_named() -> Result<()> {
    let stage = Stage::build()?;
    for (capabilities, missing) in [
        ("-all,+net_bind_service", "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON"),
        ("-all,+net_bind_service,+net_admin,+perfmon", "CAP_BPF"),
        ("-all,+net_bind_service,+bpf,+perfmon", "CAP_NET_ADMIN"),
        ("-all,+net_bind_service,+bpf,+net_admin", "CAP_PERFMON"),
    ] {
        let limits = ["--bounding-set", capabilities, "--inh-caps", capabilities];
        let expected = format!(
            "kxdns needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON to answer from the kernel (missing: {missing}): run it \
             as root, add them to its container, or use --attach none"
        );
        assert_eq!(refuse(stage.restricted(&limits)?)?, [expected]);
        stage.check_nothing_left()?;
    }
    let limits = ["--bounding-set", "-all", "--inh-caps", "-all"];
    let errors = refuse(stage.restricted(&limits)?)?;
    let expected = "cannot listen on [::]:53 (UDP): permission denied; run as root, give it CAP_NET_BIND_SERVICE, or";
    assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:?}");
    Ok(())
}

#[test]
fn a_user_with_four_capabilities_needs_only_a_bpf_file_system() -> Result<()> {
    let stage = Stage::build()?;
    let capabilities = "-all,+net_bind_service,+bpf,+net_admin,+perfmon";
    let user = NOBODY.to_string();
    let limits = [
        "--reuid",
        &user,
        "--clear-groups",
        "--inh-caps",
        capabilities,
        "--ambient-caps",
        capabilities,
    ];
    let errors = refuse(stage.restricted(&limits)?)?;
    let expected =
        "cannot pin the maps in /sys/fs/bpf; run as its owner, or name another place with --bpffs: Permission";
    assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:?}");
    stage.check_nothing_left()?;

    chown(stage.node().path("/sys/fs/bpf"), Some(NOBODY), None)?;
    let mut agent = Agent::launch(stage.node(), stage.restricted(&limits)?)?;
    agent.await_output("attached by tcx", LIMIT)?;
    agent.stop()?;
    stage.check_nothing_left()
}

/// A node with a pod, a Corefile and a manifest, all good.
struct Stage {
    node: Node,
    pod: Pod,
}

impl Stage {
    fn build() -> Result<Stage> {
        let node = Node::open()?;
        let pod = node.add_pod(&PodSpec::new("test", 5))?;
        node.namespace().write(COREFILE, PLAIN_COREFILE)?;
        node.namespace()
            .write(&format!("{MANIFESTS}/services.yaml"), SERVICES)?;
        Ok(Stage { node, pod })
    }

    fn node(&self) -> &Namespace {
        self.node.namespace()
    }

    /// The agent under what `setpriv` takes away. It is copied: where it was built may be nobody's business.
    fn restricted(&self, limits: &[&str]) -> Result<Command> {
        let program = "/run/kxdns/kxdns";
        // By a process of its own: a test that forks meanwhile would hold the copy open for writing, and so busy.
        self.node().run("cp", [find_agent()?.as_os_str(), program.as_ref()])?;
        let mut command = self.node().command("setpriv");
        command
            .args(limits)
            .args([program, "run", "--corefile", COREFILE, "--manifests", MANIFESTS]);
        Ok(command)
    }

    /// Runs the agent with these arguments: its errors must begin with these words, and nothing may be left.
    fn check(&self, arguments: &[&str], expected: &[&str]) -> Result<()> {
        let arguments = [&["--corefile", COREFILE], arguments].concat();
        let errors = refuse(Agent::command(self.node(), &arguments)?)?;
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
        for (error, expected) in errors.iter().zip(expected) {
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
        self.check_nothing_left()
    }

    fn check_nothing_left(&self) -> Result<()> {
        assert_eq!(list_attached(self.node(), self.pod.node_link())?, "");
        assert!(list_pinned(self.node())?.is_empty());
        Ok(())
    }
}

/// Runs the agent to its end, which must be a refusal, and returns its errors. It may write nothing but its log.
fn refuse(command: Command) -> Result<Vec<String>> {
    let (status, output) = Process::start("kxdns", command)?.finish(LIMIT)?;
    assert_eq!(status.code(), Some(1), "{output}");
    let mut errors = Vec::new();
    for line in output.lines() {
        let (_, line) = line.split_once(char::is_whitespace).context("no log line")?;
        match line.trim_start().split_once(' ').context("no log line")? {
            ("ERROR", error) => errors.push(error.to_owned()),
            (level, _) => assert!(["INFO", "WARN"].contains(&level), "{output}"),
        }
    }
    Ok(errors)
}
