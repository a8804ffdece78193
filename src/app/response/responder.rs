//! The return types of handler functions.
//!
//! A value appends itself to the response, after the content that the function has written. It changes only the
//! status and fields that it carries.

use core::fmt::Display;
use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use super::write::convert;
use crate::app::context::Context;
use crate::error::{Error, HttpError, IntoStatus, Result};
use crate::message::{Body, HeaderName, HeaderValue, Headers, MediaType, StatusCode};

/// A value that can be returned from a handler function: it writes itself into the response.
///
/// | value | response |
/// |---|---|
/// | `()` | as the function has written it |
/// | text (`&'static str`, `String`, `Cow<'static, str>`) | `text/plain; charset=utf-8` |
/// | bytes (`Vec<u8>`, `&'static [u8]`, `Bytes`), [`Body`] | `application/octet-stream` |
/// | [`Html`], [`Json`] | `text/html; charset=utf-8`, `application/json` |
/// | a template of askama, as [`Render`](crate::views::Render) | `text/html; charset=utf-8` |
/// | [`StatusCode`], `(StatusCode, T)` | that status, with the content of `T` |
/// | `(headers, T)`, `(StatusCode, headers, T)` | the response of `T`, with these fields and this status |
/// | [`Redirect`], [`Response`] | status, fields and content of the value |
/// | `Result<T, E>` | `T`, or the error page of `E` |
/// | `Option<T>` | `T`, or 404 |
///
/// `headers` is an array or a `Vec` of names and values. They replace the fields of these names that `T` sets. A name
/// given several times makes several lines.
///
/// ```
/// use squall::prelude::*;
///
/// async fn report(_: &mut Context) -> impl Responder + use<> {
///     (StatusCode::CREATED, [("content-type", "text/csv"), ("x-rows", "1")], "a,b\n")
/// }
///
/// let application = Application::new().post("/reports", report);
/// ```
///
/// `use<>` tells the compiler that the value does not borrow the context. A function without the context needs none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a handler",
    label = "a handler function returns a value that implements `Responder`, alone or in a `Result`",
    note = "return text, bytes, `Json(value)`, `Html(text)`, a `StatusCode`, a `Redirect`, a `Response`, or `()` after writing to the context",
    note = "return a template of askama as `Render(template)`, from `squall::views`",
    note = "tuples add to it: `(StatusCode, value)`, `(headers, value)`, `(StatusCode, headers, value)`"
)]
pub trait Responder {
    /// Writes the value into the response.
    ///
    /// # Errors
    ///
    /// The value's own error, or 500 if the value cannot be sent. The error becomes the error page.
    fn respond(self, cx: &mut Context) -> Result;
}

/// A value as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

/// Text as an HTML page.
///
/// The text is sent unchanged: escape every part that comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Html<T>(pub T);

/// A redirection (RFC 9110 §15.4).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a redirection is sent only if the handler returns it"]
pub struct Redirect {
    status: StatusCode,
    location: Cow<'static, str>,
}

/// A response as a value: status, fields and body.
#[derive(Debug, Default)]
#[must_use = "a response is sent only if the handler returns it"]
pub struct Response {
    status: StatusCode,
    headers: Headers,
    body: Body,
}

impl Redirect {
    /// Makes a 302 Found, as Tornado's `redirect`; in practice, clients repeat the request as a GET.
    pub fn found(location: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::FOUND, location)
    }

    /// Makes a 301 Moved Permanently, as Tornado's `redirect(permanent=True)`; it differs from a 308 in that clients may
    /// repeat a POST as a GET.
    pub fn moved(location: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::MOVED_PERMANENTLY, location)
    }

    /// Makes a 308 Permanent Redirect: the client repeats the request with the same method and content, and may store
    /// the new location.
    pub fn permanent(location: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::PERMANENT_REDIRECT, location)
    }

    /// Makes a 303 See Other: the client sends a GET to `location`, as after a submitted form.
    pub fn see_other(location: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::SEE_OTHER, location)
    }

    /// Makes a 307 Temporary Redirect: the client repeats the request with the same method and content.
    pub fn temporary(location: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::TEMPORARY_REDIRECT, location)
    }

    fn with_status(status: StatusCode, location: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            location: location.into(),
        }
    }
}

impl Response {
    /// Makes a response without fields and without content.
    pub fn new(status: impl IntoStatus) -> Self {
        Self {
            status: status.into_status(),
            ..Self::default()
        }
    }

    /// Sets a field and replaces every line of that name.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Sets the content.
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the fields for changes.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }
}

impl Responder for () {
    fn respond(self, _: &mut Context) -> Result {
        Ok(())
    }
}

