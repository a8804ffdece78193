//! What a template can read while it renders: the context, and the modules of the page so far.
//!
//! askama hands a template's filters one value, a store of runtime values. [`PageValues`] is that store. It borrows the
//! context, so a filter reads whatever the context has, such as routes, languages or the user.

use core::any::Any;

use askama::Values;

use super::module::ModuleAssets;
use crate::app::context::Context;

/// The key of the context.
const CONTEXT: &str = "squall.context";

/// The key of the modules of the page.
const MODULES: &str = "squall.modules";

/// The runtime values of one rendering.
pub(super) struct PageValues<'p> {
    pub(super) cx: &'p Context,
    pub(super) modules: &'p ModuleAssets,
}

impl Values for PageValues<'_> {
    fn get_value<'a>(&'a self, key: &str) -> Option<&'a dyn Any> {
        match key {
            CONTEXT => Some(self.cx),
            MODULES => Some(self.modules),
            _ => None,
        }
    }
}

/// Returns the context of the request whose page is rendered, for filters of an application's own.
///
/// ```
/// mod filters {
///     use askama::Values;
///     pub use squall::views::filters::*;
///
///     /// Marks the link to the page that is shown: `{{ "/about"|current }}`.
///     #[askama::filter_fn]
///     pub fn current(path: &str, values: &dyn Values) -> askama::Result<&'static str> {
///         let is_shown = squall::views::context(values)?.path() == path;
///         Ok(if is_shown { "page" } else { "false" })
///     }
/// }
///
/// #[derive(askama::Template)]
/// #[template(ext = "html", source = "<a href=\"/about\" aria-current={{ \"/about\"|current }}>About</a>")]
/// struct Navigation;
/// ```
///
/// # Errors
///
/// The template is rendered without a context: by askama's own `render` in place of
/// [`Context::render`](crate::Context::render).
pub fn context(values: &dyn Values) -> askama::Result<&Context> {
    find(values, CONTEXT)
}

/// The modules of the page that is rendered.
pub(super) fn modules(values: &dyn Values) -> askama::Result<&ModuleAssets> {
    find(values, MODULES)
}

fn find<'v, T: Any>(values: &'v dyn Values, key: &str) -> askama::Result<&'v T> {
    askama::get_value(values, key).map_err(|_| {
        askama::Error::custom("could not read the context: the template renders without one; use `Context::render`")
    })
}
