//! A run as Markdown.

use std::time::Duration;

use humantime::format_duration;

use super::numbers::{cell, figure, round_figure};
use super::pictures::Picture;
use crate::effort::Effort;
use crate::results::{Bound, Goal, Report, Run, Table, Unit};

const NOTATION: &str = "\
A figure is the median of all rounds. Behind ± stands its noise: half the distance between the quartiles of the rounds, as \
a share of the median. A figure of a single round has none, and a median of 0 has the highest round in brackets instead. \
Where there is nothing to measure stands `-`. Every sample is in [benchmarks/run.json](benchmarks/run.json).";

/// The whole page.
pub(super) fn page(run: &Run, pictures: &[Picture]) -> String {
    let images = pictures
        .iter()
        .map(|Picture { name, title, .. }| format!("![{title}](benchmarks/{name}.svg)"));
    let parts = [
        "# Benchmarks".to_owned(),
        origin(run),
        NOTATION.to_owned(),
        summary(run),
    ];
    let sections = run.reports.iter().map(section);
    paragraphs(parts.into_iter().chain(images).chain(sections))
}

/// A report as the page has it.
pub(crate) fn section(report: &Report) -> String {
    let title = format!("## {}", report.title);
    let tables = report
        .tables
        .iter()
        .flat_map(|table| [format!("### {}", table.title), figures(table)]);
    let goals = match &report.goals[..] {
        [] => None,
        goals => Some(format!("### Goals\n\n{}", outcomes(goals))),
    };
    let took = format!(
        "It took {}.",
        format_duration(Duration::from_secs(report.seconds as u64))
    );
    let about = report.about.iter().cloned();
    paragraphs(
        [title]
            .into_iter()
            .chain(about)
            .chain(tables)
            .chain(goals)
            .chain([took]),
    )
}

/// Where a run comes from.
fn origin(run: &Run) -> String {
    let machine = &run.machine;
    let processor = format!("{}, {} of them", machine.processor, machine.processors);
    let facts = [
        ("command", command(run)),
        ("effort", effort(run.effort).to_owned()),
        ("commit", run.commit.clone()),
        ("began", run.began.clone()),
        ("processors", processor),
        ("memory", figure(machine.memory as f64, Unit::Bytes)),
        ("kernel", format!("Linux {}", machine.kernel)),
    ];
    let facts = facts.map(|(what, fact)| vec![what.to_owned(), fact]);
    let versions = run
        .versions
        .iter()
        .map(|(name, version)| vec![name.clone(), version.clone()]);
    table("|---|---|", ["", ""], facts.into_iter().chain(versions))
}

fn command(run: &Run) -> String {
    let names = run.reports.iter().map(|report| report.name.as_str());
    let option = match run.effort {
        Effort::Quick => Some("--quick"),
        Effort::Usual => None,
        Effort::Full => Some("--full"),
    };
    let words: Vec<&str> = ["cargo xtask bench"].into_iter().chain(names).chain(option).collect();
    format!("`{}`", words.join(" "))
}

fn effort(effort: Effort) -> &'static str {
    match effort {
        Effort::Quick => "quick: that it works, not how fast",
        Effort::Usual => "usual: to work by",
        Effort::Full => "full: to publish",
    }
}

/// How many goals are met, and which are not.
fn summary(run: &Run) -> String {
    let goals = || run.reports.iter().flat_map(|report| &report.goals);
    let met = goals().filter(|goal| goal.is_met() == Some(true)).count();
    let unmet = goals().filter(|goal| goal.is_met() != Some(true));
    let items: String = unmet.map(|goal| format!("\n- {}", sentence(goal))).collect();
    let colon = if items.is_empty() { "." } else { "; these are not:\n" };
    format!("{met} of {} goals are met{colon}{items}", goals().count())
}

