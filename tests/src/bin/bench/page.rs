//! What a run leaves behind: its samples, a page that tells them, and pictures of what is seen better than read.

mod json;
mod markdown;
mod numbers;
mod pictures;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

pub(crate) use self::markdown::section;
pub(crate) use self::numbers::grouped;
use self::pictures::Picture;
use crate::results::Run;

/// Writes `benchmarks.md`, and into the folder `benchmarks` beside it the samples and the pictures.
pub(crate) fn write(run: &Run, folder: &Path) -> Result<()> {
    let beside = folder.join("benchmarks");
    fs::create_dir_all(&beside).with_context(|| format!("cannot make {}", beside.display()))?;
    // First of all: the samples of an hour shall not be lost to a picture that cannot be drawn.
    write_file(&beside.join("run.json"), &json::to_text(run)?)?;
    let pictures = pictures::draw(run)?;
    for Picture { name, svg, .. } in &pictures {
        write_file(&beside.join(format!("{name}.svg")), svg)?;
    }
    write_file(&folder.join("benchmarks.md"), &markdown::page(run, &pictures))
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::Effort;
    use crate::machine::Machine;
    use crate::results::{Bound, Distribution, Goal, Report, Table, Unit};

    /// A run with everything that a page can have.
    pub(super) fn made_up_run() -> Run {
        Run {
            commit: "0123abc".to_owned(),
            began: "2026-01-02T03:04:05Z".to_owned(),
            effort: Effort::Usual,
            machine: Machine {
                processor: "Made-up Processor".to_owned(),
                processors: 8,
                memory: 16_700_000_000,
                kernel: "6.18.0".to_owned(),
            },
            versions: [("kxdns".to_owned(), "kxdns 0.1.0".to_owned())].into(),
            reports: vec![rivals(), scale()],
        }
    }

    fn rivals() -> Report {
        let mut table = Table::new(
            "Throughput",
            "server",
            &[("answers", Unit::PerSecond), ("p99", Unit::Seconds)],
        );
        for (server, rates, p99) in [
            (SERVERS[0], [700_000.0, 742_000.0, 720_000.0], Some(12.5e-6)),
            (SERVERS[1], [310_000.0, 240_000.0, 290_000.0], Some(84e-6)),
            (SERVERS[2], [61_000.0, 58_000.0, 55_000.0], None),
            (SERVERS[3], [20_000.0, 31_000.0, 24_500.0], Some(2.4e-3)),
        ] {
            for rate in rates {
                table.add(server, &[Some(rate), p99]);
            }
        }
        Report {
            name: "rivals".to_owned(),
            title: "Beside other servers".to_owned(),
            about: vec!["All of them are asked *the same*.".to_owned(), "Twice.".to_owned()],
            seconds: 61.7,
            tables: vec![table],
            distributions: SERVERS.iter().zip(1..).map(|(name, slow)| times(name, slow)).collect(),
            goals: vec![
                goal(
                    "answers of kxdns by those of CoreDNS",
                    Bound::AtLeast(10.0),
                    &[29.4, 28.0],
                ),
                goal("p99 of kxdns by that of CoreDNS", Bound::AtMost(0.1), &[0.25]),
                goal("what nobody has measured", Bound::AtMost(1.0), &[]),
            ],
        }
    }

    fn scale() -> Report {
        let columns = [
            ("first sync", Unit::Seconds),
            ("memory of the agent", Unit::Bytes),
            ("memory of the maps", Unit::Bytes),
        ];
        let mut table = Table::new("Growth", "size", &columns);
        for (size, sync, agent, maps) in [
            ("1,000 Services, 15,000 endpoints", 0.12, 31e6, 8.4e6),
            ("10,000 Services, 150,000 endpoints", 0.96, 120e6, 41e6),
            ("100,000 Services, 1,500,000 endpoints", 12.4, 1.3e9, 410e6),
        ] {
            table.add(size, &[Some(sync), Some(agent), Some(maps)]);
        }
        Report {
            name: "scale".to_owned(),
            title: "At scale".to_owned(),
            tables: vec![table],
            ..Report::default()
        }
    }

    const SERVERS: [&str; 4] = [
        "kxdns by tcx",
        "kxdns by its own server",
        "CoreDNS on the node, with a cache",
        "CoreDNS",
    ];

    /// Times with a long tail, as servers have them.
    fn times(name: &str, slow: i32) -> Distribution {
        let quantile = |step: i32| {
            let tail = 0.5_f64.powi(step);
            let nanos = 2e3 * 4_f64.powi(slow) * tail.powf(-0.12 * f64::from(slow));
            (1.0 - tail, nanos.round() / 1e9)
        };
        Distribution {
            picture: "Latency at half load".to_owned(),
            name: name.to_owned(),
            quantiles: (0..=15).map(quantile).chain([(1.0, 0.2)]).collect(),
        }
    }

    fn goal(what: &str, bound: Bound, samples: &[f64]) -> Goal {
        Goal {
            what: what.to_owned(),
            bound,
            unit: Unit::Ratio,
            samples: samples.to_vec(),
        }
    }

    #[test]
    fn what_is_written_is_the_run_and_a_page_that_shows_every_picture() {
        let folder = std::env::temp_dir().join(format!("kxdns-page-{}", std::process::id()));
        write(&made_up_run(), &folder).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let again: Run = serde_json::from_str(&read("benchmarks/run.json")).unwrap();
        assert_eq!(format!("{again:?}"), format!("{:?}", made_up_run()));
        let page = read("benchmarks.md");
        for name in ["latency-at-half-load", "throughput", "growth-time", "growth-bytes"] {
            assert!(page.contains(&format!("(benchmarks/{name}.svg)")), "{name}");
            assert!(read(&format!("benchmarks/{name}.svg")).ends_with("</svg>\n"), "{name}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
