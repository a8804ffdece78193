//! Bearer tokens (RFC 6750) and API keys.

use core::fmt;

use super::authorization::challenge;
use super::constant_time::is_equal;
use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::error::{HttpError, Result};
use crate::message::{HeaderValue, StatusCode, header};

/// Middleware that asks for a bearer token and answers 401 to a wrong one.
///
/// ```
/// use squall::prelude::*;
/// use squall::routing::get;
/// use squall::security::{Bearer, is_equal_in_constant_time};
///
/// async fn check(_: &mut Context, token: &str) -> Result<bool> {
///     Ok(is_equal_in_constant_time("open-sesame", token))
/// }
///
/// let route = get(async |_: &mut Context| "ok").middleware(Bearer::new("api", check));
/// ```
#[derive(Clone)]
#[must_use = "middleware does nothing until it is given to an application, a group or a route"]
pub struct Bearer<F> {
    realm: String,
    check: F,
}

/// Middleware that asks for an API key and answers 401 to an unknown one.
///
/// A key is sent as a bearer token or in the field `X-Api-Key`. It is compared with every known key in constant time. A
/// handler reads the name of the key with [`Context::api_key_name`].
///
/// ```
/// use squall::prelude::*;
/// use squall::routing::get;
/// use squall::security::ApiKeys;
/// # use squall::testing::TestClient;
///
/// async fn who(cx: &mut Context) -> String {
///     cx.api_key_name().unwrap_or_default().to_owned()
/// }
///
/// # fn application() -> Application {
/// let keys = ApiKeys::new().key("billing", "GTUkqP6Y1vYbq7fS").key("search", "n0dcZ5WqK3hXw8Lr");
/// # Application::new().route("/", get(who).middleware(keys))
/// # }
/// # let client = TestClient::new(application)?;
/// # assert_eq!(client.get("/").header("x-api-key", "n0dcZ5WqK3hXw8Lr").send()?.text(), "search");
/// # assert_eq!(client.get("/").header("authorization", "Bearer GTUkqP6Y1vYbq7fS").send()?.text(), "billing");
/// # assert_eq!(client.get("/").header("x-api-key", "n0dcZ5WqK3hXw8L").send()?.status(), 401);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "middleware does nothing until it is given to an application, a group or a route"]
pub struct ApiKeys {
    /// The names and the keys.
    keys: Vec<(String, String)>,
}

/// The name of a request's API key.
struct ApiKeyName(String);

impl<F> Bearer<F>
where
    F: AsyncFn(&mut Context, &str) -> Result<bool> + 'static,
{
    /// Makes the middleware from a realm and an async function that checks tokens.
    pub fn new(realm: &str, check: F) -> Self {
        Self {
            realm: realm.to_owned(),
            check,
        }
    }
}

impl<F> Middleware for Bearer<F>
where
    F: AsyncFn(&mut Context, &str) -> Result<bool> + 'static,
{
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        if next.has_handler() {
            let token = cx.bearer_token().map(str::to_owned);
            let is_right = match &token {
                Some(token) => (self.check)(&mut *cx, token).await?,
                None => false,
            };
            if !is_right {
                return Err(refusal(&self.realm, token.is_some())?.into());
            }
        }
        next.run(cx).await;
        Ok(())
    }
}

impl ApiKeys {
    /// Makes middleware without any key, which refuses every request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key with the name of its owner; an empty key is never right.
    pub fn key(mut self, name: &str, key: &str) -> Self {
        if !key.is_empty() {
            self.keys.push((name.to_owned(), key.to_owned()));
        }
        self
    }

    /// The name of a key. Every known key is compared, so that the time does not tell which one was close.
    fn name_of(&self, sent: &str) -> Option<&str> {
        let is_equal = |known: &str| is_equal(known.as_bytes(), sent.as_bytes());
        let names = self.keys.iter().map(|(name, known)| is_equal(known).then_some(&**name));
        names.fold(None, Option::or)
    }
}

impl Middleware for ApiKeys {
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        if next.has_handler() {
            let sent = cx.header("x-api-key").or_else(|| cx.bearer_token());
            let name = sent.and_then(|sent| self.name_of(sent)).map(str::to_owned);
            let Some(name) = name else {
                return Err(refusal("api", sent.is_some())?.into());
            };
            cx.insert_extension(ApiKeyName(name));
        }
        next.run(cx).await;
        Ok(())
    }
}

impl Context {
    /// Returns the bearer token of the request; `None` if it is missing or malformed (RFC 6750 §2.1).
    #[must_use]
    pub fn bearer_token(&self) -> Option<&str> {
        let token = self.credentials_of("Bearer")?;
        let is_token_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        let body = token.trim_end_matches('=');
        (!body.is_empty() && body.bytes().all(is_token_byte)).then_some(token)
    }

    /// Returns the name of the API key that [`ApiKeys`] has found.
    #[must_use]
    pub fn api_key_name(&self) -> Option<&str> {
        self.extension().map(|ApiKeyName(name)| &**name)
    }
}

/// Returns whether two secrets are equal, in a time that tells nothing of where they differ.
#[must_use]
pub fn is_equal_in_constant_time(expected: &str, sent: &str) -> bool {
    is_equal(expected.as_bytes(), sent.as_bytes())
}

/// A 401; a token that was sent and is wrong has a reason of its own (RFC 6750 §3.1).
fn refusal(realm: &str, was_sent: bool) -> Result<HttpError> {
    let reason = if was_sent { ", error=\"invalid_token\"" } else { "" };
    let challenge = format!("{}{reason}", challenge("Bearer", realm));
    let refusal = HttpError::new(StatusCode::UNAUTHORIZED);
    Ok(refusal.with_header(header::WWW_AUTHENTICATE, HeaderValue::try_from(challenge)?))
}

impl<F> fmt::Debug for Bearer<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bearer")
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ApiKeys {
    /// Shows the names and no key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.keys.iter().map(|(name, _)| name);
        formatter.debug_list().entries(names).finish()
    }
}
