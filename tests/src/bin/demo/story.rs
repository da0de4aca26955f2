//! The main story: two pods look names up with the C library and curl, and the metrics tell who answered.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kxdns_tests::agent::Agent;
use kxdns_tests::figures::readable;
use kxdns_tests::metrics::{KERNEL_ANSWERS, Metrics};
use kxdns_tests::pod::Pod;

use crate::backends::{UPSTREAM_ADDRESS, UPSTREAM_NAME};
use crate::page::Page;
use crate::stage::{KUBE_DNS, Stage, WEB_SERVICE};

const WELCOME: &str = "Welcome to NGINX!";
const URLS: [&str; 4] = [
    "http://web-service",
    "http://web-service.default",
    "http://web-service.default.svc",
    "http://web-service.default.svc.cluster.local",
];
/// curl's exit code for a name that does not resolve.
const NO_SUCH_HOST: i32 = 6;

pub(crate) fn tell(page: &Page, stage: &Stage, agent: &Agent<'_>) -> Result<()> {
    let story = Story { page, agent };
    page.heading(&format!(
        "Pod test: resolv.conf names {KUBE_DNS} and the usual search list, ndots:5"
    ))?;
    story.head()?;
    story.resolve(&stage.test, "web-service", WEB_SERVICE)?;
    for url in URLS {
        story.fetch(&stage.test, url, Some(WELCOME))?;
    }
    story.resolve(&stage.test, UPSTREAM_NAME, UPSTREAM_ADDRESS)?;

    page.heading("Pod visitor, in another namespace: there the bare name is nobody's, as in every cluster")?;
    story.head()?;
    for url in URLS {
        story.fetch(&stage.visitor, url, (url != URLS[0]).then_some(WELCOME))?;
    }
    page.note("  The search list is tried in order, for A and AAAA each: hence several answers a line.")?;
    page.note("  getent's time includes the start of its process; curl's is its lookup alone.")
}

struct Story<'a> {
    page: &'a Page,
    agent: &'a Agent<'a>,
}

impl Story<'_> {
    fn head(&self) -> Result<()> {
        self.page
            .note(&format!("  {:50} {:>10} {:>24}", "", "", "answers by"))?;
        self.page.note(&row(
            "",
            "",
            "lookup",
            ["kernel", "agent", "upstream"].map(str::to_owned),
        ))
    }

    /// Resolves a name by getaddrinfo.
    fn resolve(&self, pod: &Pod, name: &str, expected: Ipv4Addr) -> Result<()> {
        self.step(&format!("getent ahosts {name}"), || resolve(pod, name, expected))
    }

    /// Fetches a page, or expects that the name does not resolve.
    fn fetch(&self, pod: &Pod, url: &str, expected: Option<&str>) -> Result<()> {
        self.step(&format!("curl {url}"), || fetch(pod, url, expected))
    }

    /// Runs a command, and prints what came and whose answers it took.
    fn step(&self, command: &str, run: impl FnOnce() -> Result<(String, Duration)>) -> Result<()> {
        let before = Answers::read(&self.agent.metrics()?);
        let (result, lookup) = run().with_context(|| command.to_owned())?;
        let answers = Answers::read(&self.agent.metrics()?).since(&before);
        self.page.line(&row(
            command,
            &result,
            &readable(lookup),
            answers.0.map(|count| count.to_string()),
        ))
    }
}

fn row(command: &str, result: &str, lookup: &str, [kernel, agent, upstream]: [String; 3]) -> String {
    format!("  {command:<50} {lookup:>10} {kernel:>7} {agent:>6} {upstream:>9}   {result}")
}

fn resolve(pod: &Pod, name: &str, expected: Ipv4Addr) -> Result<(String, Duration)> {
    let start = Instant::now();
    let output = pod.namespace().run("getent", ["ahosts", name])?;
    let elapsed = start.elapsed();
    let address = output.split_whitespace().next().unwrap_or_default().to_owned();
    ensure!(address == expected.to_string(), "{name} is {address:?}, not {expected}");
    Ok((address, elapsed))
}

fn fetch(pod: &Pod, url: &str, expected: Option<&str>) -> Result<(String, Duration)> {
    let times = "\n%{time_namelookup} %{time_total}";
    let output = pod
        .namespace()
        .command("curl")
        .args(["-s", "-m", "10", "-w", times, url])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (body, times) = text.rsplit_once('\n').context("curl says nothing")?;
    let mut times = times.split(' ').map(|time| time.parse().map(Duration::from_secs_f64));
    let (lookup, total) = (times.next().context("no time")??, times.next().context("no time")??);
    match expected {
        Some(words) => {
            ensure!(
                body.contains(words),
                "it says {body:?}, not {words:?} ({})",
                output.status
            );
            Ok((words.to_owned(), lookup))
        }
        None => {
            ensure!(
                output.status.code() == Some(NO_SUCH_HOST),
                "it should not resolve ({})",
                output.status
            );
            Ok(("no such name".to_owned(), total))
        }
    }
}

/// Replies so far by who gave them: the kernel, the agent's server, an upstream server.
struct Answers([f64; 3]);

impl Answers {
    fn read(metrics: &Metrics) -> Answers {
        let served = |source| metrics.sum("kxdns_server_responses_total", &[("source", source)]);
        let kernel = metrics.sum(KERNEL_ANSWERS, &[]);
        Answers([kernel, served("kubernetes") + served("server"), served("forward")])
    }

    fn since(&self, before: &Answers) -> Answers {
        Answers([0, 1, 2].map(|index| self.0[index] - before.0[index]))
    }
}
