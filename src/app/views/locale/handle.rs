//! A locale: one language on one shard, with its translations and the formats of its region.

use core::cell::OnceCell;
use core::fmt;
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use fluent_bundle::{FluentArgs, FluentBundle, FluentResource, FluentValue};
use icu_locale::LocaleDirectionality;

use super::catalogue::Source;
use super::format::{DateLength, Formats};
use super::languages::{Language, Languages};
use super::time::LocalTime;
use crate::app::views::fill::fill;
use crate::error::{Error, Result};

/// A language with its translations and formats (Tornado's `Locale`); a copy is a reference.
///
/// [`Context::locale`](crate::Context::locale) gives the one of a request.
#[derive(Clone)]
pub struct Locale(Rc<Inner>);

struct Inner {
    languages: Arc<Languages>,
    index: usize,
    /// The default language, which has the messages that this one lacks.
    default: Option<Locale>,
    messages: OnceCell<FluentBundle<Arc<FluentResource>>>,
    formats: Formats,
}

impl Locale {
    pub(super) fn new(languages: &Arc<Languages>, index: usize, default: Option<Self>) -> Option<Self> {
        let tag = languages.get(index)?.tag.clone();
        Some(Self(Rc::new(Inner {
            languages: Arc::clone(languages),
            index,
            default,
            messages: OnceCell::new(),
            formats: Formats::new(tag),
        })))
    }

    fn language(&self) -> Option<&Language> {
        self.0.languages.get(self.0.index)
    }

