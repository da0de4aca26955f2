//! Pictures of a run, as SVG that suits light and dark pages.

mod bars;
mod canvas;
mod curves;

use anyhow::Result;

use self::bars::{Bar, Bars};
use self::curves::{Axis, Curve, Curves};
use super::numbers::round_figure;
use crate::results::{Distribution, Report, Run, Table, Unit, median};

/// The share of slowest queries below which no curve goes on: they are too few to tell.
const SLOWEST: f64 = 1e-4;

/// A picture, ready to be written.
pub(super) struct Picture {
    /// Its file, without ending.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) svg: String,
}

/// Draws what a run has to show.
pub(super) fn draw(run: &Run) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    for report in &run.reports {
        draw_bars(report, &mut pictures)?;
        draw_distributions(&report.distributions, &mut pictures)?;
        for table in report.tables.iter().filter(|table| table.rows_are == "size") {
            draw_growth(table, &mut pictures)?;
        }
    }
    Ok(pictures)
}

/// The first column of the rivals' throughput.
fn draw_bars(report: &Report, pictures: &mut Vec<Picture>) -> Result<()> {
    let table = report.tables.iter().find(|table| table.title == "Throughput");
    let Some(table) = table.filter(|_| report.name == "rivals") else {
        return Ok(());
    };
    let Some(column) = table.columns.first() else {
        return Ok(());
    };
    let bar = |name, samples| Bar::new(name, samples, column.unit);
    let rows = table.rows.iter();
    let bars = rows.filter_map(|row| bar(&row.name, table.samples(&row.name, &column.name)));
    let title = format!("{}: {}", table.title, column.name);
    let svg = Bars::new(&title, bars).draw()?;
    pictures.push(Picture::new(&table.title, svg));
    Ok(())
}

/// A picture for each name of one, with the tail of each distribution in it.
fn draw_distributions(distributions: &[Distribution], pictures: &mut Vec<Picture>) -> Result<()> {
    for title in distinct(distributions.iter().map(|distribution| distribution.picture.as_str())) {
        let together = distributions
            .iter()
            .filter(|distribution| distribution.picture == title);
        let mut curves = Curve::coloured(together.map(|distribution| (distribution.name.as_str(), tail(distribution))));
        curves.sort_by(|one, other| one.end().0.total_cmp(&other.end().0));
        let time = |time| round_figure(time, Unit::Seconds);
        let curves = Curves {
            title,
            x: Axis::over(curves.iter().flat_map(Curve::xs), "time", &time),
            y: Axis::over([SLOWEST, 1.0].into_iter(), "queries that took longer", &one_in),
            dots: false,
            curves,
        };
        pictures.push(Picture::new(title, curves.draw()?));
    }
    Ok(())
}

/// Times, and the share of queries that took longer, down to [`SLOWEST`].
fn tail(distribution: &Distribution) -> Vec<(f64, f64)> {
    let mut tail = Vec::new();
    for (share, time) in distribution.quantiles.iter().filter(|(_, time)| *time > 0.0) {
        let longer = 1.0 - share;
        if longer <= SLOWEST {
            let last = tail.last().copied().unwrap_or((*time, 1.0));
            tail.push((time_of_slowest(last, (*time, longer)), SLOWEST));
            break;
        }
        tail.push((*time, longer));
    }
    tail
}

/// Where a straight line between two points reaches [`SLOWEST`].
fn time_of_slowest((before, above): (f64, f64), (after, below): (f64, f64)) -> f64 {
    before + (after - before) * (above - SLOWEST) / (above - below)
}

fn one_in(share: f64) -> String {
    match round_figure(1.0 / share, Unit::Count).as_str() {
        "1" => "all".to_owned(),
        many => format!("1 in {many}"),
    }
}

/// How the columns grow with the number of Services: a picture for each unit.
fn draw_growth(table: &Table, pictures: &mut Vec<Picture>) -> Result<()> {
    let units = distinct(table.columns.iter().map(|column| column.unit));
    for unit in &units {
        let columns = table.columns.iter().filter(|column| column.unit == *unit);
        let points = columns.map(|column| (column.name.as_str(), growth(table, &column.name)));
        let mut curves = Curve::coloured(points.filter(|(_, points)| points.len() > 1));
        if curves.is_empty() {
            continue;
        }
        curves.sort_by(|one, other| other.end().1.total_cmp(&one.end().1));
        let title = match units.len() {
            1 => table.title.clone(),
            _ => format!("{}: {}", table.title, kind(*unit)),
        };
        let (count, figure) = (
            |count| round_figure(count, Unit::Count),
            |value| round_figure(value, *unit),
        );
        let curves = Curves {
            title: &title,
            x: Axis::over(curves.iter().flat_map(Curve::xs), "Services", &count),
            y: Axis::over(curves.iter().flat_map(Curve::ys), "", &figure),
            dots: true,
            curves,
        };
        pictures.push(Picture::new(&title, curves.draw()?));
    }
    Ok(())
}

