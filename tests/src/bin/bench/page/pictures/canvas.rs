//! What all pictures share: their colours, on light pages and on dark ones, and their letters.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The width of every picture: that of a page's text.
pub(super) const WIDTH: u32 = 860;
/// How much of a picture its title takes.
pub(super) const TITLE_HEIGHT: u32 = 44;
/// Letters, axes and marks.
pub(super) const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Lines that help to read a figure.
pub(super) const GRID: RGBColor = RGBColor(0xC4, 0xCC, 0xD4);
/// Lines that help to see a scale.
pub(super) const FAINT: RGBColor = RGBColor(0xEC, 0xEF, 0xF2);
/// What is told apart: those colours of Okabe and Ito and of Tol, which need no eye for red and green, that stand out
/// from light and from dark pages.
pub(super) const COLOURS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x80, 0x80, 0x80),
    RGBColor(0x99, 0x99, 0x33),
];

/// What takes another colour on a dark page, and which.
const ON_DARK: [(RGBColor, RGBColor); 4] = [
    (INK, RGBColor(0xE6, 0xED, 0xF3)),
    (GRID, RGBColor(0x4A, 0x52, 0x5C)),
    (FAINT, RGBColor(0x21, 0x26, 0x2D)),
    (COLOURS[0], RGBColor(0x2F, 0x8F, 0xD0)),
];

const TEXT_SIZE: u32 = 16;
const TITLE_SIZE: u32 = 20;
/// How wide a letter of a text is, about: whoever looks at an SVG has fonts of their own.
const LETTER_WIDTH: usize = 8;

/// Where is drawn.
pub(super) type Canvas<'c> = DrawingArea<SVGBackend<'c>, Shift>;

/// Paints a picture of this height, beginning with its title.
pub(super) fn paint(height: u32, title: &str, draw: impl FnOnce(&Canvas<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    let canvas = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    let style = FontDesc::new(FontFamily::SansSerif, f64::from(TITLE_SIZE), FontStyle::Bold).color(&INK);
    canvas.draw(&Text::new(title.to_owned(), (8, 10), style))?;
    draw(&canvas)?;
    canvas.present()?;
    drop(canvas);
    Ok(svg.replacen(">\n", &format!(">\n{}", dark_style()), 1))
}

/// Plain letters, which stand before, around or behind a point.
pub(super) fn text(horizontal: HPos) -> TextStyle<'static> {
    let font = ("sans-serif", TEXT_SIZE).into_font();
    font.color(&INK).pos(Pos::new(horizontal, VPos::Center))
}

/// How much room a text needs.
pub(super) fn text_width<'t>(texts: impl Iterator<Item = &'t str>) -> i32 {
    let longest = texts.map(|text| text.chars().count()).max();
    (longest.unwrap_or_default() * LETTER_WIDTH) as i32
}

/// What a dark page makes of the colours: an image may ask for the page's scheme and for nothing else of it. It has no
/// background of its own, so that the page's shines through.
fn dark_style() -> String {
    let rules = ON_DARK.iter().map(|(light, dark)| {
        let (light, dark) = (hex(light), hex(dark));
        format!("[fill=\"{light}\"] {{ fill: {dark} }}\n[stroke=\"{light}\"] {{ stroke: {dark} }}\n")
    });
    let rules: String = rules.collect();
    format!("<style>\n@media (prefers-color-scheme: dark) {{\n{rules}}}\n</style>\n")
}

fn hex(RGBColor(red, green, blue): &RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}
