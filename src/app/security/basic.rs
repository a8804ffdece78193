//! HTTP Basic authentication (RFC 7617).

use core::fmt;

use data_encoding::BASE64;

use super::authorization::challenge;
use super::constant_time::is_equal;
use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::error::{HttpError, Result};
use crate::message::{HeaderValue, StatusCode, header};

/// The user name and the password of a request with HTTP Basic.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicCredentials {
    /// The user name, which has no colon.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Middleware that asks for HTTP Basic credentials and answers 401 to wrong ones.
///
/// The password crosses the network with each request, so serve such routes over TLS only.
///
/// ```
/// use squall::prelude::*;
/// use squall::routing::get;
/// use squall::security::{Basic, BasicCredentials};
/// # use squall::testing::TestClient;
///
/// async fn check(_: &mut Context, credentials: &BasicCredentials) -> Result<bool> {
///     Ok(credentials.is("ada", "lovelace"))
/// }
///
/// async fn report(_: &mut Context) -> &'static str {
///     "all is well"
/// }
///
/// # fn application() -> Application {
/// let route = get(report).middleware(Basic::new("reports", check));
/// # Application::new().route("/", route)
/// # }
/// # let client = TestClient::new(application)?;
/// # assert_eq!(client.get("/").send()?.status(), 401);
/// # let answer = client.get("/").header("authorization", "Basic YWRhOmxvdmVsYWNl").send()?;
/// # assert_eq!(answer.text(), "all is well");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
#[must_use = "middleware does nothing until it is given to an application, a group or a route"]
pub struct Basic<F> {
    realm: String,
    check: F,
}

impl<F> Basic<F>
where
    F: AsyncFn(&mut Context, &BasicCredentials) -> Result<bool> + 'static,
{
    /// Makes the middleware from a realm, which the browser shows, and an async function that checks credentials.
    pub fn new(realm: &str, check: F) -> Self {
        Self {
            realm: realm.to_owned(),
            check,
        }
    }
}

impl<F> Middleware for Basic<F>
where
    F: AsyncFn(&mut Context, &BasicCredentials) -> Result<bool> + 'static,
{
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        if next.has_handler() {
            let is_right = match cx.basic_credentials() {
                Some(credentials) => (self.check)(&mut *cx, &credentials).await?,
                None => false,
            };
            if !is_right {
                let challenge = format!("{}, charset=\"UTF-8\"", challenge("Basic", &self.realm));
                let refusal = HttpError::new(StatusCode::UNAUTHORIZED);
                return Err(refusal
                    .with_header(header::WWW_AUTHENTICATE, HeaderValue::try_from(challenge)?)
                    .into());
            }
        }
        next.run(cx).await;
        Ok(())
    }
}

impl BasicCredentials {
    /// Returns whether these are the expected name and password, which are compared in constant time.
    #[must_use]
    pub fn is(&self, user: &str, password: &str) -> bool {
        // Both are compared, so that the time does not tell which one is wrong.
        is_equal(user.as_bytes(), self.user.as_bytes()) & is_equal(password.as_bytes(), self.password.as_bytes())
    }

    fn read(credentials: &str) -> Option<Self> {
        let decoded = String::from_utf8(BASE64.decode(credentials.as_bytes()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        // RFC 7617 §2.
        let has_controls = decoded.chars().any(char::is_control);
        (!has_controls).then(|| Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

impl Context {
    /// Returns the HTTP Basic credentials of the request; `None` if they are missing or malformed.
    #[must_use]
    pub fn basic_credentials(&self) -> Option<BasicCredentials> {
        BasicCredentials::read(self.credentials_of("Basic")?)
    }
}

impl fmt::Debug for BasicCredentials {
    /// Shows no password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BasicCredentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Basic<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Basic")
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(credentials: &str) -> Option<(String, String)> {
        let read = BasicCredentials::read(credentials)?;
        Some((read.user, read.password))
    }

    #[test]
    fn credentials_are_a_name_a_colon_and_a_password() {
        for (text, user, password) in [
            ("Aladdin:open sesame", "Aladdin", "open sesame"),
            ("test:123£", "test", "123£"),
            (":", "", ""),
            ("a:b:c", "a", "b:c"),
        ] {
            let expected = Some((user.to_owned(), password.to_owned()));
            assert_eq!(read(&BASE64.encode(text.as_bytes())), expected);
        }
        for text in ["ada", "", "a:\0", "a\n:b", "a:\u{85}"] {
            assert_eq!(read(&BASE64.encode(text.as_bytes())), None, "{text:?}");
        }
        for text in [
            "",
            "=",
            "YWRhOmxvdmVsYWNl=",
            "YWRhOmxvdmVsYWN",
            "YWRhOmxvdmVsYWNl ",
            "_-_-",
            "/w==",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn both_parts_must_be_right() {
        let credentials = BasicCredentials::read("YWRhOmxvdmVsYWNl").unwrap();
        assert!(credentials.is("ada", "lovelace"));
        assert!(!credentials.is("ada", "Lovelace"));
        assert!(!credentials.is("Ada", "lovelace"));
        assert!(!credentials.is("", ""));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}|[A-Za-z0-9+/]{0,40}={0,2}") {
            if let Some((user, password)) = read(&text) {
                prop_assert_eq!(BASE64.encode(format!("{user}:{password}").as_bytes()), text);
            }
        }
    }
}
