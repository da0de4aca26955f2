//! What is told: progress on standard error, the table on standard output.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kxdns_tests::figures::readable;

use crate::cells::{counts, lowest_and_median, megabytes, none, p50_and_p99, times};
use crate::changes::{COUNTED, Inside, TIMED};
use crate::listings::IntoKernel;
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
pub(crate) fn tell(sizes: [Population; 2], kxdns: Figures, coredns: Figures) {
    let table = Table { kxdns, coredns };
    let [_, full] = sizes;
    head(full);
    say("| | kxdns | CoreDNS |");
    say("|---|---:|---:|");
    table.tell_syncs();
    table.tell_relist();
    for (at, size) in sizes.iter().enumerate() {
        table.tell_changes(at, size.endpoints);
    }
}

fn head(full: Population) {
    let Population { services, endpoints } = full;
    say(&format!(
        "kxdns {}, Linux {}, {} processors:",
        commit(),
        rustix::system::uname().release().to_string_lossy(),
        std::thread::available_parallelism().map_or(0, usize::from)
    ));
    say(&format!(
        "`cargo xtask bench scale --services {services} --endpoints {endpoints}`.\n"
    ));
    say("First syncs: lowest / median of the rounds, in which the two took turns. 1 MB is 10^6 bytes.");
    say(&format!(
        "Changes: p50 / p99; {TIMED} timed from outside, {COUNTED} inside, estimated from a histogram and its \
         buckets' bounds.\n"
    ));
}

struct Table {
    kxdns: Figures,
    coredns: Figures,
}

impl Table {
    fn tell_syncs(&self) {
        self.durations("first sync: from the first list until ready", |sync| sync.from_list);
        self.durations("first sync: the longest of the lists", |sync| sync.longest_list);
        self.durations("first sync: all names into the kernel", |sync| {
            Some(sync.into_kernel?.took)
        });
        self.durations("first sync: from the process's start until ready", |sync| {
            Some(sync.ready)
        });
        self.durations(
            "first sync: from the process's start to the last Service's answer",
            |sync| Some(sync.answered),
        );
        self.durations("first sync: processor time", |sync| Some(sync.processor));
        self.memory("first sync: peak of resident memory", |sync| sync.synced.peak);
        self.memory(
            &format!("at rest, {} s later: resident memory", REST.as_secs()),
            |sync| sync.rest.now,
        );
        self.memory("at rest: BPF maps and programs, in the kernel", |sync| sync.kernel);
        self.names("names in the kernel", |into| into.names);
        self.names("bytes of the kernel's tables for each", |into| {
            into.bytes / into.names.max(1)
        });
    }

    fn tell_relist(&self) {
        self.relist("relist: until all is right again", |relist| readable(relist.converged));
        self.relist("relist: processor time", |relist| readable(relist.processor));
        self.relist("relist: peak of resident memory", |relist| megabytes(relist.peak));
        self.relist(
            &format!("relist, {} s later: resident memory", REST.as_secs()),
            |relist| megabytes(relist.rest),
        );
    }

    fn tell_changes(&self, at: usize, endpoints: usize) {
        let of = format!("a change of one of {endpoints} endpoints");
        self.row(&format!("{of}: from the API's reply to the answer"), |figures| {
            p50_and_p99(&figures.times[at])
        });
        let inside =
            |tell: fn(&Inside) -> String| move |figures: &Figures| figures.inside[at].as_ref().map_or_else(none, tell);
        self.row(
            &format!("{of}: inside the agent"),
            inside(|inside| times(&inside.seconds)),
        );
        self.row(
            &format!("{of}: names rewritten"),
            inside(|inside| counts(&inside.names)),
        );
    }

    fn durations(&self, what: &str, of: fn(&Sync) -> Option<Duration>) {
        self.row(what, |figures| {
            lowest_and_median(figures.syncs.iter().filter_map(of).collect(), readable)
        });
    }

    fn memory(&self, what: &str, of: fn(&Sync) -> u64) {
        self.row(what, |figures| {
            lowest_and_median(figures.syncs.iter().map(of).collect(), megabytes)
        });
    }

    fn names(&self, what: &str, of: fn(IntoKernel) -> u64) {
        self.row(what, |figures| {
            let numbers = figures.syncs.iter().filter_map(|sync| sync.into_kernel).map(of);
            lowest_and_median(numbers.collect(), |number| number.to_string())
        });
    }

    fn relist(&self, what: &str, of: fn(&Relist) -> String) {
        self.row(what, |figures| figures.relist.as_ref().map_or_else(none, of));
    }

    fn row(&self, what: &str, of: impl Fn(&Figures) -> String) {
        say(&format!("| {what} | {} | {} |", of(&self.kxdns), of(&self.coredns)));
    }
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn say(line: &str) {
    println!("{line}");
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
