//! The boxed future that hides the type of a handler or middleware.

use core::pin::Pin;

use crate::error::Result;

/// A boxed future of a handler or middleware, which stays on its shard.
///
/// Creating one runs none of the application's code. That code starts at the first poll, where panics are caught.
pub(in crate::app) type LocalBoxFuture<'a, T = Result> = Pin<Box<dyn Future<Output = T> + 'a>>;
