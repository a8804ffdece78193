//! Curves with their names at their right ends instead of a legend.

use super::canvas::{Canvas, Place};
use super::scale::{Measure, Scale};
use super::{CHART_WIDTH, label_width, labels};

/// Least height of the plot; more names make it higher.
const PLOT_HEIGHT: f64 = 290.0;

/// Vertical distance between names.
const NAME_HEIGHT: f64 = 15.0;

/// Space above the plot for the title of the y axis, and below it for the x axis.
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;

/// Space between the plot and the names, for the leader lines.
const LEADER: f64 = 18.0;

/// An axis.
#[derive(Debug)]
pub(in crate::report) struct Axis {
    pub(in crate::report) measure: Measure,
    /// The values at its ends.
    pub(in crate::report) domain: (f64, f64),
    /// The ticks: value and label.
    pub(in crate::report) ticks: Vec<(f64, String)>,
    pub(in crate::report) title: String,
}

impl Axis {
    fn scale(&self, range: (f64, f64)) -> Scale {
        Scale::new(self.measure, self.domain, range)
    }
}

/// One point of a curve: the median of the rounds and their range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct Mark {
    pub(in crate::report) x: f64,
    pub(in crate::report) y: f64,
    pub(in crate::report) low: f64,
    pub(in crate::report) high: f64,
    /// Drawn as a ring: the server fell behind this rate.
    pub(in crate::report) is_missed: bool,
}

/// One curve.
#[derive(Debug)]
pub(in crate::report) struct Series {
    pub(in crate::report) name: String,
    /// Its style class.
    pub(in crate::report) class: String,
    /// Whether its range is drawn as a band.
    pub(in crate::report) has_band: bool,
    /// Whether each point is drawn, for curves of a few points.
    pub(in crate::report) has_points: bool,
    pub(in crate::report) marks: Vec<Mark>,
}

/// Curves over one pair of axes; later series are drawn on top.
#[derive(Debug)]
pub(in crate::report) struct CurveChart {
    /// The description for screen readers.
    pub(in crate::report) label: String,
    pub(in crate::report) x: Axis,
    pub(in crate::report) y: Axis,
    pub(in crate::report) series: Vec<Series>,
}

impl CurveChart {
    pub(in crate::report) fn draw(&self) -> String {
        let names = label_width(self.series.iter().map(|series| series.name.as_str()));
        let left = label_width(self.y.ticks.iter().map(|tick| tick.1.as_str())).max(30.0) + 8.0;
        let right = CHART_WIDTH - LEADER - names;
        let plot_height = PLOT_HEIGHT.max(NAME_HEIGHT * self.series.len() as f64);
        let bottom = TOP + plot_height;
        let plot = Plot {
            x: self.x.scale((left, right)),
            y: self.y.scale((bottom, TOP)),
        };
        let mut canvas = Canvas::new(CHART_WIDTH, bottom + BOTTOM);
        for (value, text) in &self.y.ticks {
            let y = plot.y.place(*value);
            canvas.line("grid", (left, y), (right, y));
            canvas.text("tick end", (left - 8.0, y + 4.0), text);
        }
        for (value, text) in &self.x.ticks {
            let x = plot.x.place(*value);
            canvas.line("grid", (x, TOP), (x, bottom + 4.0));
            canvas.text("tick middle", (x, bottom + 18.0), text);
        }
        canvas.text("title", (0.0, 12.0), &self.y.title);
        canvas.text("title end", (right, bottom + 36.0), &self.x.title);
        for series in &self.series {
            let class = format!("series {}", series.class);
            canvas.group(&class, &series.name, |canvas| plot.draw(canvas, series));
        }
        self.draw_names(&mut canvas, &plot, (right, bottom));
        canvas.finish("curves", &self.label)
    }

    /// Writes each name as close to the end of its curve as the other names allow, with a leader line.
    fn draw_names(&self, canvas: &mut Canvas, plot: &Plot, corner: Place) {
        let (right, bottom) = corner;
        let ends: Vec<(&Series, Place)> = self
            .series
            .iter()
            .filter_map(|series| Some((series, plot.place(series.marks.last()?))))
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, end)| end.1).collect();
        let heights = labels::spread(&wanted, NAME_HEIGHT, TOP, bottom);
        for ((series, end), height) in ends.into_iter().zip(heights) {
            let class = format!("leader {}", series.class);
            let elbow = (right + 3.0, end.1);
            canvas.polyline(&class, &[end, elbow, (right + LEADER - 4.0, height)]);
            let class = format!("name {}", series.class);
            canvas.text(&class, (right + LEADER, height + 4.5), &series.name);
        }
    }
}

/// The two scales of a plot.
#[derive(Debug)]
struct Plot {
    x: Scale,
    y: Scale,
}

impl Plot {
    fn place(&self, mark: &Mark) -> Place {
        (self.x.place(mark.x), self.y.place(mark.y))
    }

    fn draw(&self, canvas: &mut Canvas, series: &Series) {
        let marks = &series.marks;
        if series.has_band {
            let upper = marks.iter().map(|mark| (self.x.place(mark.x), self.y.place(mark.high)));
            let lower = marks
                .iter()
                .rev()
                .map(|mark| (self.x.place(mark.x), self.y.place(mark.low)));
            canvas.polygon("band", &upper.chain(lower).collect::<Vec<Place>>());
        }
        let places: Vec<Place> = marks.iter().map(|mark| self.place(mark)).collect();
        canvas.polyline("curve", &places);
        if series.has_points {
            for mark in marks {
                let class = if mark.is_missed { "ring" } else { "point" };
                canvas.circle(class, self.place(mark), 2.8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, heights: &[f64], has_band: bool) -> Series {
        let mark = |(index, height): (usize, &f64)| Mark {
            x: index as f64,
            y: *height,
            low: height * 0.9,
            high: height * 1.1,
            is_missed: index == 1,
        };
        Series {
            name: name.to_owned(),
            class: "peer".to_owned(),
            has_band,
            has_points: true,
            marks: heights.iter().enumerate().map(mark).collect(),
        }
    }

    #[test]
    fn curves_have_names_and_leaders_beside_their_ends() {
        let axis = |measure, ticks: &[f64]| Axis {
            measure,
            domain: (ticks[0], ticks[2]),
            ticks: ticks.iter().map(|tick| (*tick, tick.to_string())).collect(),
            title: "title".to_owned(),
        };
        let chart = CurveChart {
            label: "latency".to_owned(),
            x: axis(Measure::Linear, &[0.0, 1.0, 2.0]),
            y: axis(Measure::Logarithmic, &[1.0, 10.0, 100.0]),
            series: vec![
                series("one", &[1.0, 10.0, 100.0], true),
                series("two", &[1.0, 10.0], false),
                series("empty", &[], false),
            ],
        };
        let svg = chart.draw();
        assert_eq!(svg.matches(r#"class="band""#).count(), 1);
        assert_eq!(svg.matches(r#"class="curve""#).count(), 3);
        assert_eq!(svg.matches(r#"class="ring""#).count(), 2);
        assert_eq!(
            svg.matches(r#"class="leader peer""#).count(),
            2,
            "a series without points has no name"
        );
        assert!(svg.contains(">two</text>") && !svg.contains(">empty</text>"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
