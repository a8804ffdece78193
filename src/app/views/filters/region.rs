//! Filters that format for the region of the request, and the messages of Fluent: see
//! [`views::locale`](crate::views::locale).

use core::borrow::Borrow;
use core::fmt::Display;

use askama::Values;
use askama::filters::{ValidArgIdx, ValidFilterInvocation};
use fluent_bundle::FluentValue;

use super::translation::locale;
use crate::app::views::locale::{DateLength, LocalTime};
use crate::error::Result;

fn formatted(text: Result<String>) -> askama::Result<String> {
    text.map_err(askama::Error::custom)
}

filter! {
    /// Gives a message of Fluent with at most two values: `{{ "welcome"|message("name", name) }}`.
    ///
    /// A value that is a number selects plural forms. See [`Locale::message`](crate::views::locale::Locale::message).
    message { values: Vec<String> }, arguments: 0 1 2 3
}

impl message {
    arguments!(with_0 with_1 with_2 with_3);

    /// Gives the message.
    ///
    /// # Errors
    ///
    /// The application has no languages or no such message.
    pub fn execute(self, id: impl Display, values: &dyn Values) -> askama::Result<String> {
        let pairs = self.values.as_chunks().0.iter();
        let arguments: Vec<(&str, FluentValue<'_>)> = pairs
            .map(|[name, value]| (name.as_str(), FluentValue::try_number(value)))
            .collect();
        formatted(locale(values)?.message(&id.to_string(), &arguments))
    }
}

filter! {
    /// Gives a whole number with the separators of the region: `{{ count|format_number }}`.
    format_number {}, arguments:
}

impl format_number {
    /// Gives the number.
    ///
    /// # Errors
    ///
    /// The application has no languages, or the value is not a whole number of 64 bits.
    pub fn execute(self, number: impl Display, values: &dyn Values) -> askama::Result<String> {
        let number = number.to_string().parse();
        let number = number.map_err(|_| askama::Error::custom("could not format a number: it is not whole"))?;
        formatted(locale(values)?.format_number(number))
    }
}

filter! {
    /// Gives a date in the format of the region: `{{ published|format_date }}`.
    format_date {}, arguments:
}

impl format_date {
    /// Gives the date in the medium length.
    ///
    /// # Errors
    ///
    /// The application has no languages.
    pub fn execute(self, time: impl Borrow<LocalTime>, values: &dyn Values) -> askama::Result<String> {
        formatted(locale(values)?.format_date(*time.borrow(), DateLength::Medium))
    }
}
