//! Horizontal bars, one per contender, each with its name, error bar, figure and remark.

use super::canvas::Canvas;
use super::{CHARACTER_WIDTH, CHART_WIDTH, label_width};
use crate::statistics::Spread;

const ROW_HEIGHT: f64 = 25.0;
const BAR_HEIGHT: f64 = 15.0;

/// Space above the rows for the heading of the remarks.
const TOP: f64 = 17.0;

/// Distance from the middle of a row to the text baseline.
const BASELINE: f64 = 4.5;

/// Space between a name and its bar, and between a bar and its figure.
const GAP: f64 = 8.0;

/// A bar this many times longer than the median is cut and marked, because the others would be too short to compare.
const CUT_AT: f64 = 4.0;

/// Length of a cut bar relative to the longest whole bar.
const CUT_LENGTH: f64 = 1.15;

/// One bar.
#[derive(Debug)]
pub(in crate::report) struct Bar {
    pub(in crate::report) name: String,
    /// Its style class.
    pub(in crate::report) class: String,
    /// Its stacked parts from the axis outwards: class and length.
    pub(in crate::report) parts: Vec<(&'static str, f64)>,
    /// The range of the error bar.
    pub(in crate::report) spread: Spread,
    /// The figure beside it.
    pub(in crate::report) figure: String,
    /// The remark at the right edge; may be empty.
    pub(in crate::report) remark: String,
    /// The tooltip.
    pub(in crate::report) hover: String,
}

impl Bar {
    fn length(&self) -> f64 {
        self.parts.iter().map(|(_, length)| length).sum()
    }
}

/// Bars from zero to the right, in the order given.
#[derive(Debug)]
pub(in crate::report) struct BarChart {
    /// The description for screen readers.
    pub(in crate::report) label: String,
    pub(in crate::report) bars: Vec<Bar>,
    /// The heading of the remarks; may be empty.
    pub(in crate::report) remarks: String,
    /// The position of the dashed line across all rows: the floor.
    pub(in crate::report) reference: Option<f64>,
}

impl BarChart {
    pub(in crate::report) fn draw(&self) -> String {
        let left = label_width(self.bars.iter().map(|bar| bar.name.as_str())) + GAP;
        let figure_width = label_width(self.bars.iter().map(|bar| bar.figure.as_str()));
        let remarks = self.bars.iter().map(|bar| bar.remark.as_str());
        let remark_width = label_width(remarks);
        let right = CHART_WIDTH - figure_width - remark_width - 2.0 * GAP;
        let bottom = TOP + ROW_HEIGHT * self.bars.len() as f64;
        let (longest, cut) = self.extent();
        let frame = Frame {
            left,
            pixels: (right - left).max(CHARACTER_WIDTH) / longest,
            cut,
        };
        let mut canvas = Canvas::new(CHART_WIDTH, bottom + 2.0);
        canvas.text("tick end", (CHART_WIDTH, 11.0), &self.remarks);
        let middle = |index: usize| TOP + ROW_HEIGHT * (index as f64 + 0.5);
        for (index, bar) in self.bars.iter().enumerate() {
            let class = format!("row {}", bar.class);
            canvas.group(&class, &bar.hover, |canvas| frame.draw(canvas, bar, middle(index)));
        }
        canvas.line("zero", (left, TOP), (left, bottom));
        if let Some(reference) = self.reference.filter(|reference| *reference < longest) {
            let x = left + reference * frame.pixels;
            canvas.line("reference", (x, TOP), (x, bottom));
        }
        // Figures come last, so that the reference line does not cross them.
        for (index, bar) in self.bars.iter().enumerate() {
            let baseline = middle(index) + BASELINE;
            let figure = (frame.end(bar) + GAP, baseline);
            canvas.text(&format!("figure {}", bar.class), figure, &bar.figure);
            canvas.text("remark end", (CHART_WIDTH, baseline), &bar.remark);
        }
        canvas.finish("bars", &self.label)
    }

    /// Returns the length at full width, and the length from which bars are cut.
    fn extent(&self) -> (f64, f64) {
        let Some(lengths) = Spread::of(self.bars.iter().map(Bar::length)) else {
            return (1.0, f64::INFINITY);
        };
        let cut = lengths.median * CUT_AT;
        if lengths.max <= 0.0 {
            return (1.0, f64::INFINITY);
        }
        if lengths.median <= 0.0 {
            return (lengths.max, f64::INFINITY);
        }
        let whole = self.bars.iter().filter(|bar| bar.length() <= cut);
        let longest = whole.map(|bar| bar.length().max(bar.spread.max)).fold(0.0, f64::max);
        match lengths.max > cut {
            true => (longest * CUT_LENGTH, cut),
            false => (longest, f64::INFINITY),
        }
    }
}

/// The start and scale of the bars.
#[derive(Debug)]
struct Frame {
    left: f64,
    /// Length of one unit.
    pixels: f64,
    cut: f64,
}

impl Frame {
    fn draw(&self, canvas: &mut Canvas, bar: &Bar, middle: f64) {
        canvas.text("name end", (self.left - GAP, middle + BASELINE), &bar.name);
        self.draw_parts(canvas, bar, middle);
        match self.is_cut(bar) {
            true => self.draw_cut(canvas, bar, middle),
            false => self.draw_whisker(canvas, bar, middle),
        }
    }

