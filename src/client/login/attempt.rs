//! An attempt to log in, from the redirect to the provider until the visitor comes back.
//!
//! The browser keeps it in an encrypted cookie for ten minutes. So a code that comes back belongs to this browser
//! (`state`, RFC 6749 §10.12) and to this attempt (`nonce`). An attacker who has seen the code cannot use it (PKCE, RFC
//! 7636).

use std::time::Duration;

use cookie::{Cookie, SameSite};
use data_encoding::BASE64URL_NOPAD;
use openidconnect::RedirectUrl;
use serde::{Deserialize, Serialize};

use crate::app::Context;
use crate::app::security::{is_equal_in_constant_time, local_path};
use crate::error::{HttpError, Result};

/// How long a visitor may take at the provider: ten minutes.
const MINUTES: u64 = 10;

/// The most bytes of the path to go to after the login; a longer one counts as none, so that the cookie fits.
const NEXT_BYTES_MAX: usize = 1024;

/// Random bytes of each secret. 32: as many as RFC 7636 §4.1 recommends.
const SECRET_BYTES: usize = 32;

/// An attempt to log in.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) state: String,
    pub(super) nonce: String,
    /// The code verifier of PKCE.
    pub(super) verifier: String,
    /// Where the visitor wants to go: a path of this host.
    pub(super) next: String,
}

/// A visitor that comes back from the provider.
pub(super) struct Returned {
    pub(super) attempt: Attempt,
    /// The URL that the visitor has come back to.
    pub(super) redirect: RedirectUrl,
    pub(super) code: String,
}

impl Attempt {
    /// Begins an attempt with new secrets.
    pub(super) fn new(cx: &Context) -> Result<Self> {
        let secret = || Ok::<_, crate::error::Error>(BASE64URL_NOPAD.encode(&cx.random::<SECRET_BYTES>()?));
        let next: Option<String> = cx.optional_query_param("next")?;
        let next = next.filter(|next| next.len() <= NEXT_BYTES_MAX);
        Ok(Self {
            state: secret()?,
            nonce: secret()?,
            verifier: secret()?,
            next: next.as_deref().and_then(local_path).unwrap_or("/").to_owned(),
        })
    }

    /// Sets the cookie of the attempt, which the browser sends to `path` alone.
    pub(super) fn keep(&self, cx: &Context, path: &str) -> Result {
        let text = serde_json::to_string(self)?;
        let age = cookie::time::Duration::minutes(i64::try_from(MINUTES)?);
        let cookie = Cookie::build((name_of(path), text))
            .path(path)
            .same_site(SameSite::Lax)
            .max_age(age);
        cx.cookies().encrypted().set(cookie.http_only(true))
    }

    /// Takes the attempt out of its cookie, if the query repeats its state.
    ///
    /// # Errors
    ///
    /// 400 if the browser has no attempt, an old one or another one.
    pub(super) fn take(cx: &Context, path: &str) -> Result<Self> {
        let age_max = Duration::from_secs(MINUTES * 60);
        let text = cx.cookies().encrypted().max_age(age_max).get(&name_of(path))?;
        cx.cookies()
            .remove(Cookie::build(name_of(path)).path(path.to_owned()))?;
        let attempt: Option<Self> = text.and_then(|text| serde_json::from_str(&text).ok());
        let state: Option<String> = cx.optional_query_param("state")?;
        match (attempt, state) {
            (Some(attempt), Some(state)) if is_equal_in_constant_time(&attempt.state, &state) => Ok(attempt),
            _ => Err(HttpError::new(400)
                .with_message("the login has expired, or another browser began it; begin it again")
                .into()),
        }
    }
}

/// The name of the cookie: each provider has one of its own, so a code of one never meets the attempt at another.
fn name_of(path: &str) -> String {
    let provider = path.rsplit('/').next().unwrap_or_default();
    format!("login-{provider}")
}