/// Implements [`Responder`] for types that convert into [`Bytes`] without a copy.
macro_rules! whole_body {
    ($($type:ty => $media_type:ident, $into_bytes:expr;)*) => {$(
        impl Responder for $type {
            fn respond(self, cx: &mut Context) -> Result {
                let into_bytes: fn(Self) -> Bytes = $into_bytes;
                cx.write_body_as(into_bytes(self).into(), MediaType::$media_type);
                Ok(())
            }
        }
    )*};
}

whole_body! {
    &'static str => Text, |text| Bytes::from_static(text.as_bytes());
    String => Text, Bytes::from;
    Cow<'static, str> => Text, |text| match text {
        Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    };
    &'static [u8] => Bytes, Bytes::from_static;
    Vec<u8> => Bytes, Bytes::from;
    Bytes => Bytes, |bytes| bytes;
}

impl Responder for Body {
    fn respond(self, cx: &mut Context) -> Result {
        cx.write_body_as(self, MediaType::Bytes);
        Ok(())
    }
}

impl<T: Into<Bytes>> Responder for Html<T> {
    fn respond(self, cx: &mut Context) -> Result {
        cx.write_body_as(self.0.into().into(), MediaType::Html);
        Ok(())
    }
}

impl<T: Serialize> Responder for Json<T> {
    fn respond(self, cx: &mut Context) -> Result {
        cx.write_json(&self.0)
    }
}

impl Responder for StatusCode {
    fn respond(self, cx: &mut Context) -> Result {
        cx.set_status(self);
        Ok(())
    }
}

impl<T: Responder> Responder for (StatusCode, T) {
    fn respond(self, cx: &mut Context) -> Result {
        let (status, value) = self;
        value.respond(cx)?;
        // After the value, so that the tuple's status replaces one of the value.
        cx.set_status(status);
        Ok(())
    }
}

impl<N, V, const COUNT: usize, T: Responder> Responder for ([(N, V); COUNT], T)
where
    N: TryInto<HeaderName, Error: Display>,
    V: TryInto<HeaderValue, Error: Display>,
{
    fn respond(self, cx: &mut Context) -> Result {
        let (headers, value) = self;
        value.respond(cx)?;
        set_headers(headers, cx)
    }
}

impl<N, V, T: Responder> Responder for (Vec<(N, V)>, T)
where
    N: TryInto<HeaderName, Error: Display>,
    V: TryInto<HeaderValue, Error: Display>,
{
    fn respond(self, cx: &mut Context) -> Result {
        let (headers, value) = self;
        value.respond(cx)?;
        set_headers(headers, cx)
    }
}

impl<H, T> Responder for (StatusCode, H, T)
where
    (H, T): Responder,
{
    fn respond(self, cx: &mut Context) -> Result {
        let (status, headers, value) = self;
        (status, (headers, value)).respond(cx)
    }
}

/// Sets the fields of a tuple, after those that its value has set.
fn set_headers<N, V>(fields: impl IntoIterator<Item = (N, V)>, cx: &mut Context) -> Result
where
    N: TryInto<HeaderName, Error: Display>,
    V: TryInto<HeaderValue, Error: Display>,
{
    let mut headers = Headers::new();
    for (name, value) in fields {
        let (name, value) = convert(name, value)?;
        headers.add(name, value);
    }
    replace_headers(&headers, cx)
}

/// Replaces the fields of these names.
fn replace_headers(headers: &Headers, cx: &mut Context) -> Result {
    // Clear all names before adding: a name with several lines would otherwise lose the earlier ones.
    for (name, _) in headers.iter() {
        cx.clear_header(name);
    }
    headers.iter().try_for_each(|(name, value)| cx.add_header(name, value))
}

impl Responder for Redirect {
    fn respond(self, cx: &mut Context) -> Result {
        cx.redirect(&self.location)?;
        // After `redirect`, which sets 302.
        cx.set_status(self.status);
        Ok(())
    }
}

impl Responder for Response {
    fn respond(self, cx: &mut Context) -> Result {
        cx.set_status(self.status);
        replace_headers(&self.headers, cx)?;
        cx.write_body(self.body);
        Ok(())
    }
}

impl<T: Responder, E: Into<Error>> Responder for Result<T, E> {
    fn respond(self, cx: &mut Context) -> Result {
        self.map_err(Into::into)?.respond(cx)
    }
}

impl<T: Responder> Responder for Option<T> {
    fn respond(self, cx: &mut Context) -> Result {
        match self {
            Some(value) => value.respond(cx),
            None => Err(HttpError::new(StatusCode::NOT_FOUND).into()),
        }
    }
}

impl Responder for Error {
    fn respond(self, _: &mut Context) -> Result {
        Err(self)
    }
}

impl Responder for HttpError {
    fn respond(self, _: &mut Context) -> Result {
        Err(self.into())
    }
}
