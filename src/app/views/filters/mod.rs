//! Filters for templates: `use squall::views::filters;` beside the template, then `{{ "user"|reverse_url(id) }}`.
//!
//! askama finds a filter by its name in the module `filters` and makes its default value. It passes the arguments to
//! `with_0`, `with_1` and so on, and calls `execute`. An application adds filters of its own in a module that
//! re-exports these: see [`context`].
//!
//! | filter | in a template | gives |
//! |---|---|---|
//! | [`reverse_url`] | `{{ "user"\|reverse_url(id) }}` | the URL of a named route |
//! | [`static_url`] | `{{ "app.css"\|static_url }}` | the URL of a static file, with its version |
//! | [`xsrf_form_html`] | `{{ "_xsrf"\|xsrf_form_html }}` | the hidden input with the XSRF token |
//! | [`module`] | `{{ entry\|module }}` | a [`Module`] of the page |
//! | [`csp_nonce`] | `<script{{ ""\|csp_nonce }}>` | the attribute `nonce` that the page's policy asks for |
//! | [`linkify`] | `{{ text\|linkify }}` | the text with its URLs as links |
//! | [`script_json`] | `var user = {{ user\|script_json }};` | JSON for a `<script>` |
//! | [`fill`] | `{{ "Hello, {name}!"\|fill("name", name) }}` | the text with its named places filled |
//! | askama's own `urlencode_strict` | `href="/search?q={{ words\|urlencode_strict }}"` | a value for a query |

use core::fmt::Display;

use askama::Values;
use askama::filters::{Safe, ValidArgIdx, ValidFilterInvocation};
use serde::Serialize;

use crate::app::views::linkify::Linkify;
use crate::app::views::module::{Assets, Module};
use crate::app::views::page::{context, modules};

/// Declares a filter as a type, and how many arguments it may have.
macro_rules! filter {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* }, arguments: $($index:literal)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        #[expect(non_camel_case_types, reason = "a template calls the type as a filter")]
        #[must_use = "a filter does nothing until it is executed"]
        pub struct $name { $($field: $type),* }

        impl ValidFilterInvocation for $name {}

        $(impl ValidArgIdx<$index> for $name {})*
    };
}

/// Defines the methods that take a filter's arguments.
macro_rules! arguments {
    ($($name:ident)*) => {$(
        /// Adds the next argument.
        pub fn $name(mut self, value: impl Display) -> Self {
            self.values.push(value.to_string());
            self
        }
    )*};
}

#[cfg(feature = "locale")]
mod region;
#[cfg(feature = "gettext")]
mod translation;

#[cfg(feature = "locale")]
pub use region::{format_date, format_number, message};
#[cfg(feature = "gettext")]
pub use translation::{pgettext, translate, translate_plural};

filter! {
    /// Gives the URL of a named route, with a value for each of its parameters: `{{ "user"|reverse_url(id) }}`.
    ///
    /// See [`Context::reverse_url`](crate::Context::reverse_url) for its errors. At most four parameters.
    reverse_url { values: Vec<String> }, arguments: 0 1 2 3
}

impl reverse_url {
    arguments!(with_0 with_1 with_2 with_3);

    /// Gives the URL.
    ///
    /// # Errors
    ///
    /// As [`Context::reverse_url`](crate::Context::reverse_url).
    pub fn execute(self, name: impl Display, values: &dyn Values) -> askama::Result<String> {
        let parameters: Vec<&dyn Display> = self.values.iter().map(|value| value as &dyn Display).collect();
        let url = context(values)?.reverse_url(&name.to_string(), &parameters);
        url.map_err(askama::Error::custom)
    }
}

filter! {
    /// Gives the URL of a static file with the version of its content: `{{ "app.css"|static_url }}`.
    ///
    /// See [`Context::static_url`](crate::Context::static_url) for its errors.
    static_url {}, arguments:
}

impl static_url {
    /// Gives the URL.
    ///
    /// # Errors
    ///
    /// As [`Context::static_url`](crate::Context::static_url).
    pub fn execute(self, path: impl Display, values: &dyn Values) -> askama::Result<String> {
        let url = context(values)?.static_url(&path.to_string());
        url.map_err(askama::Error::custom)
    }
}

filter! {
    /// Gives the hidden input with the XSRF token, for each form: `{{ "_xsrf"|xsrf_form_html }}`.
    ///
    /// See [`Context::xsrf_form_html`](crate::Context::xsrf_form_html). The text before the filter is the name of the input,
    /// which is always `_xsrf`.
    xsrf_form_html {}, arguments:
}

impl xsrf_form_html {
    /// Gives the HTML.
    ///
    /// # Errors
    ///
    /// As [`Context::xsrf_form_html`](crate::Context::xsrf_form_html).
    pub fn execute(self, _: impl Display, values: &dyn Values) -> askama::Result<Safe<String>> {
        let html = context(values)?.xsrf_form_html();
        html.map(|html| Safe(html.0)).map_err(askama::Error::custom)
    }
}

