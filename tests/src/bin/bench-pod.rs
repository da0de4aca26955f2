//! How long a pod waits for the kernel's answer, one question at a time, beside a program at the same hook that sends every
//! question back as it came.
//!
//! Each has a pod of its own on the same node, with the same kind of link; they take turns, so that a slow moment of the
//! machine hits both. What the reflector takes is what the kernel, the link and the socket take; the rest is kxdns.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use dns_userspace::kernel::hook::Hook;
use kxdns_tests::agent::{Agent, PLAIN_COREFILE};
use kxdns_tests::baseline::reflect;
use kxdns_tests::dns::{Question, Reply};
use kxdns_tests::ending::run_and_close;
use kxdns_tests::figures::{lowest_and_median, tell};
use kxdns_tests::node::Node;
use kxdns_tests::pod::{Pod, PodSpec};
use rustix::thread::{CpuSet, sched_setaffinity};

const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const WEB_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 107, 37, 188);
const MANIFESTS: &str = "/run/kxdns/manifests";
const OBJECTS: &str = "apiVersion: v1
kind: Service
metadata: {name: web-service, namespace: default}
spec: {clusterIP: 10.107.37.188, ports: [{name: http, port: 80}]}
";
/// No reply is longer.
const MAX_LEN: usize = 512;
const LIMIT: Duration = Duration::from_secs(1);
/// How many questions in a row go to one of the two.
const TURN: usize = 500;

/// Measures what a pod waits for the kernel's answers. Needs root.
#[derive(Parser)]
struct Arguments {
    /// The agent's binary.
    #[arg(long, value_name = "PATH")]
    kxdns: PathBuf,
    /// How many questions of each sort are asked.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    questions: usize,
}

fn main() -> ExitCode {
    run_and_close(|| run(&Arguments::parse()))
}

/// Where kxdns and the reflector are attached on the node's side of a pod's link.
const HOOKS: [Hook; 2] = [Hook::Tcx, Hook::XdpGeneric];

fn run(arguments: &Arguments) -> Result<bool> {
    let program = arguments.kxdns.canonicalize();
    let program = program.with_context(|| format!("{}: run `cargo xtask build`", arguments.kxdns.display()))?;
    stay_on_one_cpu()?;
    tell(&format!(
        "nanoseconds from a question to its answer, one at a time, {} questions: lowest / median",
        arguments.questions
    ))?;
    for hook in HOOKS {
        measure_hook(hook, &program, arguments.questions)?;
    }
    Ok(true)
}

fn measure_hook(hook: Hook, program: &Path, questions: usize) -> Result<()> {
    let node = Node::open()?;
    let [ours, reflected] = [("ours", 5), ("mirror", 6)].map(|(name, host)| node.add_pod(&PodSpec::new(name, host)));
    let (ours, reflected) = (ours?, reflected?);
    node.namespace().write(&format!("{MANIFESTS}/objects.yaml"), OBJECTS)?;
    let served = KUBE_DNS.to_string();
    let options = [
        "--manifests",
        MANIFESTS,
        "--served",
        &served,
        "--interface",
        ours.node_link(),
        "--attach",
        hook.name(),
    ];
    let agent = Agent::start_program(program, node.namespace(), PLAIN_COREFILE, &options)?;
    let _reflector = reflect(node.namespace(), reflected.node_link(), hook)?;
    let [ours, reflected] = [&ours, &reflected].map(open);
    let (ours, reflected) = (ours?, reflected?);
    agent.await_kernel(&ours, &Question::a("web-service.default.svc.cluster.local"))?;
    tell(hook.name())?;
    for case in cases() {
        let [kernel, reflector] = measure(&case, [&ours, &reflected], questions)?;
        tell(&format!(
            "  {:<28} kxdns {:>6} / {:>6}   reflector {:>6} / {:>6}   more {:>5} / {:>5}",
            case.what,
            kernel[0],
            kernel[1],
            reflector[0],
            reflector[1],
            kernel[0] - reflector[0],
            kernel[1] - reflector[1]
        ))?;
    }
    agent.stop()
}

fn open(pod: &Pod) -> Result<UdpSocket> {
    let socket = pod.namespace().udp_to(SocketAddr::from((KUBE_DNS, 53)))?;
    socket.set_read_timeout(Some(LIMIT))?;
    Ok(socket)
}

/// The kernel handles a packet on the CPU that sends it, all the way to the socket that waits for it.
fn stay_on_one_cpu() -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(0);
    Ok(sched_setaffinity(None, &cpus)?)
}

/// A question and its answer.
struct Case {
    what: &'static str,
    question: Question,
    addresses: Vec<IpAddr>,
}

fn cases() -> [Case; 3] {
    let case = |what, question, addresses: &[IpAddr]| Case {
        what,
        question,
        addresses: addresses.to_vec(),
    };
    let name = "web-service.default.svc.cluster.local";
    [
        case("A, hit", Question::a(name), &[WEB_SERVICE.into()]),
        case("AAAA, NODATA", Question::aaaa(name), &[]),
        case(
            "A, NXDOMAIN by search list",
            Question::a("www.example.com.default.svc.cluster.local"),
            &[],
        ),
    ]
}

/// The lowest and the median of each of the two, kxdns and the reflector.
fn measure(case: &Case, sockets: [&UdpSocket; 2], questions: usize) -> Result<[[i128; 2]; 2]> {
    let mut times = [Vec::with_capacity(questions), Vec::with_capacity(questions)];
    let mut query = case.question.to_message(0)?;
    let replies = [answer_to(case, sockets[0], &query)?, reflection_of(sockets[1], &query)?];
    for turn in 0..questions.div_ceil(TURN) {
        for ((socket, expected), times) in sockets.iter().zip(&replies).zip(&mut times) {
            for number in 0..TURN {
                query[..2].copy_from_slice(&((turn * TURN + number) as u16).to_be_bytes());
                let mut reply = [0; MAX_LEN];
                let start = Instant::now();
                let len = exchange(socket, &query, &mut reply)?;
                times.push(start.elapsed());
                let is_right = reply[..2] == query[..2] && reply[2..len] == expected[2..];
                ensure!(is_right, "{}: {:02x?}", case.what, &reply[..len]);
            }
        }
    }
    Ok(times.map(|mut times| lowest_and_median(&mut times)))
}

/// What kxdns replies, which has the addresses that it should.
fn answer_to(case: &Case, socket: &UdpSocket, query: &[u8]) -> Result<Vec<u8>> {
    let message = ask(socket, query)?;
    let reply = Reply::parse(&message)?;
    let is_right = reply.authoritative && reply.addresses == case.addresses;
    ensure!(is_right, "{}: {reply:?}", case.what);
    Ok(message)
}

/// What the reflector replies, which is the query.
fn reflection_of(socket: &UdpSocket, query: &[u8]) -> Result<Vec<u8>> {
    let message = ask(socket, query)?;
    ensure!(message[3..] == query[3..], "{message:02x?} from the reflector");
    Ok(message)
}

fn ask(socket: &UdpSocket, query: &[u8]) -> Result<Vec<u8>> {
    let mut reply = vec![0; MAX_LEN];
    let len = exchange(socket, query, &mut reply)?;
    reply.truncate(len);
    Ok(reply)
}

fn exchange(socket: &UdpSocket, query: &[u8], reply: &mut [u8]) -> Result<usize> {
    socket.send(query)?;
    match socket.recv(reply) {
        Ok(len) => Ok(len),
        Err(error) if error.kind() == ErrorKind::WouldBlock => bail!("no reply within {LIMIT:?}"),
        Err(error) => Err(error.into()),
    }
}
