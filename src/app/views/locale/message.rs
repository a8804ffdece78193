//! Messages of Fluent: their files, and the lookup of a message with its values.

use std::borrow::Cow;
use std::sync::Arc;

use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use super::fluent::MessageBundle;
use super::handle::Locale;
use super::languages::Languages;
use crate::error::{Error, Result};

impl Languages {
    /// Adds messages in Fluent's format.
    ///
    /// # Errors
    ///
    /// The tag or the file is malformed, or the language has one of the messages already.
    pub fn add_fluent(&mut self, tag: &str, file: &str) -> Result {
        let resource = FluentResource::try_new(file.to_owned()).map_err(|(_, errors)| {
            let reason = errors.first().map_or_else(String::new, ToString::to_string);
            Error::new(format!("could not read Fluent messages for `{tag}`: {reason}"))
        })?;
        self.language(tag)?.fluent.0.push(Arc::new(resource));
        Ok(())
    }
}

impl Locale {
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
            .or_else(|| self.default_locale()?.find_message(id, &arguments));
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
        let bundle = self.region().messages.get_or_init(|| self.bundle());
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

    fn bundle(&self) -> MessageBundle {
        let tag = self.tag().parse().unwrap_or_default();
        let mut bundle = MessageBundle::new(vec![tag]);
        for resource in self.language().into_iter().flat_map(|language| &language.fluent.0) {
            // A later file replaces messages of an earlier one.
            bundle.add_resource_overriding(Arc::clone(resource));
        }
        bundle
    }
}
