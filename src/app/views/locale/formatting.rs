//! The formats of a locale: dates, times, numbers and lists, and the direction of its script.

use icu_locale::LocaleDirectionality;

use super::format::DateLength;
use super::handle::Locale;
use super::time::LocalTime;
use crate::app::views::fill::fill;
use crate::error::{Error, Result};

impl Locale {
    /// Returns `rtl` for a language that is written from right to left, else `ltr`: the value of HTML's `dir`.
    #[must_use]
    pub fn direction(&self) -> &'static str {
        let directions = LocaleDirectionality::new_common();
        let is_right_to_left = directions.is_right_to_left(self.region().formats.tag());
        if is_right_to_left { "rtl" } else { "ltr" }
    }

    /// Returns a date, such as `May 8, 2024`, in the calendar of the region.
    ///
    /// # Errors
    ///
    /// 500 if ICU4X has no formats for the language; it has those of every language of CLDR.
    pub fn format_date(&self, time: LocalTime, length: DateLength) -> Result<String> {
        self.region().formats.date(time, length)
    }

    /// Returns a date with hours and minutes, such as `May 8, 2024, 5:07 PM`.
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_date_time(&self, time: LocalTime, length: DateLength) -> Result<String> {
        self.region().formats.date_time(time, length)
    }

    /// Returns hours and minutes on the clock of the region, such as `5:07 PM` or `17:07`.
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_time(&self, time: LocalTime) -> Result<String> {
        self.region().formats.time(time)
    }

    /// Returns a day with its weekday and without its year, such as `Wednesday, May 8`.
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_day(&self, time: LocalTime) -> Result<String> {
        self.region().formats.day(time)
    }

    /// Returns how long ago a moment was, or its date (Tornado's `format_date`).
    ///
    /// | the moment is | text |
    /// |---|---|
    /// | less than 50 seconds ago, or at most a minute ahead | `{n} seconds ago` |
    /// | less than 50 minutes ago | `{n} minutes ago` |
    /// | less than a day ago | `{n} hours ago` |
    /// | on the day before | `yesterday at {time}` |
    /// | less than 5 days ago | `{weekday} at {time}` |
    /// | anything else | date and time |
    ///
    /// These texts are translated by the files of the application, in the plural form for `n`. The singulars are
    /// `1 second ago`, `1 minute ago` and `1 hour ago`.
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_relative(&self, time: LocalTime, now: LocalTime) -> Result<String> {
        let seconds = now.seconds_since(time);
        let ago = |singular, plural, count: i64| {
            let count = u64::try_from(count).unwrap_or_default();
            Ok(fill(self.translate_plural(singular, plural, count), &[("n", &count)]))
        };
        let at = |text, weekday: &str| {
            let clock = self.region().formats.time(time)?;
            Ok(fill(self.translate(text), &[("weekday", &weekday), ("time", &clock)]))
        };
        match seconds {
            -60..50 => ago("1 second ago", "{n} seconds ago", seconds.max(0)),
            50..3000 => ago("1 minute ago", "{n} minutes ago", (seconds + 30) / 60),
            3000..86_400 => ago("1 hour ago", "{n} hours ago", (seconds + 1800) / 3600),
            86_400.. if now.days_since(time) == 1 => at("yesterday at {time}", ""),
            86_400.. if now.days_since(time) < 5 => at("{weekday} at {time}", &self.region().formats.weekday(time)?),
            _ => self.region().formats.date_time(time, DateLength::Medium),
        }
    }

    /// Returns a whole number with the separators of the region, such as `1,234,567` (Tornado's `friendly_number`).
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_number(&self, number: i64) -> Result<String> {
        self.region().formats.number(&number.into())
    }

    /// Returns a number with this many digits after the decimal separator, such as `1.234,50`; at most 20.
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date), or the number is infinite or not a number.
    pub fn format_decimal(&self, number: f64, digits: u8) -> Result<String> {
        let digits = usize::from(digits.min(20));
        let decimal = format!("{number:.digits$}").parse();
        let decimal = decimal.map_err(|_| Error::new(format!("could not format {number}: it has no digits")))?;
        self.region().formats.number(&decimal)
    }

    /// Returns a list in words, such as `Ada, Grace, and Mary` (Tornado's `list`).
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_list(&self, items: &[&str]) -> Result<String> {
        self.region().formats.list(items)
    }
}
