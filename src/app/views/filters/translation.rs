//! Filters that translate and format for the locale of the request: see [`views::locale`](crate::views::locale).

use core::borrow::Borrow;
use core::fmt::Display;

use askama::Values;
use askama::filters::{ValidArgIdx, ValidFilterInvocation};
use fluent_bundle::FluentValue;

use crate::app::views::fill::fill;
use crate::app::views::locale::{DateLength, LocalTime, Locale};
use crate::app::views::page::context;
use crate::error::Result;

fn locale(values: &dyn Values) -> askama::Result<&Locale> {
    context(values)?.locale().map_err(askama::Error::custom)
}

fn formatted(text: Result<String>) -> askama::Result<String> {
    text.map_err(askama::Error::custom)
}

filter! {
    /// Translates a text: `{{ "Hello"|translate }}`.
    ///
    /// See [`Locale::translate`]. The translation is escaped like any other text.
    translate {}, arguments:
}

impl translate {
    /// Gives the translation.
    ///
    /// # Errors
    ///
    /// The application has no languages.
    pub fn execute<'t>(self, text: &'t (impl AsRef<str> + ?Sized), values: &'t dyn Values) -> askama::Result<&'t str> {
        Ok(locale(values)?.translate(text.as_ref()))
    }
}

filter! {
    /// Translates a text for a count, which replaces `{n}`: `{{ "{n} day"|translate_plural("{n} days", count) }}`.
    ///
    /// See [`Locale::translate_plural`].
    translate_plural { values: Vec<String> }, arguments: 0 1
}

impl translate_plural {
    arguments!(with_0 with_1);

    /// Gives the translation.
    ///
    /// # Errors
    ///
    /// The application has no languages, or the count is not a whole number from 0 on.
    pub fn execute(self, singular: impl Display, values: &dyn Values) -> askama::Result<String> {
        let [plural, count] = self.values.as_slice() else {
            return Err(askama::Error::custom(
                "could not translate a plural: give its text and the count",
            ));
        };
        let number = count.parse();
        let number = number
            .map_err(|_| askama::Error::custom("could not translate a plural: the count must be a whole number"))?;
        let text = singular.to_string();
        Ok(fill(
            locale(values)?.translate_plural(&text, plural, number),
            &[("n", count)],
        ))
    }
}

filter! {
    /// Translates a text in a context: `{{ "Open"|pgettext("menu") }}`.
    ///
    /// See [`Locale::pgettext`].
    pgettext { values: Vec<String> }, arguments: 0
}

impl pgettext {
    arguments!(with_0);

    /// Gives the translation.
    ///
    /// # Errors
    ///
    /// The application has no languages.
    pub fn execute(self, text: impl Display, values: &dyn Values) -> askama::Result<String> {
        let context = self.values.first().map_or("", String::as_str);
        Ok(locale(values)?.pgettext(context, &text.to_string()).to_owned())
    }
}

filter! {
    /// Gives a message of Fluent with at most two values: `{{ "welcome"|message("name", name) }}`.
    ///
    /// A value that is a number selects plural forms. See [`Locale::message`].
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
