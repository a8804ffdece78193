//! Encrypted cookies: values that the client can neither read nor change.

use core::fmt;
use std::time::Duration;

use cookie::Cookie;

use super::cookie_secret::CookieSecret;
use super::signed_cookies::{VALID, keep, no_secret};
use crate::app::request::cookies::Cookies;
use crate::error::Result;

/// The encrypted cookies of a request and of its response: see [`Cookies::encrypted`].
#[derive(Clone, Copy)]
#[must_use = "encrypted cookies are read with `get` and set with `set`"]
pub struct EncryptedCookies<'a> {
    cookies: Cookies<'a>,
    secret: Option<&'a CookieSecret>,
    max_age: Duration,
}

impl<'a> Cookies<'a> {
    /// Returns the encrypted cookies, which the client can neither read nor change.
    ///
    /// The key comes from [`Application::cookie_secret`](crate::Application::cookie_secret), with its versions. The cipher
    /// is XChaCha20-Poly1305; Tornado has no such cookies.
    pub fn encrypted(self) -> EncryptedCookies<'a> {
        EncryptedCookies {
            cookies: self,
            secret: self.cx.shared.state_ref(),
            max_age: VALID,
        }
    }
}

impl EncryptedCookies<'_> {
    /// Sets how old a value may be, 31 days by default.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Returns the value of an encrypted cookie; `None` if it is missing, forged, expired or other than UTF-8.
    ///
    /// # Errors
    ///
    /// 431 for too many cookies; 500 without a cookie secret.
    pub fn get(self, name: &str) -> Result<Option<String>> {
        let secret = self.secret.ok_or_else(no_secret)?;
        let Some(text) = self.cookies.get(name)? else {
            return Ok(None);
        };
        let read = secret.decrypt(name, &text, self.cookies.cx.wall()?, self.max_age);
        Ok(read.and_then(|read| String::from_utf8(read.value).ok()))
    }

    /// Encrypts and sets a cookie of the response.
    ///
    /// The browser keeps it for 30 days, unless the cookie has `Max-Age` or `Expires`. Otherwise it is set as by
    /// [`Cookies::set`].
    ///
    /// # Errors
    ///
    /// As [`Cookies::set`]; 500 without a cookie secret.
    pub fn set<'c>(self, cookie: impl Into<Cookie<'c>>) -> Result {
        let mut cookie = cookie.into();
        let cx = self.cookies.cx;
        let secret = self.secret.ok_or_else(no_secret)?;
        let value = secret.encrypt(cookie.name(), cookie.value().as_bytes(), cx.wall()?, cx.random()?)?;
        cookie.set_value(value);
        keep(&mut cookie);
        self.cookies.set(cookie)
    }
}

impl fmt::Debug for EncryptedCookies<'_> {
    /// Shows nothing of the cookies, because they hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EncryptedCookies")
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
