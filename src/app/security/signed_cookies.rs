//! Signed cookies: values that the client can read and cannot change (Tornado's `set_signed_cookie`).

use core::fmt;
use std::time::Duration;

use cookie::Cookie;

use super::cookie_secret::CookieSecret;
use super::signed_value::Signed;
use crate::app::application::Application;
use crate::app::request::cookies::Cookies;
use crate::error::{Error, Result};

/// How long a browser keeps a signed cookie: 30 days, as in Tornado.
const KEPT: cookie::time::Duration = cookie::time::Duration::days(30);

/// How long a signed value is valid: 31 days, as in Tornado.
pub(super) const VALID: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// The signed cookies of a request and of its response: see [`Cookies::signed`].
#[derive(Clone, Copy)]
#[must_use = "signed cookies are read with `get` and set with `set`"]
pub struct SignedCookies<'a> {
    cookies: Cookies<'a>,
    secret: Option<&'a CookieSecret>,
    max_age: Duration,
}

impl Application {
    /// Sets the secret that signs cookies (Tornado's `cookie_secret`).
    ///
    /// Give one secret of at least 32 random bytes, or several versions as a [`CookieSecret`]. Every shard and every
    /// process of a site needs the same. With Tornado's secret, both read each other's cookies.
    pub fn cookie_secret(self, secret: impl Into<CookieSecret>) -> Self {
        let secret = secret.into();
        let problem = secret.problem();
        self.state(secret).with_problem(problem)
    }
}

impl<'a> Cookies<'a> {
    /// Returns the signed cookies, which the client can read and cannot change.
    ///
    /// [`Application::cookie_secret`] signs them. The format is version 2 of Tornado's, so both can serve one site.
    ///
    /// ```
    /// use squall::prelude::*;
    /// # use squall::testing::TestClient;
    ///
    /// async fn count(cx: &mut Context) -> Result<String> {
    ///     let visits = cx.cookies().signed().get("visits")?;
    ///     let visits = visits.and_then(|visits| visits.parse().ok()).unwrap_or(0) + 1;
    ///     cx.cookies().signed().set(("visits", visits.to_string()))?;
    ///     Ok(format!("visit {visits}"))
    /// }
    ///
    /// # let client = TestClient::new(|| Application::new().cookie_secret("7b2cVw4Hf0aYqT9dMZ3xLk8sPjRe6uNi").get("/", count))?;
    /// # let first = client.get("/").send()?;
    /// # assert_eq!(first.text(), "visit 1");
    /// # let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap();
    /// # assert_eq!(client.get("/").header("cookie", cookie).send()?.text(), "visit 2");
    /// # assert_eq!(client.get("/").cookie("visits", "7").send()?.text(), "visit 1");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn signed(self) -> SignedCookies<'a> {
        SignedCookies {
            cookies: self,
            secret: self.cx.shared.state_ref(),
            max_age: VALID,
        }
    }

    /// Returns the cookies that another secret signs, in place of the application's.
    pub fn signed_with(self, secret: &'a CookieSecret) -> SignedCookies<'a> {
        SignedCookies {
            secret: Some(secret),
            ..self.signed()
        }
    }
}

impl SignedCookies<'_> {
    /// Sets how old a value may be, 31 days by default.
    ///
    /// The age counts from when the value was signed, by the clock of this machine.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Returns the value of a signed cookie; `None` if it is missing, forged, expired or other than UTF-8.
    ///
    /// # Errors
    ///
    /// 431 for too many cookies; 500 without a cookie secret.
    pub fn get(self, name: &str) -> Result<Option<String>> {
        let value = self.get_bytes(name)?;
        Ok(value.and_then(|value| String::from_utf8(value).ok()))
    }

    /// Returns the value of a signed cookie as bytes, which cookies of Tornado may have.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_bytes(self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.read(name)?.map(|signed| signed.value))
    }

    /// Returns the version of the secret that signed a cookie (Tornado's `get_signed_cookie_key_version`).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn key_version(self, name: &str) -> Result<Option<u32>> {
        Ok(self.read(name)?.map(|signed| signed.key_version))
    }

    /// Signs and sets a cookie of the response (Tornado's `set_signed_cookie`).
    ///
    /// The browser keeps it for 30 days, unless the cookie has `Max-Age` or `Expires`. Otherwise it is set as by
    /// [`Cookies::set`].
    ///
    /// # Errors
    ///
    /// As [`Cookies::set`]; 500 without a cookie secret.
    pub fn set<'c>(self, cookie: impl Into<Cookie<'c>>) -> Result {
        let mut cookie = cookie.into();
        let value = cookie.value().as_bytes();
        cookie.set_value(self.secret()?.sign(cookie.name(), value, self.cookies.cx.wall()?)?);
        keep(&mut cookie);
        self.cookies.set(cookie)
    }

    fn read(self, name: &str) -> Result<Option<Signed>> {
        let secret = self.secret()?;
        let Some(text) = self.cookies.get(name)? else {
            return Ok(None);
        };
        Ok(secret.verify(name, &text, self.cookies.cx.wall()?, self.max_age))
    }

    fn secret(&self) -> Result<&CookieSecret> {
        self.secret.ok_or_else(no_secret)
    }
}

/// Has the browser keep a cookie for 30 days, unless it says for how long.
pub(super) fn keep(cookie: &mut Cookie<'_>) {
    if cookie.max_age().is_none() && cookie.expires().is_none() {
        cookie.set_max_age(KEPT);
    }
}

pub(super) fn no_secret() -> Error {
    Error::new("could not use a cookie: the application has no secret; set it with Application::cookie_secret")
}

impl fmt::Debug for SignedCookies<'_> {
    /// Shows nothing of the cookies, because they hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SignedCookies")
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
