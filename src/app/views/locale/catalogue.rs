//! The translations of one language: from gettext, from CSV, or both.

use std::collections::HashMap;

use super::plural::PluralRule;

/// Translations by their source text.
type Messages<T> = HashMap<Box<str>, T>;

/// The plural forms of a translation; the first is the singular, or the only one.
pub(super) type Forms = Box<[Box<str>]>;

/// The translations of one language.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    rule: PluralRule,
    messages: Messages<Forms>,
    contexts: HashMap<Box<str>, Messages<Forms>>,
    table: Table,
}

/// The translations of CSV, by Tornado's three kinds.
#[derive(Debug, Default)]
struct Table {
    unknown: Messages<Box<str>>,
    singular: Messages<Box<str>>,
    plural: Messages<Box<str>>,
}

/// The third column of CSV.
#[cfg(feature = "locale")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The text has no count.
    Unknown,
    Singular,
    Plural,
}

/// A source text, with its plural and its context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) context: Option<&'a str>,
    pub(super) text: &'a str,
    /// The plural's source text, and the count.
    pub(super) plural: Option<(&'a str, u64)>,
}

impl Catalogue {
    /// Sets the rule of the plural forms.
    pub(super) fn set_rule(&mut self, rule: PluralRule) {
        self.rule = rule;
    }

    /// Adds a translation of gettext, unless its first form is empty, which stands for a missing one.
    pub(super) fn add_forms(&mut self, context: Option<&str>, text: &str, forms: Forms) {
        if forms.first().is_none_or(|first| first.is_empty()) {
            return;
        }
        let messages = match context {
            Some(context) => self.contexts.entry(context.into()).or_default(),
            None => &mut self.messages,
        };
        messages.insert(text.into(), forms);
    }

    /// Adds a translation of CSV.
    #[cfg(feature = "locale")]
    pub(super) fn add_row(&mut self, kind: Kind, text: &str, translation: &str) {
        let messages = match kind {
            Kind::Unknown => &mut self.table.unknown,
            Kind::Singular => &mut self.table.singular,
            Kind::Plural => &mut self.table.plural,
        };
        messages.insert(text.into(), translation.into());
    }

    /// The number of translations.
    pub(super) fn len(&self) -> usize {
        let Table {
            unknown,
            singular,
            plural,
        } = &self.table;
        let in_contexts: usize = self.contexts.values().map(HashMap::len).sum();
        self.messages.len() + in_contexts + unknown.len() + singular.len() + plural.len()
    }

    /// Finds a translation.
    pub(super) fn find(&self, source: Source<'_>) -> Option<&str> {
        self.find_forms(source).or_else(|| self.find_row(source))
    }

    fn find_forms(&self, source: Source<'_>) -> Option<&str> {
        let messages = match source.context {
            Some(context) => self.contexts.get(context)?,
            None => &self.messages,
        };
        let forms = messages.get(source.text)?;
        let form = source.plural.map_or(0, |(_, count)| self.rule.form(count));
        // A file with too few forms for its rule still has the first.
        let text = forms.get(form).or_else(|| forms.first())?;
        Some(text)
    }

    /// CSV knows no contexts; as in Tornado, its plural is another text than its singular.
    fn find_row(&self, source: Source<'_>) -> Option<&str> {
        let text = match source.plural {
            None => self.table.unknown.get(source.text),
            Some((_, 1)) => self.table.singular.get(source.text),
            Some((plural, _)) => self.table.plural.get(plural),
        };
        text.map(|text| &**text)
    }
}
