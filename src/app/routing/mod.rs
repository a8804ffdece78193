//! How a request finds its endpoint: hosts, patterns, routes.

pub(in crate::app) mod exact_paths;
pub(in crate::app) mod host;
pub(in crate::app) mod pattern;
pub(in crate::app) mod router;
pub(in crate::app) mod routes;
