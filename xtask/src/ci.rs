//! `cargo xtask ci`: what must pass before a change is merged, in the order in which mistakes are cheapest to find.

use std::time::Instant;

use anyhow::Result;

use crate::step::Steps;
use crate::{bench, demo, kernels, lint, test, workspace};

/// Runs lint, the tests here and on other kernels, the demo and every benchmark for a moment, and stops at the first that fails.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    workspace::require_root("ci")?;
    let mut times = Vec::new();
    let mut stage = |name: &str, work: &dyn Fn() -> Result<()>| {
        let start = Instant::now();
        work()?;
        times.push(format!("{name} {:.0} s", start.elapsed().as_secs_f32()));
        anyhow::Ok(())
    };
    stage("lint", &|| lint::run(steps))?;
    stage("test", &|| steps.show("run the tests", test::prepare(steps, &[])?))?;
    stage("kernels", &|| kernels::run(steps))?;
    stage("demo", &|| steps.show("show the demo", demo::prepare(steps)?))?;
    stage("bench", &|| {
        steps.show("run the benchmarks", bench::prepare(steps, &bench::Benchmarks::QUICK)?)
    })?;
    steps.say(&format!("all passed: {}", times.join(", ")));
    Ok(())
}
