//! What the middleware against forged requests is set to.

use cookie::Cookie;

/// The settings of [`Xsrf`](super::Xsrf).
#[derive(Debug, Clone)]
pub(in crate::app) struct XsrfSettings {
    /// The name and the attributes of the cookie.
    pub(super) cookie: Cookie<'static>,
    pub(super) trusted_origins: Vec<String>,
    pub(super) max_form_bytes: u64,
}

impl Default for XsrfSettings {
    fn default() -> Self {
        Self {
            // Scripts of the page read it, to send it in a field.
            cookie: Cookie::build("_xsrf").http_only(false).build(),
            trusted_origins: Vec::new(),
            // 1 MiB: as much content as a request may carry by default.
            max_form_bytes: 1024 * 1024,
        }
    }
}
