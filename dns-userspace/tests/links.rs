//! Follows real links in network namespaces of the tests' own and looks at the kernel for what is attached to them.
//!
//! Needs root, `ip`, `tc`, `ethtool` and `bpftool` (`cargo xtask setup` installs them).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

use std::{
    ffi::CString,
    fs::File,
    os::fd::AsFd as _,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use aya::programs::{SchedClassifier, TcAttachType};
use dns_userspace::kernel::{
    attach::{Attached, Attacher},
    hook::{AttachMode, Hook},
    link::{self, Change, Changes},
    links::{Fatal, LinkState, follow},
    object,
    selection::Selection,
};
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType, move_into_link_name_space, set_capabilities};
use tokio::{runtime, sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn attaches_to_a_pod_link_that_appears_and_forgets_it_when_it_goes() {
    let (node, pod) = (Namespace::new(), Namespace::new());
    let mut follower = Follower::start(&node, &[], AttachMode::Auto);
    for _ in 0..2 {
        add_pod_link(&node, &pod, "veth1");
        let state = follower.until_attached("veth1");
        assert_eq!(state.attached.unwrap().hook, Hook::Tcx);
        assert_listed(&node, "veth1", "tcx kxdns_tc_pod");

        node.ip("link del veth1");
        follower.until(|states| states.is_empty());
    }
    follower.stop().unwrap();
}

#[test]
fn leaves_links_alone_until_they_lead_to_a_pod() {
    let (node, pod) = (Namespace::new(), Namespace::new());
    node.ip("link add br0 type bridge");
    node.ip("link add left type veth peer name right");
    add_pod_link(&node, &pod, "veth1");
    let mut follower = Follower::start(&node, &[], AttachMode::Auto);
    follower.until_attached("veth1");
    assert_eq!(follower.states().len(), 1);

    node.ip(&format!("link set right netns {}", pod.name));
    pod.ip("link set right up");
    node.ip("link set left up");
    follower.until_attached("left");
    assert_eq!(follower.states().len(), 2);
    follower.stop().unwrap();
}

/// The kernel drops what is handed to the other end of a link within one namespace.
#[test]
fn hands_replies_over_only_to_another_namespace() {
    let (node, pod) = (Namespace::new(), Namespace::new());
    node.ip("link add left type veth peer name right");
    let mut follower = Follower::start(&node, &["left"], AttachMode::Auto);
    follower.until_attached("left");
    assert_listed(&node, "left", "tcx kxdns_tc id");

    node.ip(&format!("link set right netns {}", pod.name));
    pod.ip("link set right up");
    node.ip("link set left up");
    await_that(&node, "left", |attachments| {
        attachments.starts_with("tcx kxdns_tc_pod id")
    });
    follower.stop().unwrap();
}

#[test]
fn attaches_by_each_hook_with_three_capabilities_and_leaves_nothing_behind() {
    let needed = CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON;
    for (mode, listed) in [
        (AttachMode::Tcx, "tcx kxdns_tc_pod"),
        (AttachMode::Clsact, "clsact/ingress kxdns_tc_pod"),
        (AttachMode::Xdp, "generic id"),
        (AttachMode::XdpGeneric, "generic id"),
    ] {
        let (node, pod) = (Namespace::new(), Namespace::new());
        add_pod_link(&node, &pod, "veth1");
        let mut follower = Follower::start_without(!needed, &node, &[], mode);
        follower.until_attached("veth1");
        assert_listed(&node, "veth1", listed);

        follower.stop().unwrap();
        await_attachments(&node, "veth1", "");
        assert!(!node.exec("tc qdisc show dev veth1").contains("clsact"), "{mode:?}");
    }
}

#[test]
fn attaches_natively_to_a_veth_only_while_its_peer_can_receive() {
    let (node, pod) = (Namespace::new(), Namespace::new());
    add_pod_link(&node, &pod, "veth1");
    let mut follower = Follower::start(&node, &[], AttachMode::XdpNative);
    let refused = follower.until(|states| states.iter().any(|state| state.attached.is_err()));
    let cause = refused[0].attached.clone().unwrap_err();
    assert!(
        cause.contains("peer cannot receive redirected frames") && cause.contains("gro on"),
        "{cause}"
    );
    await_attachments(&node, "veth1", "");

    for _ in 0..2 {
        pod.exec("ethtool -K eth0 gro on");
        follower.until_attached("veth1");
        assert_listed(&node, "veth1", "driver id");

        pod.exec("ethtool -K eth0 gro off");
        follower.until(|states| states[0].attached.is_err());
        await_attachments(&node, "veth1", "");
    }
    follower.stop().unwrap();
}

#[test]
fn names_a_foreign_xdp_program_and_does_not_replace_it() {
    let (node, pods) = (Namespace::new(), [Namespace::new(), Namespace::new()]);
    add_pod_link(&node, &pods[0], "veth1");
    add_pod_link(&node, &pods[1], "veth2");
    let foreign = Foreign::attach(&node, "veth1", Hook::XdpGeneric);
    let before = attachments(&node, "veth1");

    let mut follower = Follower::start(&node, &[], AttachMode::XdpGeneric);
    follower.until_attached("veth2");
    let cause = follower.state("veth1").attached.unwrap_err();
    let id = before.split(' ').next_back().unwrap();
    assert!(
        cause.contains(&format!("already has XDP program {id} `kxdns_xdp`")),
        "{cause}"
    );
    assert!(cause.contains("--attach tcx"), "{cause}");
    assert_eq!(attachments(&node, "veth1"), before);

    drop(foreign);
    follower.until_attached("veth1");
    follower.stop().unwrap();
}

#[test]
fn passes_the_drivers_refusal_on_with_the_way_out() {
    let (node, pod) = (Namespace::new(), Namespace::new());
    add_pod_link(&node, &pod, "veth1");
    pod.exec("ethtool -L eth0 tx 2");
    pod.exec("ethtool -K eth0 gro on");
    let follower = Follower::start(&node, &[], AttachMode::XdpNative);
    let cause = follower.state("veth1").attached.unwrap_err();
    assert!(
        cause.contains("No space left on device") && cause.contains("receive queues"),
        "{cause}"
    );
    follower.stop().unwrap();
}

#[test]
fn goes_before_the_programs_that_are_on_the_link() {
    let (node, pod) = (Namespace::new(), Namespace::new());
    add_pod_link(&node, &pod, "veth1");
    let _foreign = Foreign::attach(&node, "veth1", Hook::Tcx);
    let before = attachments(&node, "veth1");

    let mut follower = Follower::start(&node, &[], AttachMode::Auto);
    follower.until_attached("veth1");
    let now = attachments(&node, "veth1");
    assert_eq!(now.lines().count(), 2, "{now}");
    assert_eq!(now.lines().next_back(), Some(before.as_str()), "{now}");
    follower.stop().unwrap();
    await_attachments(&node, "veth1", &before);
}

#[test]
fn keeps_a_clsact_qdisc_that_others_use() {
    let (node, pods) = (Namespace::new(), [Namespace::new(), Namespace::new()]);
    add_pod_link(&node, &pods[0], "theirs");
    add_pod_link(&node, &pods[1], "shared");
    node.exec("tc qdisc add dev theirs clsact");
    let mut follower = Follower::start(&node, &[], AttachMode::Clsact);
    follower.until_attached("theirs");
    follower.until_attached("shared");
    let foreign = Foreign::attach(&node, "shared", Hook::Clsact);
    follower.stop().unwrap();

    await_attachments(&node, "theirs", "");
    assert!(node.exec("tc qdisc show dev theirs").contains("clsact"));
    assert_listed(&node, "shared", "clsact/ingress kxdns_tc");
    node.run(|| drop(foreign));
}

#[test]
fn stays_on_a_bridge_port_that_leaves_its_bridge() {
    let (node, pod) = (Namespace::new(), Namespace::new());
    node.ip("link add br0 type bridge");
    add_pod_link(&node, &pod, "veth1");
    let mut follower = Follower::start(&node, &["veth*", "marker"], AttachMode::Auto);
    follower.until_attached("veth1");
    let before = attachments(&node, "veth1");

    node.ip("link set veth1 master br0");
    node.ip("link set veth1 nomaster");
    node.ip("link add marker type bridge");
    follower.until_attached("marker");
    assert_eq!(attachments(&node, "veth1"), before);
    follower.stop().unwrap();
}

#[test]
fn waits_for_a_link_that_is_named_but_not_there() {
    let node = Namespace::new();
    let mut follower = Follower::start(&node, &["nic0", "lan*"], AttachMode::Auto);
    assert_eq!(follower.states(), []);
    node.ip("link add nic0 type bridge");
    follower.until_attached("nic0");
    node.ip("link set nic0 name other0");
    follower.until(|states| states.is_empty());
    await_attachments(&node, "other0", "");
    follower.stop().unwrap();
}

#[test]
fn attaches_to_nothing_when_told_so() {
    let (node, pod) = (Namespace::new(), Namespace::new());
    add_pod_link(&node, &pod, "veth1");
    let follower = Follower::start(&node, &["veth1"], AttachMode::None);
    follower.stop().unwrap();
    await_attachments(&node, "veth1", "");
}

#[test]
fn names_the_privilege_that_is_missing() {
    let (node, pod) = (Namespace::new(), Namespace::new());
    add_pod_link(&node, &pod, "veth1");
    for (missing, name) in [
        (CapabilitySet::SYS_ADMIN | CapabilitySet::BPF, "missing: CAP_BPF)"),
        (
            CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN,
            "missing: CAP_NET_ADMIN)",
        ),
        (
            CapabilitySet::SYS_ADMIN | CapabilitySet::PERFMON,
            "missing: CAP_PERFMON)",
        ),
    ] {
        let follower = Follower::start_without(missing, &node, &[], AttachMode::Auto);
        let Err(Fatal::Privilege(error)) = follower.stop() else {
            panic!("no privilege was missed without {name}")
        };
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn tells_when_the_kernel_lost_changes() {
    let node = Namespace::new();
    node.ip("link add nic0 type bridge");
    let changes = node.run(|| {
        runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let mut changes = Changes::subscribe().unwrap();
                // More than the socket's buffer holds.
                let flap = "link set nic0 up\nlink set nic0 down\n".repeat(1000);
                let batch = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(&batch, flap).unwrap();
                run(Command::new("ip").arg("-batch").arg(batch.path()));
                timeout(PATIENCE, changes.next()).await.unwrap().unwrap()
            })
    });
    assert_eq!(changes, [Change::Lost]);
}

/// A network namespace; dropping it removes it with all that is in it.
struct Namespace {
    name: String,
}

impl Namespace {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "kxdnst-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        run(Command::new("ip").args(["netns", "add", &name]));
        Self { name }
    }

    /// Runs `ip` on the namespace from outside.
    fn ip(&self, arguments: &str) {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments.split(' ')));
    }

    /// Runs a command inside the namespace and returns what it prints.
    fn exec(&self, command: &str) -> String {
        run(Command::new("ip")
            .args(["netns", "exec", &self.name])
            .args(command.split(' ')))
    }

    /// Runs `work` on a thread inside the namespace.
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(&self.name);
                work()
            });
            inside.join().unwrap()
        })
    }
}

