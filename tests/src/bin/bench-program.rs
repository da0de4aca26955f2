//! How long the programs take: nanoseconds by test run, above an XDP program that does nothing.
//!
//! Each run is one packet, so that every one of them sees the query (a repeated run would see its own reply). Cases take
//! turns, so that a slow moment of the machine hits all of them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use clap::Parser;
use kxdns_tests::empty;
use kxdns_tests::frames::{Family, Query, ones_sum, pseudo_header};
use kxdns_tests::program::{Hook, Programs};

/// How many names stand in the maps.
const NAMES: usize = 30_000;
const ROUNDS: usize = 3_000;
/// Where the UDP header stands in an IPv4 frame.
const UDP_AT: usize = 14 + 20;
const ADDRESS: [u8; 4] = [10, 107, 37, 188];

/// Times the programs by test run.
#[derive(Parser)]
struct Arguments {
    /// Not used: the programs are those of this build.
    #[arg(long, hide = true)]
    kxdns: Option<PathBuf>,
}

struct Case {
    what: &'static str,
    answered: bool,
    /// One of these at random each time.
    frames: Vec<Vec<u8>>,
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn main() -> Result<()> {
    let Arguments { kxdns: _ } = Arguments::parse();
    let programs = fill()?;
    let cases = cases();
    println!("nanoseconds above an empty program, {NAMES} names in the maps, {ROUNDS} runs: lowest / median");
    for hook in Hook::ALL {
        let (verified, instructions) = programs.instructions(hook)?;
        println!("\n{hook:?}: {instructions} instructions, {verified} verified");
        for (case, samples) in cases.iter().zip(measure(&programs, hook, &cases)?) {
            let [lowest, median] = samples;
            println!("  {:<34} {lowest:>5} / {median}", case.what);
        }
    }
    Ok(())
}

fn fill() -> Result<Programs> {
    let mut programs = Programs::load()?;
    for index in 0..NAMES {
        programs.put(&name(index), Some(ADDRESS), None)?;
    }
    programs.put("web-service.default.svc.cluster.local", Some(ADDRESS), None)?;
    programs.put(&long_name(), Some(ADDRESS), None)?;
    Ok(programs)
}

fn name(index: usize) -> String {
    format!("s-{index:05}-web.default.svc.cluster.local")
}

/// A name of 255 bytes in wire form.
fn long_name() -> String {
    let label = "x".repeat(63);
    format!("{label}.{label}.{label}.{}.svc.cluster.local", "y".repeat(43))
}

/// The frame with the checksum that a socket leaves to a device that completes it.
fn waiting(mut frame: Vec<u8>) -> Vec<u8> {
    let [pod, service] = Family::V4.addresses();
    let sum = ones_sum(&pseudo_header(pod, service, (frame.len() - UDP_AT) as u16));
    frame[UDP_AT + 6..UDP_AT + 8].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn cases() -> Vec<Case> {
    let ask = |name: &str, qtype| Query::new(name, qtype).frame(Family::V4);
    let hit = "web-service.default.svc.cluster.local";
    let mut tcp = ask(hit, 1);
    tcp[23] = 6;
    let case = |what, answered, frames| Case { what, answered, frames };
    let upper: String = long_name()
        .chars()
        .enumerate()
        .map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c })
        .collect();
    vec![
        case("A, hit", true, vec![ask(hit, 1)]),
        case("A, hit, checksum left to device", true, vec![waiting(ask(hit, 1))]),
        case(
            "A, hit, mixed case",
            true,
            vec![ask("wEB-SERVICE.DEFAULT.svc.Cluster.LOCAL", 1)],
        ),
        case(
            "A, hit, with OPT",
            true,
            vec![Query::new(hit, 1).with_opt(1232, 0, &[]).frame(Family::V4)],
        ),
        case("A, hit, IPv6", true, vec![Query::new(hit, 1).frame(Family::V6)]),
        case(
            "A, one of 1,000",
            true,
            (0..1_000).map(|index| ask(&name(index * 29), 1)).collect(),
        ),
        case(
            "A, one of 30,000",
            true,
            (0..NAMES).map(|index| ask(&name(index), 1)).collect(),
        ),
        case("A, 255 bytes, mixed case", true, vec![ask(&upper, 1)]),
        case("AAAA, NODATA", true, vec![ask(hit, 28)]),
        case("miss", false, vec![ask("web-servicf.default.svc.cluster.local", 1)]),
        case("TCP, not DNS", false, vec![tcp]),
    ]
}

/// The lowest and the median of each case.
fn measure(programs: &Programs, hook: Hook, cases: &[Case]) -> Result<Vec<[i128; 2]>> {
    let empty = empty::load()?;
    let empty: &Xdp = empty.program(empty::NAME).context("loaded")?.try_into()?;
    let mut samples = vec![Vec::with_capacity(ROUNDS); cases.len() + 1];
    for round in 0..ROUNDS {
        for (case, samples) in cases.iter().zip(&mut samples[1..]) {
            let frame = &case.frames[round * 7919 % case.frames.len()];
            let (visit, duration) = programs.timed(hook, frame)?;
            ensure!(visit.answered == case.answered, "{}: {visit:?}", case.what);
            samples.push(duration);
        }
        let frame = &cases[0].frames[0];
        samples[0].push(
            empty
                .test_run(TestRunOptions {
                    data_in: Some(frame),
                    ..TestRunOptions::new()
                })?
                .duration,
        );
    }
    let mut figures = samples.iter_mut().map(|samples| lowest_and_median(samples));
    let floor = figures.next().unwrap_or_default();
    Ok(figures
        .map(|figure| [figure[0] - floor[0], figure[1] - floor[1]])
        .collect())
}

fn lowest_and_median(samples: &mut [Duration]) -> [i128; 2] {
    samples.sort();
    [samples[0], samples[samples.len() / 2]].map(|duration| duration.as_nanos() as i128)
}