/// The number of Services of each row and the median of a column; none where either has no logarithm.
fn growth(table: &Table, column: &str) -> Vec<(f64, f64)> {
    let point = |name: &str| Some((first_number(name)?, median(table.samples(name, column))?));
    let has_logarithm = |value: f64| value > 0.0 && value.is_finite();
    let points = table.rows.iter().filter_map(|row| point(&row.name));
    points
        .filter(|(size, value)| has_logarithm(*size) && has_logarithm(*value))
        .collect()
}

/// The number that a text such as "10,000 Services" begins with.
fn first_number(text: &str) -> Option<f64> {
    let number = text.split_whitespace().next()?;
    number.replace(',', "").parse().ok()
}

fn kind(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "time",
        Unit::Bytes => "bytes",
        Unit::BitsPerSecond => "bits per second",
        Unit::PerSecond => "per second",
        Unit::Count => "number",
        Unit::Share => "share",
        Unit::Ratio => "ratio",
    }
}

/// The values, each once, in the order in which they first come.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

impl Picture {
    fn new(title: &str, svg: String) -> Self {
        let letters = title.to_lowercase();
        let words = letters.split(|letter: char| !letter.is_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        Self {
            name: words.join("-"),
            title: title.to_owned(),
            svg,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::made_up_run;
    use super::*;

    #[test]
    fn every_picture_tells_its_names_in_both_colour_schemes() {
        let pictures = draw(&made_up_run()).unwrap();
        for (picture, name, texts) in [
            (
                0,
                "throughput",
                ["Throughput: answers", "kxdns by tcx", "720,000/s ±3 %"],
            ),
            (1, "latency-at-half-load", ["CoreDNS", "1 in 10,000", "100 us"]),
            (2, "growth-time", ["first sync", "100,000", "100 ms"]),
            (3, "growth-bytes", ["memory of the maps", "1,000", "10 MB"]),
        ] {
            let picture = &pictures[picture];
            assert_eq!(picture.name, name);
            let elements = elements(&picture.svg);
            for text in texts {
                assert!(
                    elements.iter().any(|element| element.trim() == text),
                    "{text} in {name}"
                );
            }
            assert!(picture.svg.contains("prefers-color-scheme: dark"));
            assert!(
                !picture.svg.contains("\"#000000\""),
                "{name} has black, which dark pages swallow"
            );
        }
        assert_eq!(pictures.len(), 4);
    }

    /// The texts of an SVG, whose tags must be balanced.
    fn elements(svg: &str) -> Vec<&str> {
        let (mut open, mut texts) = (Vec::new(), Vec::new());
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap();
            let name = tag.split_whitespace().next().unwrap();
            match (name.strip_prefix('/'), tag.ends_with('/')) {
                (Some(name), _) => assert_eq!(open.pop(), Some(name)),
                (None, true) => {}
                (None, false) => open.push(name),
            }
            texts.push(text);
        }
        assert!(open.is_empty(), "{open:?} are not closed");
        texts
    }

    #[test]
    fn a_tail_ends_where_too_few_queries_are_left_to_tell() {
        let tail = |quantiles: &[(f64, f64)]| {
            let distribution = Distribution {
                picture: String::new(),
                name: String::new(),
                quantiles: quantiles.to_vec(),
            };
            format!("{:.4?}", tail(&distribution))
        };
        let few = [(0.0, 0.0), (0.0, 1.0), (0.5, 2.0), (1.0, 7.0)];
        assert_eq!(tail(&few), "[(1.0000, 1.0000), (2.0000, 0.5000), (6.9990, 0.0001)]");
        let many = [(0.0, 1.0), (0.9998, 2.0), (0.999_95, 5.0), (1.0, 7.0)];
        assert_eq!(tail(&many), "[(1.0000, 1.0000), (2.0000, 0.0002), (4.0000, 0.0001)]");
    }

    #[test]
    fn what_has_one_size_alone_does_not_grow() {
        let mut table = Table::new("Growth", "size", &[("sync", Unit::Seconds)]);
        let mut pictures = Vec::new();
        table.add("100 Services, 1,500 endpoints", &[Some(1.0)]);
        draw_growth(&table, &mut pictures).unwrap();
        assert!(pictures.is_empty());
        table.add("1,000 Services, 15,000 endpoints", &[Some(2.0)]);
        draw_growth(&table, &mut pictures).unwrap();
        assert_eq!(pictures[0].name, "growth");
    }
}
