//! Rows of dots on one logarithmic axis of ratios.

use super::canvas::Canvas;
use super::scale::{Measure, Scale};
use super::{CHART_WIDTH, label_width};

const ROW_HEIGHT: f64 = 27.0;

/// Space above the rows for the headings of the columns, and below for the axis.
const TOP: f64 = 20.0;
const BOTTOM: f64 = 26.0;

/// Space between the parts of a row.
const GAP: f64 = 14.0;

/// One dot.
#[derive(Debug)]
pub(in crate::report) struct Dot {
    /// Its style class; `open` draws a ring.
    pub(in crate::report) class: String,
    pub(in crate::report) ratio: f64,
    /// The range of the ratio, drawn as a line through the dot.
    pub(in crate::report) range: Option<(f64, f64)>,
    pub(in crate::report) radius: f64,
    /// The tooltip.
    pub(in crate::report) hover: String,
}

/// One row; later dots are drawn on top.
#[derive(Debug)]
pub(in crate::report) struct Row {
    pub(in crate::report) name: String,
    pub(in crate::report) dots: Vec<Dot>,
    /// The texts of the columns at the right.
    pub(in crate::report) columns: Vec<String>,
}

/// Rows of ratios on one axis, with a line at 1.
#[derive(Debug)]
pub(in crate::report) struct DotChart {
    /// The description for screen readers.
    pub(in crate::report) label: String,
    /// The ticks, ascending, from end to end of the axis; a dot beyond the last is an arrow at the edge.
    pub(in crate::report) ticks: Vec<(f64, String)>,
    /// The meaning of dots left and right of 1, above the rows.
    pub(in crate::report) sides: Option<(String, String)>,
    /// The headings and classes of the columns at the right.
    pub(in crate::report) columns: Vec<(String, String)>,
    pub(in crate::report) rows: Vec<Row>,
}

impl DotChart {
    pub(in crate::report) fn draw(&self) -> String {
        let left = label_width(self.rows.iter().map(|row| row.name.as_str())) + GAP;
        let widths: Vec<f64> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| self.column_width(index, &column.0))
            .collect();
        let right = CHART_WIDTH - widths.iter().map(|width| width + GAP).sum::<f64>();
        let end = |tick: Option<&(f64, String)>| tick.map_or(1.0, |tick| tick.0);
        let domain = (end(self.ticks.first()), end(self.ticks.last()));
        let scale = Scale::new(Measure::Logarithmic, domain, (left + 6.0, right - 6.0));
        let bottom = TOP + ROW_HEIGHT * self.rows.len() as f64;
        let mut canvas = Canvas::new(CHART_WIDTH, bottom + BOTTOM);
        for (ratio, text) in &self.ticks {
            let x = scale.place(*ratio);
            canvas.line("grid", (x, TOP), (x, bottom + 4.0));
            canvas.text("tick middle", (x, bottom + 18.0), text);
        }
        canvas.line("reference", (scale.place(1.0), TOP), (scale.place(1.0), bottom + 4.0));
        if let Some((less, more)) = &self.sides {
            canvas.text("side", (left, 12.0), less);
            canvas.text("side end", (right, 12.0), more);
        }
        let column_ends: Vec<f64> = widths
            .iter()
            .scan(right, |x, width| {
                *x += GAP + width;
                Some(*x)
            })
            .collect();
        for ((title, class), x) in self.columns.iter().zip(&column_ends) {
            canvas.text(&format!("heading end {class}"), (*x, 12.0), title);
        }
        for (index, row) in self.rows.iter().enumerate() {
            let middle = TOP + ROW_HEIGHT * (index as f64 + 0.5);
            canvas.text("name end", (left - GAP, middle + 4.5), &row.name);
            canvas.line("rule", (left, middle), (right, middle));
            for dot in &row.dots {
                draw_dot(&mut canvas, &scale, dot, (domain.1, middle));
            }
            for ((text, x), (_, class)) in row.columns.iter().zip(&column_ends).zip(&self.columns) {
                canvas.text(&format!("figure end {class}"), (*x, middle + 4.5), text);
            }
        }
        canvas.finish("dots", &self.label)
    }

    fn column_width(&self, index: usize, title: &str) -> f64 {
        let texts = self.rows.iter().filter_map(|row| row.columns.get(index));
        label_width(texts.map(String::as_str).chain([title]))
    }
}

/// Draws a dot, or an arrow at the edge for a dot beyond the last tick.
fn draw_dot(canvas: &mut Canvas, scale: &Scale, dot: &Dot, (last, middle): (f64, f64)) {
    let x = scale.place(dot.ratio);
    canvas.group(&format!("dot {}", dot.class), &dot.hover, |canvas| {
        if let Some((low, high)) = dot.range {
            canvas.line("range", (scale.place(low), middle), (scale.place(high), middle));
        }
        if dot.ratio > last {
            canvas.polygon(
                "disc",
                &[(x - 4.0, middle - 5.0), (x + 5.0, middle), (x - 4.0, middle + 5.0)],
            );
        } else {
            canvas.circle("disc", (x, middle), dot.radius);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_dots_ranges_and_columns() {
        let chart = DotChart {
            label: "ratios".to_owned(),
            ticks: [0.5, 1.0, 2.0].map(|tick| (tick, format!("{tick}×"))).into(),
            sides: Some(("less".to_owned(), "more".to_owned())),
            columns: vec![("squall".to_owned(), "subject".to_owned())],
            rows: vec![Row {
                name: "plaintext".to_owned(),
                dots: vec![
                    Dot {
                        class: "subject open".to_owned(),
                        ratio: 1.05,
                        range: Some((1.0, 1.1)),
                        radius: 5.0,
                        hover: "squall".to_owned(),
                    },
                    Dot {
                        class: "peer".to_owned(),
                        ratio: 28.0,
                        range: None,
                        radius: 4.0,
                        hover: "far".to_owned(),
                    },
                ],
                columns: vec!["1.05×".to_owned()],
            }],
        };
        let svg = chart.draw();
        for part in [
            r#"class="dot subject open""#,
            r#"class="range""#,
            ">1.05×</text>",
            ">less</text>",
            ">plaintext</text>",
            r#"class="reference""#,
        ] {
            assert!(svg.contains(part), "{part} is missing: {svg}");
        }
        assert_eq!(
            svg.matches("<circle").count(),
            1,
            "a dot beyond the axis is an arrow: {svg}"
        );
        assert_eq!(svg.matches("<polygon").count(), 1, "{svg}");
    }
}
