//! The SVG elements of charts, written as text with all strings escaped.

use std::fmt::Write;

use askama::filters::{Html, escape};

/// A position on a canvas: x to the right, y down.
pub(super) type Place = (f64, f64);

/// An SVG drawing.
#[derive(Debug)]
pub(super) struct Canvas {
    size: (f64, f64),
    body: String,
}

impl Canvas {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self {
            size: (width, height),
            body: String::new(),
        }
    }

    pub(super) fn line(&mut self, class: &str, from: Place, to: Place) {
        self.push(format_args!(
            r#"<line class="{}" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
            escaped(class),
            from.0,
            from.1,
            to.0,
            to.1
        ));
    }

    pub(super) fn rectangle(&mut self, class: &str, corner: Place, size: (f64, f64)) {
        self.push(format_args!(
            r#"<rect class="{}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}"/>"#,
            escaped(class),
            corner.0,
            corner.1,
            size.0.max(0.0),
            size.1.max(0.0)
        ));
    }

    pub(super) fn circle(&mut self, class: &str, centre: Place, radius: f64) {
        self.push(format_args!(
            r#"<circle class="{}" cx="{:.1}" cy="{:.1}" r="{radius:.1}"/>"#,
            escaped(class),
            centre.0,
            centre.1
        ));
    }

    /// Draws text on a baseline; the classes `end` and `middle` align its end or middle at `place` instead of its
    /// start.
    pub(super) fn text(&mut self, class: &str, place: Place, text: &str) {
        self.push(format_args!(
            r#"<text class="{}" x="{:.1}" y="{:.1}">{}</text>"#,
            escaped(class),
            place.0,
            place.1,
            escaped(text)
        ));
    }

    /// Draws a polyline.
    pub(super) fn polyline(&mut self, class: &str, places: &[Place]) {
        let points = points(places);
        self.push(format_args!(
            r#"<polyline class="{}" points="{points}"/>"#,
            escaped(class)
        ));
    }

    /// Draws a polygon.
    pub(super) fn polygon(&mut self, class: &str, places: &[Place]) {
        let points = points(places);
        self.push(format_args!(
            r#"<polygon class="{}" points="{points}"/>"#,
            escaped(class)
        ));
    }

    /// Groups what `draw` draws, with a tooltip.
    pub(super) fn group(&mut self, class: &str, hover: &str, draw: impl FnOnce(&mut Self)) {
        self.push(format_args!(
            r#"<g class="{}"><title>{}</title>"#,
            escaped(class),
            escaped(hover)
        ));
        draw(self);
        self.body.push_str("</g>");
    }

    /// Returns the SVG element; screen readers read `label`.
    pub(super) fn finish(self, class: &str, label: &str) -> String {
        let (width, height) = self.size;
        format!(
            "<svg class=\"{}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">{}</svg>",
            escaped(class),
            escaped(label),
            self.body
        )
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(element);
    }
}

fn points(places: &[Place]) -> String {
    let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    points.join(" ")
}

/// Escapes text for elements and attribute values.
fn escaped(text: &str) -> String {
    // Escaping into a string cannot fail.
    escape(text, Html).map(|text| text.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_strings_are_escaped() {
        let evil = r#"<b>"&'"#;
        let mut canvas = Canvas::new(10.0, 10.0);
        canvas.group(evil, evil, |canvas| {
            canvas.text(evil, (0.0, 0.0), evil);
            canvas.line(evil, (0.0, 0.0), (1.0, 1.0));
            canvas.rectangle(evil, (0.0, 0.0), (1.0, -1.0));
            canvas.circle(evil, (0.0, 0.0), 1.0);
            canvas.polyline(evil, &[(0.0, 0.0)]);
            canvas.polygon(evil, &[(0.0, 0.0)]);
        });
        let svg = canvas.finish(evil, evil);
        assert!(!svg.contains("<b>"), "{svg}");
        assert_eq!(svg.matches("&#60;b&#62;&#34;&#38;&#39;").count(), 11, "{svg}");
        assert!(svg.contains(r#"height="0.0""#), "no size is below zero: {svg}");
    }
}
