//! How a request finds its endpoint: hosts, patterns, routes.

pub(in crate::app) mod exact_paths;
pub(in crate::app) mod host;
pub(in crate::app) mod param_span;
pub(in crate::app) mod pattern;
pub(in crate::app) mod route_table;
pub(in crate::app) mod router;
pub(in crate::app) mod routes;
