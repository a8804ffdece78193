//! The nonce of a response: the random word by which a browser knows the page's own scripts (CSP level 3, §2.3.1).

use data_encoding::BASE64URL_NOPAD;

use crate::app::context::Context;
use crate::error::Result;

/// Random bytes of a nonce. 16: the 128 bits that CSP level 3 asks for.
const NONCE_BYTES: usize = 16;

/// The nonce of one response, kept in its context.
struct Nonce(String);

impl Context {
    /// Returns the nonce that the `Content-Security-Policy` of this response allows.
    ///
    /// A script or a style in a page carries it: `<script nonce="…">`. In a template, the filter
    /// `csp_nonce` gives it. `None` without
    /// [`SecurityHeaders`](crate::middleware::SecurityHeaders) whose policy has a nonce.
    #[must_use]
    pub fn csp_nonce(&self) -> Option<&str> {
        Some(&self.extension::<Nonce>()?.0)
    }
}

/// Returns the nonce of the response, which the first call draws.
///
/// # Errors
///
/// 500 if no server runs this application, or the kernel refuses random numbers.
pub(super) fn nonce(cx: &mut Context) -> Result<&str> {
    if cx.csp_nonce().is_none() {
        let mut bytes = [0; NONCE_BYTES];
        cx.shared.runtime()?.fill_random(&mut bytes)?;
        cx.insert_extension(Nonce(BASE64URL_NOPAD.encode(&bytes)));
    }
    Ok(cx.csp_nonce().unwrap_or_default())
}
