//! What answers a request: request handlers, functions, middleware.

pub(in crate::app) mod endpoint;
pub(in crate::app) mod function;
pub(in crate::app) mod https;
pub(in crate::app) mod middleware;
pub(in crate::app) mod request_handler;
pub(in crate::app) mod slashes;
pub(in crate::app) mod typed;
