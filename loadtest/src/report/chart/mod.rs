//! Charts as inline SVG; the page's style sheet gives each class its colour in light, dark and print.

mod bars;
mod canvas;
mod curves;
mod dots;
mod labels;
mod scale;

pub(super) use bars::{Bar, BarChart};
pub(super) use curves::{Axis, CurveChart, Mark, Series};
pub(super) use dots::{Dot, DotChart, Row};
pub(super) use scale::{Measure, linear_ticks, log_axis};

/// Width of each chart in its own units; the page scales it to its column. On a phone one unit is about 0.8 pixels.
const CHART_WIDTH: f64 = 480.0;

/// Width of one character of a label, in a wide font.
const CHARACTER_WIDTH: f64 = 7.4;

/// Returns the width of the longest label.
fn label_width<'a>(labels: impl Iterator<Item = &'a str>) -> f64 {
    labels.map(|label| label.chars().count()).max().unwrap_or(0) as f64 * CHARACTER_WIDTH
}
