//! A locale: one language on one shard, with its translations.

use core::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::catalogue::Source;
use super::languages::{Language, Languages};
#[cfg(feature = "locale")]
use super::region::Region;

/// A language with its translations and formats (Tornado's `Locale`); a copy is a reference.
///
/// [`Context::locale`](crate::Context::locale) gives the one of a request.
#[derive(Clone)]
pub struct Locale(Rc<Inner>);

struct Inner {
    languages: Arc<Languages>,
    index: usize,
    /// The default language, which has the messages that this one lacks.
    #[cfg(feature = "locale")]
    default: Option<Locale>,
    #[cfg(feature = "locale")]
    region: Region,
}

impl Locale {
    /// Makes the locale of a language; `default` is that of the default language.
    pub(super) fn new(languages: &Arc<Languages>, index: usize, default: Option<Self>) -> Option<Self> {
        #[cfg(feature = "locale")]
        let region = Region::new(&languages.get(index)?.code);
        #[cfg(not(feature = "locale"))]
        let (_only_for_messages, _checked) = (default, languages.get(index)?);
        Some(Self(Rc::new(Inner {
            languages: Arc::clone(languages),
            index,
            #[cfg(feature = "locale")]
            default,
            #[cfg(feature = "locale")]
            region,
        })))
    }

    pub(super) fn language(&self) -> Option<&Language> {
        self.0.languages.get(self.0.index)
    }

    #[cfg(feature = "locale")]
    pub(super) fn default_locale(&self) -> Option<&Self> {
        self.0.default.as_ref()
    }

    /// What the locale has beside its translations.
    #[cfg(feature = "locale")]
    pub(super) fn region(&self) -> &Region {
        &self.0.region
    }

    /// Returns the tag of the language, such as `en` or `es-LA`.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.language().map_or("", |language| &language.code)
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

    fn find<'t>(&'t self, context: Option<&'t str>, text: &'t str, plural: Option<(&'t str, u64)>) -> &'t str {
        let source = Source { context, text, plural };
        let found = self.language().and_then(|language| language.catalogue.find(source));
        found.unwrap_or(match plural {
            Some((plural, count)) if count != 1 => plural,
            _ => text,
        })
    }
}

impl fmt::Debug for Locale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Locale").field(&self.tag()).finish()
    }
}
