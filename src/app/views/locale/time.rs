//! A moment as a clock on a wall shows it, in UTC or at an offset.

use std::time::{SystemTime, UNIX_EPOCH};

use icu_calendar::Iso;
use icu_calendar::types::RataDie;
use icu_datetime::input::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};

/// Seconds of a day.
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// 1 January 1970 as a number of days from the start of the year 1.
const EPOCH_DAY: i64 = 719_163;

/// The last day that is formatted: 31 December 9999. The first is 1 January of the year 1.
const LAST_DAY: i64 = 3_652_059;

/// A moment as a clock shows it, in UTC or at an offset from UTC.
///
/// It is what a [`Locale`](super::Locale) formats. Moments before the year 1 and after the year 9999 count as the first
/// and the last of these. Serialized, it is the number of seconds from the start of 1970 on its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[must_use = "a moment does nothing until a locale formats it"]
pub struct LocalTime {
    /// From the start of 1970 on the same clock.
    seconds: i64,
}

impl LocalTime {
    /// Makes the moment as a clock of UTC shows it.
    pub fn utc(time: SystemTime) -> Self {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
        };
        Self { seconds }
    }

    /// Moves the clock this many minutes to the east of UTC: 60 for Central European Time.
    pub fn east_by_minutes(self, minutes: i32) -> Self {
        Self {
            seconds: self.seconds.saturating_add(i64::from(minutes) * 60),
        }
    }

    /// The seconds from another moment to this one.
    pub(super) fn seconds_since(self, earlier: Self) -> i64 {
        self.seconds.saturating_sub(earlier.seconds)
    }

    /// The days from the day of another moment to the day of this one.
    pub(super) fn days_since(self, earlier: Self) -> i64 {
        self.seconds.div_euclid(DAY_SECONDS) - earlier.seconds.div_euclid(DAY_SECONDS)
    }

    /// The moment in the types of ICU4X.
    pub(super) fn date_time(self) -> DateTime<Iso> {
        let day = (self.seconds.div_euclid(DAY_SECONDS) + EPOCH_DAY).clamp(1, LAST_DAY);
        let second = self.seconds.rem_euclid(DAY_SECONDS);
        let part = |value: i64| u8::try_from(value).unwrap_or_default();
        let time = Time::try_new(part(second / 3600), part(second / 60 % 60), part(second % 60), 0);
        DateTime {
            date: Date::from_rata_die(RataDie::new(day), Iso),
            time: time.unwrap_or_else(|_| Time::start_of_day()),
        }
    }
}
