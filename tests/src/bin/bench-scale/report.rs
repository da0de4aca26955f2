//! What is told: progress on standard error, figures on standard output.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kxdns_tests::figures::{percentile, readable};
use kxdns_tests::histogram::Histogram;

use crate::changes::{COUNTED, Inside, TIMED};
use crate::population::Population;
use crate::relist::Relist;
use crate::sync::{REST, Sync};

/// Says on standard error what is being done.
#[expect(clippy::print_stderr, reason = "the person at the terminal waits for minutes")]
pub(crate) fn progress(line: &str) {
    eprintln!("bench-scale: {line}");
}

/// What was measured of one of the two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// The first syncs at the full size.
    pub(crate) syncs: Vec<Sync>,
    /// From the API's reply to the answer, at the small and at the full size; ascending.
    pub(crate) times: [Vec<Duration>; 2],
    /// Inside the agent, at the small and at the full size.
    pub(crate) inside: [Option<Inside>; 2],
    pub(crate) relist: Option<Relist>,
}

/// Prints the table of kxdns beside CoreDNS.
pub(crate) fn tell(sizes: [Population; 2], kxdns: &Figures, coredns: &Figures) {
    let [small, full] = sizes;
    head(full);
    row("", "kxdns", "CoreDNS");
    row("---", "---:", "---:");
    let both = |what: &str, tell: &dyn Fn(&Figures) -> String| row(what, &tell(kxdns), &tell(coredns));
    let duration = |of: fn(&Sync) -> Option<Duration>| move |figures: &Figures| durations(&figures.syncs, of);
    let bytes = |of: fn(&Sync) -> u64| move |figures: &Figures| sizes_of(&figures.syncs, of);
    both(
        "first sync: from the first list until ready",
        &duration(|sync| sync.from_list),
    );
    both(
        "first sync: from the process's start until ready",
        &duration(|sync| Some(sync.ready)),
    );
    both(
        "first sync: until the last Service is answered",
        &duration(|sync| Some(sync.answered)),
    );
    both("first sync: processor time", &duration(|sync| Some(sync.processor)));
    both("first sync: peak of resident memory", &bytes(|sync| sync.synced.peak));
    both(
        &format!("at rest ({} s later): resident memory", REST.as_secs()),
        &bytes(|sync| sync.rest.now),
    );
    both(
        "at rest: BPF maps and programs, in the kernel",
        &bytes(|sync| sync.kernel),
    );
    let relist = |of: fn(&Relist) -> String| move |figures: &Figures| figures.relist.as_ref().map_or_else(none, of);
    both(
        "relist: until all is right again",
        &relist(|relist| readable(relist.converged)),
    );
    both("relist: processor time", &relist(|relist| readable(relist.processor)));
    both(
        "relist: peak of resident memory",
        &relist(|relist| megabytes(relist.peak)),
    );
    both(
        &format!("{} s after the relist: resident memory", REST.as_secs()),
        &relist(|relist| megabytes(relist.rest)),
    );
    for (at, size) in [small, full].iter().enumerate() {
        let what = format!(
            "a change, from the API's reply to the answer, of {} endpoints",
            size.endpoints
        );
        both(&what, &|figures| p50_and_p99(&figures.times[at]));
        let inside =
            |tell: fn(&Inside) -> String| move |figures: &Figures| figures.inside[at].as_ref().map_or_else(none, tell);
        both(
            &format!("a change, inside the agent, of {} endpoints", size.endpoints),
            &inside(|it| seconds(&it.seconds)),
        );
        both(
            &format!("a change: names rewritten, of {} endpoints", size.endpoints),
            &inside(|it| names(&it.names)),
        );
    }
    say("");
}

fn head(full: Population) {
    let Population { services, endpoints } = full;
    say(&format!(
        "\nkxdns {}, Linux {}, {} processors;",
        commit(),
        kernel(),
        processors()
    ));
    say(&format!(
        "`cargo xtask bench scale --services {services} --endpoints {endpoints}`."
    ));
    say("First syncs: lowest / median of the rounds, in which the two took turns; memory in MB of 10^6 bytes.");
    say(&format!(
        "Changes: p50 / p99, of {TIMED} from outside, of {COUNTED} inside (the bounds of a histogram's buckets).\n"
    ));
}

fn row(what: &str, kxdns: &str, coredns: &str) {
    say(&format!("| {what} | {kxdns} | {coredns} |"));
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn say(line: &str) {
    println!("{line}");
}

fn none() -> String {
    String::from("-")
}

fn durations(syncs: &[Sync], of: fn(&Sync) -> Option<Duration>) -> String {
    lowest_and_median(syncs.iter().filter_map(of).collect(), readable)
}

fn sizes_of(syncs: &[Sync], of: fn(&Sync) -> u64) -> String {
    lowest_and_median(syncs.iter().map(of).collect(), megabytes)
}

fn lowest_and_median<T: Copy + Ord>(mut values: Vec<T>, tell: fn(T) -> String) -> String {
    values.sort_unstable();
    let both = [0.0, 0.5].map(|share| percentile(&values, share).map_or_else(none, tell));
    both.join(" / ")
}

fn p50_and_p99(sorted: &[Duration]) -> String {
    [0.5, 0.99]
        .map(|share| percentile(sorted, share).map_or_else(none, readable))
        .join(" / ")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn seconds(histogram: &Histogram) -> String {
    let bound = |share| {
        histogram.percentile(share).map_or_else(none, |(_, upper)| {
            at_most(upper, |it| readable(Duration::from_secs_f64(it)))
        })
    };
    let mean = histogram
        .mean()
        .map_or_else(none, |mean| readable(Duration::from_secs_f64(mean)));
    format!("{} / {}; mean {mean} of {}", bound(0.5), bound(0.99), histogram.count())
}

fn names(histogram: &Histogram) -> String {
    let bound = |share| {
        histogram
            .percentile(share)
            .map_or_else(none, |(_, upper)| at_most(upper, |it| it.to_string()))
    };
    let mean = histogram.mean().map_or_else(none, |mean| format!("{mean:.2}"));
    format!("{} / {}; mean {mean}", bound(0.5), bound(0.99))
}

/// The last bucket has no bound.
fn at_most(upper: f64, tell: impl Fn(f64) -> String) -> String {
    match upper.is_finite() {
        true => format!("<= {}", tell(upper)),
        false => String::from("beyond the last bucket"),
    }
}

fn commit() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(here)
        .output();
    let text = described.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| String::from("of an unknown commit"))
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn processors() -> String {
    std::thread::available_parallelism().map_or_else(|_| none(), |count| count.to_string())
}
