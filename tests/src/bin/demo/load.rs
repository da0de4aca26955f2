//! A few seconds of load: the same questions to the kernel by two hooks and to the agent's own server.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use kxdns_tests::dns::Question;
use kxdns_tests::figures::readable;
use kxdns_tests::load::{Case, keep_asking};

use crate::page::Page;
use crate::stage::{KUBE_DNS, Stage, WEB_SERVICE, WEB_SERVICE_NAME};

const OUTSTANDING: usize = 32;
const ROUND: Duration = Duration::from_millis(1500);

/// Runs the load against each way to answer and prints a table.
pub(crate) fn compare(page: &Page, stage: &Stage, program: &Path) -> Result<()> {
    page.heading(&format!(
        "Load from the pod test: A of {WEB_SERVICE_NAME}, every reply checked"
    ))?;
    let heads = (format!("{OUTSTANDING} in flight"), "one at a time");
    page.note(&format!("  {:36} {:>24} {:>26}", "", heads.0, heads.1))?;
    page.note(&format!(
        "  {:36} {:>15} {:>8} {:>13} {:>12}",
        "", "queries/s", "lost", "p50", "p99"
    ))?;
    for (title, attach) in [
        ("the kernel, XDP (generic)", "xdp-generic"),
        ("the kernel, tcx", "tcx"),
        ("the agent's server (--attach none)", "none"),
    ] {
        let agent = stage.start_agent(program, attach)?;
        page.line(&measure(stage, title)?)?;
        agent.stop()?;
    }
    Ok(())
}

fn measure(stage: &Stage, title: &str) -> Result<String> {
    let server = SocketAddr::from((KUBE_DNS, 53));
    let case = Case::addresses(&Question::a(WEB_SERVICE_NAME), &[WEB_SERVICE.into()])?;
    let run = |outstanding| keep_asking(stage.test.namespace(), server, case.clone(), outstanding, ROUND);
    let (many, single) = (run(OUTSTANDING)?, run(1)?);
    let (p50, p99) = (readable(single.percentile(0.5)), readable(single.percentile(0.99)));
    let lost = many.lost + single.lost;
    Ok(format!(
        "  {title:36} {:>15.0} {lost:>8} {p50:>13} {p99:>12}",
        many.rate()
    ))
}
