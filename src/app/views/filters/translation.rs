//! Filters that translate for the locale of the request: see [`views::locale`](crate::views::locale).

use core::fmt::Display;

use askama::Values;
use askama::filters::{ValidArgIdx, ValidFilterInvocation};

use crate::app::views::fill::fill;
use crate::app::views::locale::Locale;
use crate::app::views::page::context;

pub(super) fn locale(values: &dyn Values) -> askama::Result<&Locale> {
    context(values)?.locale().map_err(askama::Error::custom)
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
