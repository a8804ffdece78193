//! The modules of the pages: each brings the styles that it needs.

use askama::Template;
use squall::views::{Module, filters};

use crate::journal::{Entry, MEASUREMENTS, Measurement, WIND};

/// A measurement with the line of its last hours.
#[derive(Template)]
#[template(path = "modules/reading.html")]
pub(crate) struct Reading {
    measurement: &'static Measurement,
    value: String,
}

/// How often the wind came from where.
#[derive(Template)]
#[template(path = "modules/wind.html")]
pub(crate) struct WindRose;

/// An entry of the journal, as a link.
#[derive(Template)]
#[template(path = "modules/card.html")]
pub(crate) struct Card {
    pub(crate) entry: &'static Entry,
}

impl Reading {
    /// Makes the readings, with values in the format of the reader's region.
    pub(crate) fn all(format: impl Fn(f64, u8) -> squall::Result<String>) -> squall::Result<Vec<Self>> {
        let readings = MEASUREMENTS.iter().map(|measurement| {
            let value = format(measurement.value, measurement.digits)?;
            Ok(Self { measurement, value })
        });
        readings.collect()
    }

    /// The points of the line, in a box of 120 by 32.
    fn points(&self) -> String {
        let points = self.measurement.history.iter().zip((0_u8..).map(f64::from));
        let step = 120.0 / 11.0;
        let points = points.map(|(value, place)| format!("{:.1},{:.1}", place * step, 30.0 - value * 28.0));
        points.collect::<Vec<_>>().join(" ")
    }
}

impl WindRose {
    /// The petals: a path in a box of 200 by 200, around its middle.
    fn petals(&self) -> Vec<String> {
        let greatest = WIND.iter().copied().fold(1.0, f64::max);
        let petals = WIND.iter().zip((0_u8..).map(f64::from)).map(|(share, place)| {
            let (radius, middle) = (88.0 * share / greatest, place * 45.0 - 90.0);
            let point = |degrees: f64, radius: f64| {
                let (sine, cosine) = degrees.to_radians().sin_cos();
                format!("{:.1} {:.1}", 100.0 + radius * cosine, 100.0 + radius * sine)
            };
            let (from, to) = (point(middle - 18.0, radius), point(middle + 18.0, radius));
            format!("M100 100 L{from} A{radius:.1} {radius:.1} 0 0 1 {to} Z")
        });
        petals.collect()
    }
}

impl Module for Reading {
    fn embedded_css(&self) -> &'static str {
        include_str!("../templates/modules/reading.css")
    }
}

impl Module for WindRose {
    fn embedded_css(&self) -> &'static str {
        include_str!("../templates/modules/wind.css")
    }
}

impl Module for Card {
    fn css_files(&self) -> &'static [&'static str] {
        &["card.css"]
    }
}
