//! Modules among the values of a page that is read anew: they keep their file and their assets.
//!
//! Why: serde passes a page's fields to minijinja as plain values, in which a module would be any other struct. So a page
//! names a function of this file for such a field, and the module crosses as an object. Every other serializer gets the
//! module's fields.

use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::module::Module;

/// Serializes a module for [`Context::render_file`](crate::Context::render_file), which reads its template anew.
///
/// ```
/// use askama::Template;
/// use serde::Serialize;
/// use squall::views::{Module, filters, serialize_module, serialize_modules};
///
/// #[derive(Template, Serialize)]
/// #[template(ext = "html", source = "<p class=\"note\">{{ text }}</p>")] // path = "note.html" in a project
/// struct Note {
///     text: String,
/// }
///
/// impl Module for Note {
///     fn file(&self) -> &'static str {
///         "note.html"
///     }
/// }
///
/// #[derive(Template, Serialize)]
/// #[template(ext = "html", source = "{{ first|module }}{% for note in others %}{{ note|module }}{% endfor %}")]
/// struct Notes {
///     #[serde(serialize_with = "serialize_module")]
///     first: Note,
///     #[serde(serialize_with = "serialize_modules")]
///     others: Vec<Note>,
/// }
/// ```
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize_module<M: Module + Serialize, S: Serializer>(module: &M, serializer: S) -> Result<S::Ok, S::Error> {
    #[cfg(feature = "reload")]
    if super::reload::is_for_page::<S>() {
        return super::reload::module_value(module).serialize(serializer);
    }
    module.serialize(serializer)
}

/// Serializes modules for [`Context::render_file`](crate::Context::render_file), each as [`serialize_module`] does.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize_modules<M: Module + Serialize, S: Serializer>(
    modules: &[M],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(modules.len()))?;
    for module in modules {
        sequence.serialize_element(&One(module))?;
    }
    sequence.end()
}

/// One module of a sequence.
struct One<'m, M>(&'m M);

impl<M: Module + Serialize> Serialize for One<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_module(self.0, serializer)
    }
}
