//! The languages of an application: read once before the server starts, and shared by all shards.

use core::fmt;

use super::catalogue::Catalogue;
#[cfg(feature = "locale")]
use super::csv;
#[cfg(feature = "locale")]
use super::fluent::FluentFiles;
use super::problem::Problem;
use super::{accept, mo, po, tag};
use crate::error::{Error, Result};

/// The languages of an application and their translations.
///
/// The first language is the default, and that of the texts in the source. Reading stops at the first mistake.
///
/// ```
/// use squall::views::locale::Languages;
///
/// let mut languages = Languages::new("en")?;
/// languages.add_po("de", "msgid \"Hello\"\nmsgstr \"Hallo\"\n")?;
/// languages.add_po("es-LA", "msgid \"Hello\"\nmsgstr \"Hola\"\n")?;
/// assert_eq!(languages.tags().collect::<Vec<_>>(), ["en", "de", "es-LA"]);
/// assert_eq!(languages.best_for(&["fr, de-AT;q=0.8, en;q=0.5"]), "de");
/// # Ok::<(), squall::Error>(())
/// ```
#[derive(Debug)]
pub struct Languages {
    languages: Vec<Language>,
}

/// One language.
pub(super) struct Language {
    /// The tag, such as `es-LA`.
    pub(super) code: String,
    pub(super) catalogue: Catalogue,
    #[cfg(feature = "locale")]
    pub(super) fluent: FluentFiles,
}

impl Languages {
    /// Makes languages with the default one, a BCP 47 tag such as `en` or `pt-BR`; `_` stands for `-`.
    ///
    /// # Errors
    ///
    /// The tag is malformed.
    pub fn new(default: &str) -> Result<Self> {
        let mut languages = Self { languages: Vec::new() };
        languages.language(default)?;
        Ok(languages)
    }

    /// Adds a language without translations, whose readers see the texts of the source.
    ///
    /// # Errors
    ///
    /// The tag is malformed.
    pub fn add(&mut self, tag: &str) -> Result {
        self.language(tag).map(drop)
    }

    /// Adds translations in gettext's text format.
    ///
    /// Entries marked `fuzzy` and empty translations are left out.
    ///
    /// # Errors
    ///
    /// The tag or the file is malformed, the file is not UTF-8, or its plural forms are invalid.
    pub fn add_po(&mut self, tag: &str, file: &str) -> Result {
        self.read(tag, "PO", |catalogue| po::read(file, catalogue))
    }

    /// Adds translations in gettext's binary format.
    ///
    /// # Errors
    ///
    /// As [`add_po`](Self::add_po).
    pub fn add_mo(&mut self, tag: &str, file: &[u8]) -> Result {
        self.read(tag, "MO", |catalogue| mo::read(file, catalogue))
    }

    /// Adds translations in Tornado's CSV: source, translation, and `singular`, `plural` or nothing.
    ///
    /// # Errors
    ///
    /// The tag or the file is malformed, or the file is neither UTF-8 nor UTF-16 with a byte order mark.
    #[cfg(feature = "locale")]
    pub fn add_csv(&mut self, tag: &str, file: &[u8]) -> Result {
        self.read(tag, "CSV", |catalogue| csv::read(file, catalogue))
    }

    /// Returns the tags of the languages, the default first.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(|language| language.code.as_str())
    }

    /// Returns the tag that fits the lines of an `Accept-Language` field best; the default if none fits.
    ///
    /// A range matches the language that is equal to it, or to it without its last subtags (RFC 4647 §3.4): `de-AT`
    /// matches `de`. At most 32 ranges count.
    #[must_use]
    pub fn best_for(&self, lines: &[&str]) -> &str {
        let best = self.best(lines.iter().map(|line| line.as_bytes()));
        self.get(best).map_or("", |language| language.code.as_str())
    }

    /// The index of the language that fits best; the default's if none fits.
    pub(super) fn best<'h>(&self, lines: impl Iterator<Item = &'h [u8]>) -> usize {
        accept::best(lines, &self.codes()).unwrap_or_default()
    }

    /// The index of the language that a code names.
    pub(super) fn lookup(&self, code: &str) -> Option<usize> {
        accept::lookup(code, &self.codes())
    }

    pub(super) fn get(&self, index: usize) -> Option<&Language> {
        self.languages.get(index)
    }

    pub(super) fn count(&self) -> usize {
        self.languages.len()
    }

    fn codes(&self) -> Vec<&str> {
        self.tags().collect()
    }

    /// The language of a tag, which is added if it is new.
    pub(super) fn language(&mut self, tag: &str) -> Result<&mut Language> {
        let code = tag::canonical(tag).ok_or_else(|| {
            Error::new(format!(
                "could not read the language `{tag}`: write a tag such as `pt-BR`"
            ))
        })?;
        let known = self.languages.iter().position(|language| language.code == code);
        let index = known.unwrap_or_else(|| {
            self.languages.push(Language {
                code,
                catalogue: Catalogue::default(),
                #[cfg(feature = "locale")]
                fluent: FluentFiles::default(),
            });
            self.languages.len() - 1
        });
        self.languages
            .get_mut(index)
            .ok_or_else(|| Error::new("a language that was just added is missing"))
    }

    fn read(&mut self, tag: &str, format: &str, read: impl FnOnce(&mut Catalogue) -> Result<(), Problem>) -> Result {
        read(&mut self.language(tag)?.catalogue)
            .map_err(|problem| Error::new(format!("could not read {format} translations for `{tag}`: {problem}")))
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Language")
            .field("tag", &self.code)
            .field("translations", &self.catalogue.len())
            .finish_non_exhaustive()
    }
}