/// Moves the calling thread into a namespace.
fn enter(namespace: &str) {
    let file = File::open(format!("/var/run/netns/{namespace}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

impl Drop for Namespace {
    fn drop(&mut self) {
        run(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; run `cargo xtask setup`"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn add_pod_link(node: &Namespace, pod: &Namespace, name: &str) {
    node.ip(&format!("link add {name} type veth peer name eth0 netns {}", pod.name));
    pod.ip("link set eth0 up");
    node.ip(&format!("link set {name} up"));
}

/// Lists the programs on a link as (hook, name, id), one a line in the order in which they run.
fn attachments(node: &Namespace, link: &str) -> String {
    let (_, tcx) = node
        .run(|| SchedClassifier::query_tcx(&CString::new(link).unwrap(), TcAttachType::Ingress))
        .unwrap();
    let tcx = tcx
        .iter()
        .map(|program| format!("tcx {} id {}", program.name_as_str().unwrap(), program.id()));
    // bpftool lists the others, each line after the link's name and index.
    let listing = node.exec(&format!("bpftool net show dev {link}"));
    let others = listing.lines().filter(|line| line.starts_with(&format!("{link}(")));
    let others = others
        .filter_map(|line| line.split_once(") "))
        .map(|(_, program)| program.trim().to_owned());
    tcx.chain(others).collect::<Vec<_>>().join("\n")
}

fn assert_listed(node: &Namespace, link: &str, expected: &str) {
    let attachments = attachments(node, link);
    assert!(
        attachments.starts_with(expected) && attachments.lines().count() == 1,
        "{link}: {attachments}"
    );
}

/// Waits until exactly these programs are on a link.
///
/// A detached program may stay for a moment: a process that another test is just starting holds all open files until it
/// executes its own program.
fn await_attachments(node: &Namespace, link: &str, expected: &str) {
    await_that(node, link, |attachments| attachments == expected);
}

/// Waits until the programs on a link are as they should be.
fn await_that(node: &Namespace, link: &str, are_right: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !are_right(&attachments(node, link)) {
        assert!(Instant::now() < deadline, "{link}: {}", attachments(node, link));
    }
}

/// The agent's following of links, at work in a node's namespace.
struct Follower {
    states: watch::Receiver<Vec<LinkState>>,
    shutdown: CancellationToken,
    thread: thread::JoinHandle<Result<(), Fatal>>,
}

impl Follower {
    fn start(node: &Namespace, patterns: &[&str], mode: AttachMode) -> Self {
        let mut follower = Self::start_without(CapabilitySet::empty(), node, patterns, mode);
        if mode != AttachMode::None {
            follower.until_changed();
        }
        follower
    }

    fn start_without(missing: CapabilitySet, node: &Namespace, patterns: &[&str], mode: AttachMode) -> Self {
        let (sender, states) = watch::channel(Vec::new());
        let shutdown = CancellationToken::new();
        let selection = Selection::from_patterns(patterns).unwrap();
        let (name, until) = (node.name.clone(), shutdown.clone());
        let thread = thread::spawn(move || {
            enter(&name);
            let ebpf = object::open(false).unwrap();
            give_up(missing);
            follow(ebpf, selection, mode, sender, until)
        });
        Self {
            states,
            shutdown,
            thread,
        }
    }

    fn states(&self) -> Vec<LinkState> {
        self.states.borrow().clone()
    }

    fn state(&self, link: &str) -> LinkState {
        self.states().into_iter().find(|state| state.name == link).unwrap()
    }

    fn until_changed(&mut self) {
        block_on(self.states.changed()).unwrap();
    }

    /// Waits for a state of the links and returns it.
    fn until(&mut self, reached: impl FnMut(&Vec<LinkState>) -> bool) -> Vec<LinkState> {
        block_on(self.states.wait_for(reached)).unwrap().clone()
    }

    fn until_attached(&mut self, link: &str) -> LinkState {
        self.until(|states| states.iter().any(|state| state.name == link && state.attached.is_ok()));
        self.state(link)
    }

    fn stop(self) -> Result<(), Fatal> {
        self.shutdown.cancel();
        self.thread.join().unwrap()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, future).await.unwrap() })
}

/// Takes capabilities from the calling thread.
fn give_up(capabilities: CapabilitySet) {
    let held = rustix::thread::capabilities(None).unwrap();
    let effective = held.effective - capabilities;
    set_capabilities(None, CapabilitySets { effective, ..held }).unwrap();
}

/// A program that is not the follower's.
struct Foreign {
    // Before the attacher, as it asks.
    _attached: Attached,
    _attacher: Attacher,
}

impl Foreign {
    fn attach(node: &Namespace, name: &str, hook: Hook) -> Self {
        node.run(|| {
            let link = link::list()
                .unwrap()
                .into_iter()
                .find(|link| link.name == name)
                .unwrap();
            let mut attacher = Attacher::new(object::open(false).unwrap());
            Self {
                _attached: attacher.attach(&link, hook).unwrap(),
                _attacher: attacher,
            }
        })
    }
}