    /// Returns the tag of the language, such as `en` or `es-LA`.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.language().map_or("", |language| &language.code)
    }

    /// Returns `rtl` for a language that is written from right to left, else `ltr`: the value of HTML's `dir`.
    #[must_use]
    pub fn direction(&self) -> &'static str {
        let is_right_to_left = self
            .language()
            .is_some_and(|language| LocaleDirectionality::new_common().is_right_to_left(&language.tag));
        if is_right_to_left { "rtl" } else { "ltr" }
    }

    /// Returns the translation of a text, or the text itself.
    #[must_use]
    pub fn translate<'t>(&'t self, text: &'t str) -> &'t str {
        self.find(None, text, None)
    }

    /// Returns the translation for a count, by the plural forms of the language.
    ///
    /// Without a translation it is `singular` if the count is 1, else `plural`. [`fill`](crate::views::fill) puts the count into it.
    #[must_use]
    pub fn translate_plural<'t>(&'t self, singular: &'t str, plural: &'t str, count: u64) -> &'t str {
        self.find(None, singular, Some((plural, count)))
    }

    /// Returns the translation of a text in a context, which tells equal texts apart; CSV has no contexts.
    #[must_use]
    pub fn pgettext<'t>(&'t self, context: &'t str, text: &'t str) -> &'t str {
        self.find(Some(context), text, None)
    }

    /// Returns the translation for a count in a context.
    #[must_use]
    pub fn pgettext_plural<'t>(&'t self, context: &'t str, singular: &'t str, plural: &'t str, count: u64) -> &'t str {
        self.find(Some(context), singular, Some((plural, count)))
    }

    /// Returns a date, such as `May 8, 2024`, in the calendar of the region.
    ///
    /// # Errors
    ///
    /// 500 if ICU4X has no formats for the language; it has those of every language of CLDR.
    pub fn format_date(&self, time: LocalTime, length: DateLength) -> Result<String> {
        self.0.formats.date(time, length)
    }

    /// Returns a date with hours and minutes, such as `May 8, 2024, 5:07 PM`.
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_date_time(&self, time: LocalTime, length: DateLength) -> Result<String> {
        self.0.formats.date_time(time, length)
    }

    /// Returns hours and minutes on the clock of the region, such as `5:07 PM` or `17:07`.
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_time(&self, time: LocalTime) -> Result<String> {
        self.0.formats.time(time)
    }

    /// Returns a day with its weekday and without its year, such as `Wednesday, May 8`.
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_day(&self, time: LocalTime) -> Result<String> {
        self.0.formats.day(time)
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
            let clock = self.0.formats.time(time)?;
            Ok(fill(self.translate(text), &[("weekday", &weekday), ("time", &clock)]))
        };
        match seconds {
            -60..50 => ago("1 second ago", "{n} seconds ago", seconds.max(0)),
            50..3000 => ago("1 minute ago", "{n} minutes ago", (seconds + 30) / 60),
            3000..86_400 => ago("1 hour ago", "{n} hours ago", (seconds + 1800) / 3600),
            86_400.. if now.days_since(time) == 1 => at("yesterday at {time}", ""),
            86_400.. if now.days_since(time) < 5 => at("{weekday} at {time}", &self.0.formats.weekday(time)?),
            _ => self.0.formats.date_time(time, DateLength::Medium),
        }
    }

    /// Returns a whole number with the separators of the region, such as `1,234,567` (Tornado's `friendly_number`).
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_number(&self, number: i64) -> Result<String> {
        self.0.formats.number(&number.into())
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
        self.0.formats.number(&decimal)
    }

    /// Returns a list in words, such as `Ada, Grace, and Mary` (Tornado's `list`).
    ///
    /// # Errors
    ///
    /// As [`format_date`](Self::format_date).
    pub fn format_list(&self, items: &[&str]) -> Result<String> {
        self.0.formats.list(items)
    }

    fn find<'t>(&'t self, context: Option<&'t str>, text: &'t str, plural: Option<(&'t str, u64)>) -> &'t str {
        let source = Source { context, text, plural };
        let found = self.language().and_then(|language| language.catalogue.find(source));
        found.unwrap_or(match plural {
            Some((plural, count)) if count != 1 => plural,
            _ => text,
        })
    }

    /// Returns a message of Fluent with its values.
    ///
    /// A message that the language lacks is that of the default language. Fluent puts marks around values that keep the
    /// directions of texts apart (U+2068 and U+2069). A value that a message needs and does not get is shown by its name and logged.
    ///
    /// # Errors
    ///
    /// 500 if neither language has the message.
    pub fn message(&self, id: &str, values: &[(&str, FluentValue<'_>)]) -> Result<String> {
        let mut arguments = FluentArgs::with_capacity(values.len());
        for (name, value) in values {
            arguments.set(Cow::Borrowed(*name), value.clone());
        }
        let message = self
            .find_message(id, &arguments)
            .or_else(|| self.0.default.as_ref()?.find_message(id, &arguments));
        message.ok_or_else(|| {
            let tag = self.tag();
            Error::new(format!(
                "could not find the message `{id}` for `{tag}`: no file has it; add it to one"
            ))
        })
    }

    fn find_message(&self, id: &str, arguments: &FluentArgs<'_>) -> Option<String> {
        // A message may have an attribute, as in `sign-in.title`.
        let (name, attribute) = id
            .split_once('.')
            .map_or((id, None), |(name, attribute)| (name, Some(attribute)));
        let bundle = self.0.messages.get_or_init(|| self.bundle());
        let message = bundle.get_message(name)?;
        let pattern = match attribute {
            Some(attribute) => message.get_attribute(attribute)?.value(),
            None => message.value()?,
        };
        let mut problems = Vec::new();
        let text = bundle
            .format_pattern(pattern, Some(arguments), &mut problems)
            .into_owned();
        for problem in problems {
            tracing::warn!(tag = self.tag(), id, "a message was formatted with a fault: {problem}");
        }
        Some(text)
    }

    fn bundle(&self) -> FluentBundle<Arc<FluentResource>> {
        let tag = self.tag().parse().unwrap_or_default();
        let mut bundle = FluentBundle::new(vec![tag]);
        for resource in self.language().into_iter().flat_map(|language| &language.fluent) {
            // A later file replaces messages of an earlier one.
            bundle.add_resource_overriding(Arc::clone(resource));
        }
        bundle
    }
}

impl fmt::Debug for Locale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Locale").field(&self.tag()).finish()
    }
}