fn sentence(goal: &Goal) -> String {
    let measured = match goal.is_met() {
        Some(_) => format!("it is {}", cell(&goal.samples, goal.unit)),
        None => "it was not measured".to_owned(),
    };
    format!("{}: {} wanted, {measured}", goal.what, bound(goal))
}

fn figures(figures: &Table) -> String {
    let columns = figures.columns.iter();
    let alignment = format!("|---|{}", "---:|".repeat(columns.len()));
    let header = [&figures.rows_are]
        .into_iter()
        .chain(columns.map(|column| &column.name));
    let rows = figures.rows.iter().map(|row| {
        let cells = row.cells.iter().zip(&figures.columns);
        let cells = cells.map(|(samples, column)| cell(samples, column.unit));
        [row.name.clone()].into_iter().chain(cells).collect()
    });
    table(&alignment, header.map(String::as_str), rows)
}

fn outcomes(goals: &[Goal]) -> String {
    let row = |goal: &Goal| {
        let outcome = match goal.is_met() {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        let measured = cell(&goal.samples, goal.unit);
        vec![goal.what.clone(), bound(goal), measured, outcome.to_owned()]
    };
    let header = ["what", "goal", "measured", "outcome"];
    table("|---|---:|---:|---|", header, goals.iter().map(row))
}

fn bound(goal: &Goal) -> String {
    let (words, value) = match goal.bound {
        Bound::AtLeast(least) => ("at least", least),
        Bound::AtMost(most) => ("at most", most),
    };
    format!("{words} {}", round_figure(value, goal.unit))
}

fn table<'t>(
    alignment: &str,
    header: impl IntoIterator<Item = &'t str>,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let header: Vec<&str> = header.into_iter().collect();
    let lines = [format!("| {} |", header.join(" | ")), alignment.to_owned()];
    let rows = rows.map(|cells| format!("| {} |", cells.join(" | ")));
    lines.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn paragraphs(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.map(|part| part.trim_end().to_owned()).collect();
    parts.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::tests::made_up_run;
    use super::*;

    #[test]
    fn a_section_has_its_paragraphs_its_tables_and_its_goals() {
        let report = &made_up_run().reports[0];
        let expected = "\
## Beside other servers

All of them are asked *the same*.

Twice.

### Throughput

| server | answers | p99 |
|---|---:|---:|
| kxdns by tcx | 720,000/s ±3 % | 12.5 us ±0.0 % |
| kxdns by its own server | 290,000/s ±12 % | 84.0 us ±0.0 % |
| CoreDNS on the node, with a cache | 58,000/s ±5 % | - |
| CoreDNS | 24,500/s ±22 % | 2.40 ms ±0.0 % |

### Goals

| what | goal | measured | outcome |
|---|---:|---:|---|
| answers of kxdns by those of CoreDNS | at least 10× | 29.4× ±2 % | met |
| p99 of kxdns by that of CoreDNS | at most 0.1× | 0.250× | **missed** |
| what nobody has measured | at most 1× | - | not measured |

It took 1m 1s.
";
        assert_eq!(section(report), expected);
    }

    #[test]
    fn the_page_begins_with_where_it_comes_from_and_which_goals_are_met() {
        let page = page(&made_up_run(), &[]);
        for line in [
            "| command | `cargo xtask bench rivals scale` |",
            "| commit | 0123abc |",
            "| began | 2026-01-02T03:04:05Z |",
            "| processors | Made-up Processor, 8 of them |",
            "| memory | 16.7 GB |",
            "| kernel | Linux 6.18.0 |",
            "| kxdns | kxdns 0.1.0 |",
            "1 of 3 goals are met; these are not:",
            "- p99 of kxdns by that of CoreDNS: at most 0.1× wanted, it is 0.250×",
            "- what nobody has measured: at most 1× wanted, it was not measured",
            "## At scale",
        ] {
            assert!(page.lines().any(|other| other == line), "{line:?} is not in\n{page}");
        }
    }
}
