//! The filters that translate and format, in templates that are read anew.

#[cfg(feature = "locale")]
use fluent_bundle::FluentValue;
#[cfg(feature = "locale")]
use minijinja::value::{Rest, Serde};
use minijinja::{Environment, Value};

use super::scope::{failure, with_context};
use crate::app::views::fill::fill;
#[cfg(feature = "locale")]
use crate::app::views::locale::{DateLength, LocalTime};

/// Adds the filters of [`views::locale`](crate::views::locale).
pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("translate", |text: &Value| {
        with_context(|cx| Ok(cx.locale()?.translate(&text.to_string()).to_owned()))
    });
    environment.add_filter("translate_plural", |singular: &Value, plural: &Value, count: &Value| {
        let number = whole(count, "could not translate a plural: the count must be a whole number")?;
        let (singular, plural) = (singular.to_string(), plural.to_string());
        with_context(|cx| {
            let text = cx.locale()?.translate_plural(&singular, &plural, number).to_owned();
            Ok(fill(&text, &[("n", &count)]))
        })
    });
    environment.add_filter("pgettext", |text: &Value, context: &Value| {
        with_context(|cx| {
            let locale = cx.locale()?;
            Ok(locale.pgettext(&context.to_string(), &text.to_string()).to_owned())
        })
    });
    #[cfg(feature = "locale")]
    add_formats(environment);
}

/// Adds the filters of a region, and the messages of Fluent.
#[cfg(feature = "locale")]
fn add_formats(environment: &mut Environment<'_>) {
    environment.add_filter("message", |id: &Value, pairs: Rest<Value>| {
        let pairs: Vec<String> = pairs.iter().map(Value::to_string).collect();
        let pairs = pairs.as_chunks().0.iter();
        let values: Vec<(&str, FluentValue<'_>)> = pairs
            .map(|[name, value]| (name.as_str(), FluentValue::try_number(value)))
            .collect();
        with_context(|cx| cx.locale()?.message(&id.to_string(), &values))
    });
    environment.add_filter("format_number", |number: &Value| {
        let number = whole(number, "could not format a number: it is not whole")?;
        with_context(|cx| cx.locale()?.format_number(number))
    });
    environment.add_filter("format_date", |time: Serde<LocalTime>| {
        with_context(|cx| cx.locale()?.format_date(time.0, DateLength::Medium))
    });
}

/// Reads a whole number, from a number or from a text.
fn whole<T: core::str::FromStr>(value: &Value, reason: &'static str) -> Result<T, minijinja::Error> {
    value.to_string().parse().map_err(|_| failure(reason))
}
