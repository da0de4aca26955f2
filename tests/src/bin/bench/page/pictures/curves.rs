//! Curves on logarithmic axes, with their names beside them in the order in which they end.

use anyhow::Result;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{COLOURS, Canvas, FAINT, GRID, INK, TITLE_HEIGHT, WIDTH, paint, text, text_width};

const HEIGHT: u32 = 420;
const LEGEND_LINE: i32 = 24;
/// How long the sample of a curve's colour is that stands before its name.
const SWATCH: i32 = 18;
const GAP: i32 = 8;

type Chart<'c, 's> = ChartContext<'c, SVGBackend<'s>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Curves to be drawn, of values above 0.
pub(super) struct Curves<'c> {
    pub(super) title: &'c str,
    pub(super) x: Axis<'c>,
    pub(super) y: Axis<'c>,
    /// Whether each point was measured, and is shown.
    pub(super) dots: bool,
    pub(super) curves: Vec<Curve<'c>>,
}

/// A curve.
pub(super) struct Curve<'c> {
    name: &'c str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// A logarithmic axis.
pub(super) struct Axis<'c> {
    name: &'c str,
    /// The powers of ten where it begins and ends.
    begin: i32,
    end: i32,
    label: &'c dyn Fn(f64) -> String,
}

impl<'c> Curve<'c> {
    /// A curve, in a colour of its own, for each name and its points.
    pub(super) fn coloured(curves: impl Iterator<Item = (&'c str, Vec<(f64, f64)>)>) -> Vec<Self> {
        let colours = COLOURS.into_iter().cycle();
        let curves = curves.zip(colours);
        curves
            .map(|((name, points), colour)| Self { name, colour, points })
            .collect()
    }

    /// Its last point.
    pub(super) fn end(&self) -> (f64, f64) {
        self.points.last().copied().unwrap_or_default()
    }

    pub(super) fn xs(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|(x, _)| *x)
    }

    pub(super) fn ys(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|(_, y)| *y)
    }
}

impl<'c> Axis<'c> {
    /// An axis that holds all these values between two powers of ten.
    pub(super) fn over(values: impl Iterator<Item = f64>, name: &'c str, label: &'c dyn Fn(f64) -> String) -> Self {
        let logarithms: Vec<f64> = values.map(f64::log10).collect();
        let lowest = logarithms.iter().copied().reduce(f64::min).unwrap_or_default();
        let highest = logarithms.iter().copied().reduce(f64::max).unwrap_or_default();
        let begin = lowest.floor() as i32;
        Self {
            name,
            begin,
            end: (highest.ceil() as i32).max(begin + 1),
            label,
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        f64::from(self.begin)..f64::from(self.end)
    }

    fn label(&self, logarithm: f64) -> String {
        (self.label)(10_f64.powf(logarithm))
    }

    /// Where 2 to 9 times each power of ten are.
    fn between(&self) -> impl Iterator<Item = f64> {
        let powers = self.begin..self.end;
        powers.flat_map(|power| (2..=9).map(move |digit| f64::from(power) + f64::from(digit).log10()))
    }
}

impl Curves<'_> {
    /// Draws them.
    pub(super) fn draw(&self) -> Result<String> {
        paint(HEIGHT, self.title, |canvas| {
            let legend_width = GAP + SWATCH + GAP + text_width(self.curves.iter().map(|curve| curve.name)) + GAP;
            let below_title = canvas.margin(TITLE_HEIGHT, 0, 0, 0);
            let (plot, legend) = below_title.split_horizontally(WIDTH as i32 - legend_width);
            self.draw_plot(&plot)?;
            self.draw_legend(&legend)
        })
    }

    fn draw_plot(&self, plot: &Canvas<'_>) -> Result<()> {
        let mut chart = ChartBuilder::on(plot)
            .margin(8)
            .x_label_area_size(48)
            .y_label_area_size(92)
            .build_cartesian_2d(self.x.range(), self.y.range())?;
        self.draw_grid(&mut chart)?;
        for curve in &self.curves {
            let points = curve.points.iter().map(|(x, y)| (x.log10(), y.log10()));
            chart.draw_series(LineSeries::new(points.clone(), curve.colour.stroke_width(2)))?;
            let dots = points.filter(|_| self.dots);
            chart.draw_series(dots.map(|point| Circle::new(point, 3, curve.colour.filled())))?;
        }
        Ok(())
    }

    fn draw_grid(&self, chart: &mut Chart<'_, '_>) -> Result<()> {
        let (x, y) = (self.x.range(), self.y.range());
        let upright = self.x.between().map(|at| [(at, y.start), (at, y.end)]);
        let level = self.y.between().map(|at| [(x.start, at), (x.end, at)]);
        chart.draw_series(upright.chain(level).map(|line| PathElement::new(line, FAINT)))?;
        chart
            .configure_mesh()
            .x_labels((self.x.end - self.x.begin + 1) as usize)
            .y_labels((self.y.end - self.y.begin + 1) as usize)
            .x_label_formatter(&|at| self.x.label(*at))
            .y_label_formatter(&|at| self.y.label(*at))
            .x_desc(self.x.name)
            .y_desc(self.y.name)
            .max_light_lines(0)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(text(HPos::Center))
            .axis_desc_style(text(HPos::Center))
            .draw()?;
        Ok(())
    }

    fn draw_legend(&self, legend: &Canvas<'_>) -> Result<()> {
        for (curve, line) in self.curves.iter().zip(0..) {
            let middle = 2 * GAP + line * LEGEND_LINE;
            let swatch = [(GAP, middle), (GAP + SWATCH, middle)];
            legend.draw(&PathElement::new(swatch, curve.colour.stroke_width(3)))?;
            let behind = (GAP + SWATCH + GAP, middle);
            legend.draw(&Text::new(curve.name, behind, text(HPos::Left)))?;
        }
        Ok(())
    }
}
