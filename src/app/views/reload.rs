//! Templates that are read anew for each page, for development: minijinja in the place of askama.
//!
//! askama compiles templates into the program, so a change needs a build. With a folder of templates, [`Context::render_file`]
//! has minijinja render the file as it is now. The values are the fields of the page, through serde. The filters have
//! the names of [`filters`](super::filters) and read the same context.
//!
//! It reads files on the shard's thread, which delays the shard, so it belongs to development alone.

use core::cell::RefCell;
use core::fmt::{Display, Write};
use core::panic::Location;
use std::borrow::Cow;
use std::path::Path;

use minijinja::value::{Kwargs, Rest, Serde};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, path_loader};
use scoped_tls::scoped_thread_local;
use serde::Serialize;

use super::fill::fill;
use super::linkify::Linkify;
use super::render::RenderError;
use crate::app::application::Application;
use crate::app::context::Context;
use crate::error::Result;

scoped_thread_local! {
    /// The context of the page that renders: minijinja's filters are `Send`, so they cannot borrow it.
    static CONTEXT: Context
}

/// The folder that templates are read from.
struct TemplateFolder(RefCell<Environment<'static>>);

impl Application {
    /// Has [`Context::render_file`] read templates from this folder, as they are at each request.
    ///
    /// For development: a file is read on the shard's thread.
    pub fn reload_templates(self, folder: impl AsRef<Path>) -> Self {
        let mut environment = Environment::new();
        environment.set_loader(path_loader(folder));
        // A misspelled variable is an error, as in a compiled template.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        add_filters(&mut environment);
        self.state(TemplateFolder(RefCell::new(environment)))
    }
}

/// Renders a file of the folder; `None` if the application has none.
pub(super) fn render(
    cx: &mut Context,
    file: &str,
    page: &impl Serialize,
    caller: &'static Location<'static>,
) -> Option<Result> {
    let folder = cx.state::<TemplateFolder>().ok()?;
    let rendered = cx.write_page(|cx, _, writer| {
        let mut environment = folder.0.borrow_mut();
        // Forgets the files that were read for earlier pages.
        environment.clear_templates();
        let text = CONTEXT.set(cx, || {
            environment
                .get_template(file)
                .and_then(|template| template.render(Serde(page)))
        });
        let failed = |cause| RenderError {
            template: file.to_owned(),
            caller: Some(caller),
            line: 1,
            cause,
        };
        let text = text.map_err(|error| failed(error.into()))?;
        writer.write_str(&text).map_err(|error| failed(error.into()))
    });
    Some(rendered)
}

/// Adds the filters of [`filters`](super::filters), with the same names and arguments.
fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("reverse_url", |name: &str, parameters: Rest<Value>| {
        let parameters: Vec<&dyn Display> = parameters.iter().map(|value| value as &dyn Display).collect();
        with_context(|cx| cx.reverse_url(name, &parameters))
    });
    environment.add_filter("static_url", |path: &str| with_context(|cx| cx.static_url(path)));
    environment.add_filter("xsrf_form_html", |_: &str| {
        with_context(|cx| cx.xsrf_form_html()).map(|html| Value::from_safe_string(html.0))
    });
    environment.add_filter("linkify", |text: &str, options: Kwargs| {
        let (shorten, rel) = (
            options.get::<Option<bool>>("shorten")?,
            options.get::<Option<&str>>("rel")?,
        );
        let require_protocol = options.get::<Option<bool>>("require_protocol")?;
        options.assert_all_used()?;
        let settings = Linkify::new()
            .shorten(shorten.unwrap_or_default())
            .rel(rel.unwrap_or_default());
        let html = settings
            .require_protocol(require_protocol.unwrap_or_default())
            .html(text);
        Ok::<_, minijinja::Error>(Value::from_safe_string(html))
    });
    environment.add_filter("script_json", |value: Value| {
        let Ok(json) = askama::filters::json(value);
        Value::from_safe_string(json.to_string())
    });
    environment.add_filter("fill", |text: &str, pairs: Rest<Value>| {
        let (pairs, rest) = pairs.as_chunks();
        if !rest.is_empty() {
            return Err(failure("could not fill a text: a name has no value; add one"));
        }
        let names: Vec<String> = pairs.iter().map(|[name, _]| name.to_string()).collect();
        let values: Vec<(&str, &dyn Display)> = names
            .iter()
            .zip(pairs)
            .map(|(name, [_, value])| (name.as_str(), value as &dyn Display))
            .collect();
        Ok(fill(text, &values))
    });
    environment.add_filter("urlencode_strict", |text: &str| {
        let Ok(encoded) = askama::filters::urlencode_strict(text);
        encoded.0.to_string()
    });
    environment.add_filter("module", |_: Value| {
        Err::<Value, _>(failure(
            "could not render a module: only its compiled template brings assets; use `Context::render`",
        ))
    });
    #[cfg(feature = "locale")]
    add_translations(environment);
}

#[cfg(feature = "locale")]
fn add_translations(environment: &mut Environment<'_>) {
    environment.add_filter("translate", |text: &str| {
        with_context(|cx| Ok(cx.locale()?.translate(text).to_owned()))
    });
    environment.add_filter("translate_plural", |singular: &str, plural: &str, count: u64| {
        with_context(|cx| {
            Ok(fill(
                cx.locale()?.translate_plural(singular, plural, count),
                &[("n", &count)],
            ))
        })
    });
    environment.add_filter("pgettext", |text: &str, context: &str| {
        with_context(|cx| Ok(cx.locale()?.pgettext(context, text).to_owned()))
    });
    environment.add_filter("message", |id: &str, pairs: Rest<String>| {
        let pairs = pairs.as_chunks().0.iter();
        let values: Vec<(&str, fluent_bundle::FluentValue<'_>)> = pairs
            .map(|[name, value]| (name.as_str(), fluent_bundle::FluentValue::try_number(value)))
            .collect();
        with_context(|cx| cx.locale()?.message(id, &values))
    });
    environment.add_filter("format_number", |number: i64| {
        with_context(|cx| cx.locale()?.format_number(number))
    });
}

/// Calls a function with the context of the page that renders.
fn with_context<T>(use_it: impl FnOnce(&Context) -> Result<T>) -> Result<T, minijinja::Error> {
    CONTEXT.with(use_it).map_err(|error| failure(error.to_string()))
}

fn failure(reason: impl Into<Cow<'static, str>>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, reason)
}
