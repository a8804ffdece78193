//! What answers a request: request handlers, functions, middleware.

pub(in crate::app) mod endpoint;
pub(in crate::app) mod middleware;
pub(in crate::app) mod request_handler;
