//! The formats of a region, from the data of ICU4X: dates, times, numbers and lists.
//!
//! A formatter is made at its first use and kept by its shard: making one costs far more than using it.

use core::cell::OnceCell;
use core::fmt;

use icu_datetime::DateTimeFormatter;
use icu_datetime::fieldsets::{E, MDE, T, YMD, YMDT};
use icu_datetime::options::Length;
use icu_decimal::DecimalFormatter;
use icu_decimal::input::Decimal;
use icu_list::ListFormatter;
use icu_list::options::ListFormatterOptions;
use icu_locale_core::LanguageIdentifier;

use super::time::LocalTime;
use crate::error::{Error, Result};

/// How much of a date is written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateLength {
    /// As in `5/8/24`.
    Short,
    /// As in `May 8, 2024`.
    #[default]
    Medium,
    /// As in `May 8, 2024`, with the month in full.
    Long,
}

/// The formatters of one locale on one shard.
pub(super) struct Formats {
    tag: LanguageIdentifier,
    dates: [OnceCell<DateTimeFormatter<YMD>>; 3],
    date_times: [OnceCell<DateTimeFormatter<YMDT>>; 3],
    day: OnceCell<DateTimeFormatter<MDE>>,
    weekday: OnceCell<DateTimeFormatter<E>>,
    time: OnceCell<DateTimeFormatter<T>>,
    number: OnceCell<DecimalFormatter>,
    list: OnceCell<ListFormatter>,
}

impl Formats {
    pub(super) fn new(tag: &str) -> Self {
        Self {
            // The languages have checked the tag. Of what ICU4X refuses all the same, it has the formats of the root.
            tag: LanguageIdentifier::try_from_str(tag).unwrap_or(LanguageIdentifier::UNKNOWN),
            dates: Default::default(),
            date_times: Default::default(),
            day: OnceCell::new(),
            weekday: OnceCell::new(),
            time: OnceCell::new(),
            number: OnceCell::new(),
            list: OnceCell::new(),
        }
    }

    pub(super) fn tag(&self) -> &LanguageIdentifier {
        &self.tag
    }

    pub(super) fn date(&self, time: LocalTime, length: DateLength) -> Result<String> {
        let [short, medium, long] = &self.dates;
        let (made, length) = of_length(length, [short, medium, long]);
        let formatter = get(made, || {
            DateTimeFormatter::try_new((&self.tag).into(), YMD::for_length(length))
        })?;
        Ok(formatter.format(&time.date_time().date).to_string())
    }

    pub(super) fn date_time(&self, time: LocalTime, length: DateLength) -> Result<String> {
        let [short, medium, long] = &self.date_times;
        let (made, length) = of_length(length, [short, medium, long]);
        let fields = YMD::for_length(length).with_time_hm();
        let formatter = get(made, || DateTimeFormatter::try_new((&self.tag).into(), fields))?;
        Ok(formatter.format(&time.date_time()).to_string())
    }

    pub(super) fn day(&self, time: LocalTime) -> Result<String> {
        let formatter = get(&self.day, || {
            DateTimeFormatter::try_new((&self.tag).into(), MDE::long())
        })?;
        Ok(formatter.format(&time.date_time().date).to_string())
    }

    pub(super) fn weekday(&self, time: LocalTime) -> Result<String> {
        let formatter = get(&self.weekday, || {
            DateTimeFormatter::try_new((&self.tag).into(), E::long())
        })?;
        Ok(formatter.format(&time.date_time().date).to_string())
    }

    pub(super) fn time(&self, time: LocalTime) -> Result<String> {
        let formatter = get(&self.time, || DateTimeFormatter::try_new((&self.tag).into(), T::hm()))?;
        Ok(formatter.format(&time.date_time().time).to_string())
    }

    pub(super) fn number(&self, number: &Decimal) -> Result<String> {
        let made = &self.number;
        let formatter = get(made, || {
            DecimalFormatter::try_new((&self.tag).into(), Default::default())
        })?;
        Ok(formatter.format(number).to_string())
    }

    pub(super) fn list(&self, items: &[&str]) -> Result<String> {
        let options = ListFormatterOptions::default();
        let formatter = get(&self.list, || ListFormatter::try_new_and((&self.tag).into(), options))?;
        Ok(formatter.format(items.iter()).to_string())
    }
}

/// The place of a formatter of a length.
fn of_length<T>(length: DateLength, [short, medium, long]: [&T; 3]) -> (&T, Length) {
    match length {
        DateLength::Short => (short, Length::Short),
        DateLength::Medium => (medium, Length::Medium),
        DateLength::Long => (long, Length::Long),
    }
}

/// Gets a formatter, which is made at the first use.
fn get<T, E: fmt::Display>(made: &OnceCell<T>, make: impl FnOnce() -> Result<T, E>) -> Result<&T> {
    if let Some(made) = made.get() {
        return Ok(made);
    }
    let new = make().map_err(|error| Error::new(format!("could not load the formats of a language: {error}")))?;
    Ok(made.get_or_init(|| new))
}
