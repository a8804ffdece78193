//! Templates that are read anew for each page, for development: minijinja in the place of askama.
//!
//! askama compiles templates into the program, so a change needs a build. With a folder of templates, [`Context::render_file`]
//! has minijinja render the file as it is now. The values are the fields of the page, through serde. The filters have
//! the names of [`filters`](super::filters) and read the same context.
//!
//! It reads files on the shard's thread, which delays the shard, so it belongs to development alone.

mod scope;
#[cfg(feature = "gettext")]
mod translation;

use core::fmt::{Display, Write};
use core::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::value::{Enumerator, Kwargs, Object, Rest, Serde};
use minijinja::{Environment, State, UndefinedBehavior, Value, path_loader};
use serde::{Serialize, Serializer};

use scope::{CONTEXT, MODULES, failure, with_context};

use super::fill::fill;
use super::linkify::Linkify;
use super::module::{Assets, Module};
use super::render::RenderError;
use crate::app::application::Application;
use crate::app::context::Context;
use crate::error::Result;

/// The folder of templates of an application that names none: askama's.
const FOLDER: &str = "templates";

/// The folder that templates are read from.
struct TemplateFolder(PathBuf);

impl Application {
    /// Has [`Context::render_file`] read templates from this folder, as they are at each request.
    ///
    /// For development: a file is read on the shard's thread. The flag `--autoreload-templates` does the same with the
    /// folder `templates` of the package that `cargo run` runs, or else of the current folder.
    pub fn reload_templates(self, folder: impl AsRef<Path>) -> Self {
        self.state(TemplateFolder(folder.as_ref().to_owned()))
    }
}

/// Renders a file of the folder; `None` if templates are not read anew.
pub(super) fn render(
    cx: &mut Context,
    file: &str,
    page: &impl Serialize,
    caller: &'static Location<'static>,
) -> Option<Result> {
    let folder = match cx.state::<TemplateFolder>() {
        Ok(folder) => folder.0.clone(),
        Err(_) if cx.shared.autoreloads_templates() => default_folder(),
        Err(_) => return None,
    };
    let rendered = cx.write_page(|cx, modules, writer| {
        let failed = |cause| RenderError {
            template: file.to_owned(),
            caller: Some(caller),
            line: 1,
            cause,
        };
        let environment = environment(&folder);
        let render = || environment.get_template(file)?.render(Serde(page));
        let text = CONTEXT.set(cx, || MODULES.set(modules, render));
        let text = text.map_err(|error| failed(error.into()))?;
        writer.write_str(&text).map_err(|error| failed(error.into()))
    });
    Some(rendered)
}

fn default_folder() -> PathBuf {
    // Set by `cargo run`.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    package.unwrap_or_default().join(FOLDER)
}

/// Makes an environment without templates in memory, so that each is read anew.
fn environment(folder: &Path) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_loader(path_loader(folder));
    // A misspelled variable is an error, as in a compiled template.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    add_filters(&mut environment);
    environment
}

/// Whether a serializer makes the values of a page.
pub(super) fn is_for_page<S: Serializer>() -> bool {
    typeid::of::<S::Ok>() == typeid::of::<Value>()
}

/// Returns a module as a value that keeps its file and its assets.
pub(super) fn module_value<M: Module + Serialize>(module: &M) -> Value {
    Value::from_object(ModuleValue {
        file: module.file(),
        assets: Assets::of(module),
        fields: Value::from(Serde(module)),
    })
}

/// A module among the values of a page. A template sees its fields.
#[derive(Debug)]
struct ModuleValue {
    file: &'static str,
    assets: Assets,
    fields: Value,
}

impl Object for ModuleValue {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let field = self.fields.get_item(key).ok()?;
        (!field.is_undefined()).then_some(field)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.fields.try_iter().map(Iterator::collect);
        Enumerator::Values(names.unwrap_or_default())
    }
}

/// Renders the file of a module, and has the page place its assets.
fn render_module(state: &State<'_, '_>, value: &Value) -> Result<Value, minijinja::Error> {
    let Some(module) = value.downcast_object_ref::<ModuleValue>() else {
        return Err(failure(
            "could not render a module: it came as its fields alone; serialize it with `views::serialize_module`",
        ));
    };
    if module.file.is_empty() {
        return Err(failure(
            "could not render a module: the path of its template is unknown; return it from `Module::file`",
        ));
    }
    MODULES.with(|modules| modules.add(&module.assets));
    let html = state.env().get_template(module.file)?.render(module.fields.clone())?;
    Ok(Value::from_safe_string(html))
}

/// Adds the filters of [`filters`](super::filters), with the same names and arguments.
///
/// An argument that askama takes as any text is a value here, because minijinja would refuse a number for a text.
fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("reverse_url", |name: &Value, parameters: Rest<Value>| {
        let parameters: Vec<&dyn Display> = parameters.iter().map(|value| value as &dyn Display).collect();
        with_context(|cx| cx.reverse_url(&name.to_string(), &parameters))
    });
    environment.add_filter("static_url", |path: &Value| {
        with_context(|cx| cx.static_url(&path.to_string()))
    });
    environment.add_filter("xsrf_form_html", |_: &Value| {
        with_context(|cx| cx.xsrf_form_html()).map(|html| Value::from_safe_string(html.0))
    });
    environment.add_filter("module", render_module);
    environment.add_filter("linkify", linkify);
    environment.add_filter("fill", |text: &Value, pairs: Rest<Value>| {
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
        Ok(fill(&text.to_string(), &values))
    });
    environment.add_filter("script_json", |value: &Value| {
        let Ok(json) = askama::filters::json(value);
        Value::from_safe_string(json.to_string())
    });
    // Those of askama that minijinja lacks, or has with another result.
    environment.add_filter("json", |value: &Value| {
        let Ok(json) = askama::filters::json(value);
        json.to_string()
    });
    environment.add_filter("urlencode", |text: &Value| {
        let Ok(encoded) = askama::filters::urlencode(text);
        encoded.0.to_string()
    });
    environment.add_filter("urlencode_strict", |text: &Value| {
        let Ok(encoded) = askama::filters::urlencode_strict(text);
        encoded.0.to_string()
    });
    #[cfg(feature = "gettext")]
    translation::add_filters(environment);
}

fn linkify(text: &Value, positional: Rest<Value>, options: Kwargs) -> Result<Value, minijinja::Error> {
    const NAMES: [&str; 3] = ["shorten", "rel", "require_protocol"];
    let [shorten, rel, require_protocol] = NAMES.map(|name| options.get::<Option<Value>>(name));
    let (mut shorten, mut rel, mut require_protocol) = (shorten?, rel?, require_protocol?);
    options.assert_all_used()?;
    for (place, value) in [&mut shorten, &mut rel, &mut require_protocol]
        .into_iter()
        .zip(positional.0)
    {
        *place = Some(value);
    }
    let is_true = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let rel = rel.map(|rel| rel.to_string()).unwrap_or_default();
    let settings = Linkify::new().shorten(is_true(shorten)).rel(&rel);
    let settings = settings.require_protocol(is_true(require_protocol));
    Ok(Value::from_safe_string(settings.html(&text.to_string())))
}
