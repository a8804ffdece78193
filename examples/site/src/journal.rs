//! What the station has measured and written down. A real site would ask a database.

use std::time::{Duration, UNIX_EPOCH};

use squall::views::locale::LocalTime;

/// An entry of the journal. Its texts are translated where they are shown.
pub(crate) struct Entry {
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) text: &'static [&'static str],
    /// From 1970 on.
    written_seconds: u64,
}

/// A measurement of the last hour.
pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) digits: u8,
    pub(crate) unit: &'static str,
    /// The hours before, oldest first, from 0 to 1.
    pub(crate) history: [f64; 12],
}

/// How often the wind came from each of eight directions, clockwise from the north, in percent.
pub(crate) const WIND: [f64; 8] = [6.0, 4.0, 3.0, 7.0, 15.0, 31.0, 24.0, 10.0];

/// The latest measurements.
pub(crate) const MEASUREMENTS: [Measurement; 4] = [
    Measurement {
        name: "Temperature",
        value: 8.4,
        digits: 1,
        unit: "°C",
        history: [0.2, 0.18, 0.15, 0.12, 0.2, 0.35, 0.5, 0.66, 0.8, 0.86, 0.82, 0.74],
    },
    Measurement {
        name: "Wind",
        value: 17.2,
        digits: 1,
        unit: "m/s",
        history: [0.3, 0.34, 0.3, 0.42, 0.5, 0.48, 0.6, 0.72, 0.7, 0.84, 0.9, 0.96],
    },
    Measurement {
        name: "Pressure",
        value: 1002.7,
        digits: 1,
        unit: "hPa",
        history: [0.95, 0.93, 0.9, 0.85, 0.8, 0.72, 0.66, 0.58, 0.5, 0.4, 0.33, 0.3],
    },
    Measurement {
        name: "Visibility",
        value: 24_300.0,
        digits: 0,
        unit: "m",
        history: [0.4, 0.42, 0.5, 0.52, 0.6, 0.58, 0.66, 0.7, 0.64, 0.7, 0.78, 0.8],
    },
];

/// The journal, newest first.
pub(crate) const ENTRIES: [Entry; 4] = [
    Entry {
        slug: "first-squall",
        title: "The first squall of the season",
        summary: "At four in the afternoon the barometer fell, and the sea turned white.",
        text: &[
            "The barometer had fallen since noon. Shortly before four, a dark line stood above the horizon in the southwest.",
            "Within two minutes the wind rose from 9 to 28 metres a second. The gust lasted as long as it takes to close a window.",
            "The scale of the winds is explained at https://en.wikipedia.org/wiki/Beaufort_scale, with pictures of the sea.",
        ],
        written_seconds: 1_794_934_800,
    },
    Entry {
        slug: "new-anemometer",
        title: "A new anemometer on the mast",
        summary: "No cups, no bearings to grease, and a cable that the gulls leave alone.",
        text: &[
            "The old anemometer had turned for eleven years. Salt had eaten its bearings, and in light wind it stood still.",
            "The new one measures the wind by sound. It has no part that moves, and so far the gulls have not found it.",
        ],
        written_seconds: 1_793_523_600,
    },
    Entry {
        slug: "fog-signals",
        title: "Five days of fog",
        summary: "For five days the visibility stayed below 200 metres.",
        text: &[
            "Warm air lay on cold water, and for five days nothing moved. We heard ships that we never saw.",
            "On the sixth day the wind turned north, and the islands stood on the horizon as if they had been drawn there.",
        ],
        written_seconds: 1_791_190_800,
    },
    Entry {
        slug: "open-day",
        title: "Eighty visitors and one balloon",
        summary: "On our open day, the children let the weather balloon go.",
        text: &[
            "Eighty visitors came up the cliff. The youngest was allowed to let the balloon go, at noon to the second.",
            "It rose to 31 kilometres, burst, and came down in a field of oats. The farmer brought it back on his bicycle.",
        ],
        written_seconds: 1_787_904_000,
    },
];

impl Entry {
    /// When it was written, on the clock of the station.
    pub(crate) fn written(&self) -> LocalTime {
        LocalTime::utc(UNIX_EPOCH + Duration::from_secs(self.written_seconds)).east_by_minutes(60)
    }
}
