//! What the filters of a page that is read anew can reach while it renders, and how they fail.

use std::borrow::Cow;

use minijinja::ErrorKind;
use scoped_tls::scoped_thread_local;

use crate::app::context::Context;
use crate::app::views::module::ModuleAssets;
use crate::error::Result;

scoped_thread_local! {
    /// The context of the page that renders: minijinja's filters are `Send`, so they cannot borrow it.
    pub(super) static CONTEXT: Context
}

scoped_thread_local! {
    /// The modules of the page that renders.
    pub(super) static MODULES: ModuleAssets
}

/// Calls a function with the context of the page that renders.
pub(super) fn with_context<T>(use_it: impl FnOnce(&Context) -> Result<T>) -> Result<T, minijinja::Error> {
    CONTEXT.with(use_it).map_err(|error| failure(error.to_string()))
}

pub(super) fn failure(reason: impl Into<Cow<'static, str>>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, reason)
}
