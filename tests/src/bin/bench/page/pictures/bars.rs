//! Horizontal bars, the longest first, each with its figure and a mark from the lower quartile of the samples to the upper.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::super::numbers::cell;
use super::canvas::{COLOURS, Canvas, INK, TITLE_HEIGHT, WIDTH, paint, text, text_width};
use crate::results::{Unit, median, quartiles};

const ROW_HEIGHT: i32 = 34;
const BAR_HEIGHT: i32 = 20;
const GAP: i32 = 10;
/// Half the height of a mark's ends.
const MARK: i32 = 4;
const OURS: RGBColor = COLOURS[0];
const THEIRS: RGBColor = COLOURS[6];

/// Bars to be drawn.
pub(super) struct Bars<'b> {
    title: &'b str,
    bars: Vec<Bar<'b>>,
}

/// Samples of one thing.
pub(super) struct Bar<'b> {
    name: &'b str,
    median: f64,
    lower: f64,
    upper: f64,
    figure: String,
}

impl<'b> Bar<'b> {
    /// A bar of these samples; `None` of none.
    pub(super) fn new(name: &'b str, samples: &[f64], unit: Unit) -> Option<Self> {
        let (lower, upper) = quartiles(samples)?;
        Some(Self {
            name,
            median: median(samples)?,
            lower,
            upper,
            figure: cell(samples, unit),
        })
    }
}

impl<'b> Bars<'b> {
    /// These bars, sorted.
    pub(super) fn new(title: &'b str, bars: impl Iterator<Item = Bar<'b>>) -> Self {
        let mut bars: Vec<_> = bars.collect();
        bars.sort_by(|one, other| other.median.total_cmp(&one.median));
        Self { title, bars }
    }

    /// Draws them.
    pub(super) fn draw(&self) -> Result<String> {
        let height = TITLE_HEIGHT + self.bars.len() as u32 * ROW_HEIGHT as u32 + GAP as u32;
        paint(height, self.title, |canvas| {
            let middles = (0..).map(|row| TITLE_HEIGHT as i32 + row * ROW_HEIGHT + ROW_HEIGHT / 2);
            for (bar, middle) in self.bars.iter().zip(middles) {
                self.draw_bar(canvas, bar, middle)?;
            }
            Ok(())
        })
    }

    fn draw_bar(&self, canvas: &Canvas<'_>, bar: &Bar<'_>, middle: i32) -> Result<()> {
        let start = GAP + text_width(self.bars.iter().map(|bar| bar.name)) + GAP;
        let end = WIDTH as i32 - text_width(self.bars.iter().map(|bar| bar.figure.as_str())) - 2 * GAP;
        let most = self.bars.iter().map(|bar| bar.upper).fold(f64::MIN_POSITIVE, f64::max);
        let at = |value: f64| start + (f64::from(end - start) * value / most) as i32;
        let colour = if bar.name.contains("kxdns") { OURS } else { THEIRS };

        canvas.draw(&Text::new(bar.name, (start - GAP, middle), text(HPos::Right)))?;
        let corners = [
            (start, middle - BAR_HEIGHT / 2),
            (at(bar.median), middle + BAR_HEIGHT / 2),
        ];
        canvas.draw(&Rectangle::new(corners, colour.filled()))?;
        draw_mark(canvas, at(bar.lower), at(bar.upper), middle)?;
        let behind = (at(bar.upper) + GAP, middle);
        Ok(canvas.draw(&Text::new(bar.figure.as_str(), behind, text(HPos::Left)))?)
    }
}

fn draw_mark(canvas: &Canvas<'_>, from: i32, to: i32, middle: i32) -> Result<()> {
    let ends = [from, to].map(|x| [(x, middle - MARK), (x, middle + MARK)]);
    for line in [[(from, middle), (to, middle)]].into_iter().chain(ends) {
        canvas.draw(&PathElement::new(line, INK))?;
    }
    Ok(())
}