filter! {
    /// Renders a [`Module`] where it stands, and has the page place its styles and scripts: `{{ entry|module }}`.
    module {}, arguments:
}

impl module {
    /// Collects the module's assets and gives the module, whose own template escapes what it shows.
    ///
    /// # Errors
    ///
    /// The page renders without a context.
    pub fn execute<M: Module>(self, module: M, values: &dyn Values) -> askama::Result<Safe<M>> {
        modules(values)?.add(&Assets::of(&module));
        Ok(Safe(module))
    }
}

filter! {
    /// Gives the attribute that lets an embedded script or style run: `<script{{ ""|csp_nonce }}>`.
    ///
    /// The attribute is ` nonce="…"` with the [nonce](crate::Context::csp_nonce) of the response, behind the text that the
    /// filter is called on. Without a policy that has a nonce, it is left out.
    csp_nonce {}, arguments:
}

impl csp_nonce {
    /// Gives the attribute.
    ///
    /// # Errors
    ///
    /// The page renders without a context.
    pub fn execute(self, before: impl Display, values: &dyn Values) -> askama::Result<Safe<String>> {
        let before = askama::filters::escape(before, askama::filters::Html)?.0.to_string();
        let nonce = context(values)?.csp_nonce().map(|nonce| format!(" nonce=\"{nonce}\""));
        Ok(Safe(before + &nonce.unwrap_or_default()))
    }
}

filter! {
    /// Turns the URLs of a text into links and escapes the rest: `{{ text|linkify(shorten = true) }}`.
    ///
    /// The arguments are `shorten`, `rel` and `require_protocol`, as in [`Linkify`].
    linkify { shorten: bool, rel: String, require_protocol: bool }, arguments: 0 1 2
}

impl linkify {
    /// Sets [`Linkify::shorten`].
    pub fn with_shorten(mut self, shorten: bool) -> Self {
        self.shorten = shorten;
        self
    }

    /// Sets [`Linkify::shorten`].
    pub fn with_0(self, shorten: bool) -> Self {
        self.with_shorten(shorten)
    }

    /// Sets [`Linkify::rel`].
    pub fn with_rel(mut self, rel: impl Display) -> Self {
        self.rel = rel.to_string();
        self
    }

    /// Sets [`Linkify::rel`].
    pub fn with_1(self, rel: impl Display) -> Self {
        self.with_rel(rel)
    }

    /// Sets [`Linkify::require_protocol`].
    pub fn with_require_protocol(mut self, require_protocol: bool) -> Self {
        self.require_protocol = require_protocol;
        self
    }

    /// Sets [`Linkify::require_protocol`].
    pub fn with_2(self, require_protocol: bool) -> Self {
        self.with_require_protocol(require_protocol)
    }

    /// Gives the HTML.
    ///
    /// # Errors
    ///
    /// It has none.
    pub fn execute(self, text: impl Display, _: &dyn Values) -> askama::Result<Safe<String>> {
        let settings = Linkify::new().shorten(self.shorten).rel(&self.rel);
        let settings = settings.require_protocol(self.require_protocol);
        Ok(Safe(settings.html(&text.to_string())))
    }
}

filter! {
    /// Gives a value as JSON that is safe in a `<script>`: `var user = {{ user|script_json }};`.
    ///
    /// `<`, `>`, `&` and `'` are escaped, so the text ends neither the script nor the page. It is not further escaped for
    /// HTML. In an attribute, use askama's `json` instead.
    script_json {}, arguments:
}

impl script_json {
    /// Gives the JSON.
    ///
    /// # Errors
    ///
    /// The value cannot be serialized.
    pub fn execute<T: Serialize>(self, value: T, _: &dyn Values) -> askama::Result<Safe<impl Display>> {
        Ok(Safe(askama::filters::json(value)?))
    }
}

filter! {
    /// Replaces the named places of a text: `{{ "Hello, {name}!"|fill("name", name) }}`.
    ///
    /// The arguments are at most four pairs of a name and a value, as in [`views::fill`](crate::views::fill).
    fill { values: Vec<String> }, arguments: 0 1 2 3 4 5 6 7
}

impl fill {
    arguments!(with_0 with_1 with_2 with_3 with_4 with_5 with_6 with_7);

    /// Gives the text.
    ///
    /// # Errors
    ///
    /// The last name has no value.
    pub fn execute(self, text: impl Display, _: &dyn Values) -> askama::Result<String> {
        let mut values: Vec<(&str, &dyn Display)> = Vec::new();
        for pair in self.values.chunks(2) {
            match pair {
                [name, value] => values.push((name, value)),
                _ => {
                    return Err(askama::Error::custom(
                        "could not fill a text: a name has no value; add one",
                    ));
                }
            }
        }
        Ok(crate::app::views::fill::fill(&text.to_string(), &values))
    }
}
