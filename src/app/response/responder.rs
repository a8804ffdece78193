//! The return types of handler functions.
//!
//! A value appends itself to the response, after the content that the function has written. It changes only the
//! status and fields that it carries.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use crate::app::context::Context;
use crate::error::{Error, HttpError, IntoStatus, Result};
use crate::message::{Body, HeaderName, HeaderValue, Headers, MediaType, StatusCode};

/// A value that can become a response.
///
/// | value | response |
/// |---|---|
/// | `()` | as the function has written it |
/// | text (`&'static str`, `String`, `Cow<'static, str>`) | `text/plain; charset=utf-8` |
/// | bytes (`Vec<u8>`, `&'static [u8]`, `Bytes`), [`Body`] | `application/octet-stream` |
/// | [`Html`], [`Json`] | `text/html; charset=utf-8`, `application/json` |
/// | [`StatusCode`], `(StatusCode, T)` | that status, with the content of `T` |
/// | [`Redirect`], [`Response`] | status, fields and content of the value |
/// | `Result<T, E>` | `T`, or the error page of `E` |
/// | `Option<T>` | `T`, or 404 |
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a response",
    label = "a handler function returns a value that is `IntoResponse`, alone or in a `Result`",
    note = "return text, bytes, `Json(value)`, `Html(text)`, a `StatusCode`, a `Redirect`, a `Response`, or `()` after writing to the context"
)]
pub trait IntoResponse {
    /// Writes the value into the response.
    ///
    /// # Errors
    ///
    /// The value's own error, or 500 if the value cannot be sent. The error becomes the error page.
    fn into_response(self, cx: &mut Context) -> Result;
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
pub struct Redirect {
    status: StatusCode,
    location: Cow<'static, str>,
}

/// A response as a value: status, fields and body.
#[derive(Debug, Default)]
pub struct Response {
    status: StatusCode,
    headers: Headers,
    body: Body,
}

impl Redirect {
    /// Makes a 302 Found, as Tornado's `redirect`; in practice, clients repeat the request as a GET.
    #[must_use]
    pub fn to(location: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::FOUND, location)
    }

    /// Makes a 301 Moved Permanently.
    #[must_use]
    pub fn permanent(location: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::MOVED_PERMANENTLY, location)
    }

    /// Makes a 303 See Other: the client sends a GET to `location`, as after a submitted form.
    #[must_use]
    pub fn see_other(location: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::SEE_OTHER, location)
    }

    /// Makes a 307 Temporary Redirect: the client repeats the request with the same method and content.
    #[must_use]
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
    #[must_use]
    pub fn new(status: impl IntoStatus) -> Self {
        Self {
            status: status.into_status(),
            ..Self::default()
        }
    }

    /// Sets a field and replaces every line of that name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Sets the content.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the fields for changes.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }
}

impl IntoResponse for () {
    fn into_response(self, _: &mut Context) -> Result {
        Ok(())
    }
}

/// Implements [`IntoResponse`] for types that convert into [`Bytes`] without a copy.
macro_rules! whole_body {
    ($($type:ty => $media_type:ident, $into_bytes:expr;)*) => {$(
        impl IntoResponse for $type {
            fn into_response(self, cx: &mut Context) -> Result {
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

impl IntoResponse for Body {
    fn into_response(self, cx: &mut Context) -> Result {
        cx.write_body_as(self, MediaType::Bytes);
        Ok(())
    }
}

impl<T: Into<Bytes>> IntoResponse for Html<T> {
    fn into_response(self, cx: &mut Context) -> Result {
        cx.write_body_as(self.0.into().into(), MediaType::Html);
        Ok(())
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self, cx: &mut Context) -> Result {
        cx.write_json(&self.0)
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self, cx: &mut Context) -> Result {
        cx.set_status(self);
        Ok(())
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self, cx: &mut Context) -> Result {
        cx.set_status(self.0);
        self.1.into_response(cx)
    }
}

impl IntoResponse for Redirect {
    fn into_response(self, cx: &mut Context) -> Result {
        cx.redirect(&self.location)?;
        // After `redirect`, which sets 302.
        cx.set_status(self.status);
        Ok(())
    }
}

impl IntoResponse for Response {
    fn into_response(self, cx: &mut Context) -> Result {
        cx.set_status(self.status);
        // Clear all names before adding: a name with several lines would otherwise lose the earlier ones.
        for (name, _) in self.headers.iter() {
            cx.clear_header(name);
        }
        for (name, value) in self.headers.iter() {
            cx.add_header(name, value)?;
        }
        cx.write_body(self.body);
        Ok(())
    }
}

impl<T: IntoResponse, E: Into<Error>> IntoResponse for Result<T, E> {
    fn into_response(self, cx: &mut Context) -> Result {
        self.map_err(Into::into)?.into_response(cx)
    }
}

impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self, cx: &mut Context) -> Result {
        match self {
            Some(value) => value.into_response(cx),
            None => Err(HttpError::new(StatusCode::NOT_FOUND).into()),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self, _: &mut Context) -> Result {
        Err(self)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self, _: &mut Context) -> Result {
        Err(self.into())
    }
}
