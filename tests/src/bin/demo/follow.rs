//! How soon the kernel's answer follows a change of the objects.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use domain::base::iana::Rcode;
use kxdns_tests::dns::{Question, Reply, SILENCE, ask_by};
use kxdns_tests::figures::readable;

use crate::page::Page;
use crate::stage::{KERNEL_ONLY, Stage};

const NAME: &str = "late-service.default.svc.cluster.local";
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 96, 7, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 96, 7, 2);
const PATIENCE: Duration = Duration::from_secs(10);

/// Adds, changes and deletes a Service while the pod test asks for it without pause.
pub(crate) fn watch_a_service(page: &Page, stage: &Stage) -> Result<()> {
    page.heading("A Service comes, changes and goes while the pod test asks for it without pause")?;
    page.note(&format!(
        "  It asks {KERNEL_ONLY}, an address that only the kernel serves: whatever is answered, the kernel says."
    ))?;
    let watcher = Watcher::new(stage)?;
    watcher.await_answer(None)?;
    stage.write_late_service(FIRST)?;
    report(
        page,
        &format!("late-service added as {FIRST}"),
        watcher.await_answer(Some(FIRST))?,
    )?;
    stage.write_late_service(SECOND)?;
    report(
        page,
        &format!("changed to {SECOND}"),
        watcher.await_answer(Some(SECOND))?,
    )?;
    stage.delete_late_service()?;
    report(page, "deleted", watcher.await_answer(None)?)
}

fn report(page: &Page, change: &str, time: Duration) -> Result<()> {
    page.line(&format!(
        "  {change:<35} the kernel follows after {:>9}",
        readable(time)
    ))
}

struct Watcher {
    socket: std::net::UdpSocket,
    question: Question,
}

impl Watcher {
    fn new(stage: &Stage) -> Result<Watcher> {
        let socket = stage.test.namespace().udp_to(SocketAddr::from((KERNEL_ONLY, 53)))?;
        Ok(Watcher {
            socket,
            question: Question::a(NAME),
        })
    }

    /// Asks until the answer is the expected address, or until the name is denied; returns how long that took.
    fn await_answer(&self, expected: Option<Ipv4Addr>) -> Result<Duration> {
        let start = Instant::now();
        for id in (1..=u16::MAX).cycle() {
            let reply = ask_by(&self.socket, &self.question, id, SILENCE)?;
            let is_expected = |reply: &Reply| match expected {
                Some(address) => reply.addresses == [IpAddr::V4(address)],
                None => reply.rcode == Rcode::NXDOMAIN,
            };
            if reply.as_ref().is_some_and(is_expected) {
                break;
            }
            if start.elapsed() > PATIENCE {
                bail!("after {PATIENCE:?} the kernel still says {reply:?} for {NAME}");
            }
        }
        Ok(start.elapsed())
    }
}
