//! Arguments: the parameters of the query and the fields of a form, as one list (Tornado's `get_argument`).

use core::str::FromStr;

use super::head::parse;
use super::percent::pairs;
use crate::app::context::Context;
use crate::error::{Result, bad_request};

impl Context {
    /// Returns an argument: a field of the form, or else a parameter of the query, decoded and parsed.
    ///
    /// Of several values, the last one counts. Tornado's `get_argument` also strips blanks; this keeps them. The form may be
    /// `application/x-www-form-urlencoded` or `multipart/form-data`; content of other types is not read. A handler that reads many
    /// fields decodes the form once with [`form`](Self::form).
    ///
    /// # Errors
    ///
    /// 400, naming the argument, if it is missing, badly encoded or does not parse. Otherwise as
    /// [`query_param`](Self::query_param) and [`form`](Self::form).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn argument<T: FromStr>(&mut self, name: &str) -> Result<T> {
        let value = self.optional_argument(name).await?;
        value.ok_or_else(|| bad_request(format!("the argument `{name}` is missing")))
    }

    /// Returns an argument like [`argument`](Self::argument), or `None` where it is missing.
    ///
    /// # Errors
    ///
    /// As [`argument`](Self::argument).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn optional_argument<T: FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        let last = self.argument_texts(name).await?.pop();
        last.map(|value| parse("argument", name, &value)).transpose()
    }

    /// Returns every value of an argument: those of the query, then those of the form (Tornado's `get_arguments`).
    ///
    /// # Errors
    ///
    /// As [`argument`](Self::argument).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn arguments<T: FromStr>(&mut self, name: &str) -> Result<Vec<T>> {
        let texts = self.argument_texts(name).await?;
        texts.iter().map(|text| parse("argument", name, text)).collect()
    }

    async fn argument_texts(&mut self, name: &str) -> Result<Vec<String>> {
        let form = self.encoded_form().await?;
        let mut texts = Vec::new();
        self.each_query_param(name, |value| {
            texts.push(value.into_owned());
            Ok(())
        })?;
        let Some(form) = form else { return Ok(texts) };
        for pair in pairs(&form.pairs, form.count_max) {
            let pair = pair.map_err(|error| bad_request(format!("the form is malformed: {error}")))?;
            if pair.has_key(name) {
                let value = pair.value();
                let value = value
                    .map_err(|error| bad_request(format!("the field `{name}` of the form is malformed: {error}")))?;
                texts.push(value.into_owned());
            }
        }
        form.check_lengths(self.shared.limits().max_field_bytes)?;
        Ok(texts)
    }
}