    fn is_cut(&self, bar: &Bar) -> bool {
        bar.length() > self.cut
    }

    /// Returns the length of one unit; a cut bar takes the full width and keeps the proportions of its parts.
    fn pixels_of(&self, bar: &Bar) -> f64 {
        if !self.is_cut(bar) {
            return self.pixels;
        }
        let letters = bar.figure.chars().count() + bar.remark.chars().count();
        (CHART_WIDTH - self.left - letters as f64 * CHARACTER_WIDTH - 3.0 * GAP) / bar.length()
    }

    /// Returns the end of a bar and its error bar.
    fn end(&self, bar: &Bar) -> f64 {
        let length = match self.is_cut(bar) {
            true => bar.length(),
            false => bar.length().max(bar.spread.max),
        };
        self.left + length * self.pixels_of(bar)
    }

    fn draw_parts(&self, canvas: &mut Canvas, bar: &Bar, middle: f64) {
        let pixels = self.pixels_of(bar);
        let mut x = self.left;
        for (class, length) in &bar.parts {
            let size = (length * pixels, BAR_HEIGHT);
            canvas.rectangle(class, (x, middle - BAR_HEIGHT / 2.0), size);
            x += size.0;
        }
    }

    fn draw_whisker(&self, canvas: &mut Canvas, bar: &Bar, middle: f64) {
        let [low, high] = [bar.spread.min, bar.spread.max].map(|end| self.left + end * self.pixels);
        if high - low < 1.0 {
            return;
        }
        canvas.line("whisker", (low, middle), (high, middle));
        for end in [low, high] {
            canvas.line("whisker", (end, middle - 3.5), (end, middle + 3.5));
        }
    }

    /// Draws the mark of a cut bar.
    fn draw_cut(&self, canvas: &mut Canvas, bar: &Bar, middle: f64) {
        let cut = self.left + (self.end(bar) - self.left) * 0.82;
        let slanted = [(0.0, -1.0), (5.0, -1.0), (-1.0, 1.0), (-6.0, 1.0)];
        let reach = BAR_HEIGHT / 2.0 + 1.0;
        canvas.polygon(
            "cut",
            &slanted.map(|(right, down)| (cut + right, middle + down * reach)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, user: f64, system: f64) -> Bar {
        let total = user + system;
        Bar {
            name: name.to_owned(),
            class: "peer".to_owned(),
            parts: vec![("user", user), ("system", system)],
            spread: Spread {
                median: total,
                min: total * 0.9,
                max: total * 1.1,
            },
            figure: format!("{total:.2}"),
            remark: "1.00×".to_owned(),
            hover: "hover".to_owned(),
        }
    }

    fn chart(bars: Vec<Bar>) -> String {
        let chart = BarChart {
            label: "CPU".to_owned(),
            bars,
            remarks: "× floor".to_owned(),
            reference: Some(5.0),
        };
        chart.draw()
    }

    #[test]
    fn bars_have_parts_whiskers_and_labels() {
        let svg = chart(vec![bar("floor", 1.0, 4.0), bar("squall", 1.0, 5.0)]);
        assert_eq!(svg.matches(r#"<rect class="user""#).count(), 2);
        assert_eq!(svg.matches(r#"<line class="whisker""#).count(), 6);
        assert!(svg.contains(">squall</text>") && svg.contains(">6.00</text>") && svg.contains(r#"class="reference""#));
        assert!(!svg.contains(r#"class="cut""#));
    }

    #[test]
    fn bar_that_would_dwarf_the_others_is_cut_and_marked() {
        let bars = vec![bar("a", 1.0, 4.0), bar("b", 1.0, 5.0), bar("slow", 100.0, 21.0)];
        let svg = chart(bars);
        assert_eq!(svg.matches(r#"class="cut""#).count(), 1);
        assert!(svg.contains(">121.00</text>"), "the figure is the whole one: {svg}");
    }

    #[test]
    fn zero_length_bars_are_valid_svg() {
        assert!(chart(Vec::new()).starts_with("<svg"));
        let svg = chart(vec![bar("idle", 0.0, 0.0)]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
