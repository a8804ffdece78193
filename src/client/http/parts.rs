//! The parts of a request, which redirects change.

use http::Method;
use url::Url;

use crate::message::{Body, Headers};

/// A request as it is sent next.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) fields: Headers,
    pub(super) body: Body,
    /// Whether the content waits for the server's consent (RFC 9110 §10.1.1).
    pub(super) expects_consent: bool,
}
