//! Errors as values: a handler returns an [`Error`]; an [`HttpError`] also carries a status.
//!
//! `?` turns any `std::error::Error` into an [`Error`]. It answers 500, and the client sees nothing of it. The client
//! sees only a status, a message and fields that the application chose through [`HttpError`] or [`ResultExt`]. The
//! cause goes to the log.

use core::fmt;
use std::borrow::Cow;

use crate::memory::OutOfMemory;
use crate::message::{BoxError, HeaderName, HeaderValue, Headers, StatusCode, header};

/// The result of a handler, of middleware and of most calls on a [`Context`](crate::Context).
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// An error that becomes a response, or that ends `main`.
///
/// It is one pointer wide and `Send`, so work on other threads (`spawn_blocking`) can return it. Like
/// `anyhow::Error`, it is not a `std::error::Error` itself, because `?` converts every such error into it. `Debug`
/// prints the chain of causes as readable text: that is what `fn main() -> Result` shows.
pub struct Error {
    inner: Box<Inner>,
}

/// The cause of an error.
type Cause = Box<dyn core::error::Error + Send + Sync>;

struct Inner {
    kind: Kind,
    http: HttpError,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The application chose the status.
    Chosen,
    /// No status was chosen: 500, with nothing shown to the client.
    Unexpected,
    /// A caught panic.
    Panic,
    /// The peer is gone, so no response can be sent.
    PeerGone,
    /// No error: [`Finish`].
    Finish,
}

impl Error {
    /// Makes an error that answers 500 and whose text goes to the log only.
    ///
    /// A boxed [`HttpError`] or a boxed `Error` keeps its status, message and fields.
    #[must_use]
    pub fn new(cause: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        // `Inner` is what an `Error` becomes in a box, so this undoes that conversion.
        let cause = match cause.into().downcast::<Inner>() {
            Ok(inner) => return Self { inner },
            Err(cause) => cause,
        };
        let cause = match cause.downcast::<HttpError>() {
            Ok(http) => return Self::of(Kind::Chosen, *http),
            Err(cause) => cause,
        };
        let kind = if cause.is::<Finish>() {
            Kind::Finish
        } else {
            Kind::Unexpected
        };
        Self::of(kind, HttpError::new(500).with_source(cause))
    }

    /// Makes the error of a caught panic: 500, with the panic's message for the log.
    #[must_use]
    pub(crate) fn panicked(message: String) -> Self {
        Self::of(Kind::Panic, HttpError::new(500).with_source(message))
    }

    /// Makes the error of a write or read whose peer is gone, or whose peer has received the complete response.
    #[must_use]
    pub(crate) fn peer_gone() -> Self {
        Self::of(Kind::PeerGone, HttpError::new(500))
    }

    fn of(kind: Kind, http: HttpError) -> Self {
        Self {
            inner: Box::new(Inner { kind, http }),
        }
    }

    /// Returns the status of the response; 500 where none was chosen.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.inner.http.status
    }

    /// Returns the reason that replaces the registered phrase of the status, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.inner.http.reason.as_deref()
    }

    /// Returns the message that the client sees, if there is one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.inner.http.message.as_deref()
    }

    /// Returns the fields of the response, such as `Allow` or `WWW-Authenticate`.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.inner.http.headers
    }

    /// Returns whether this is a caught panic.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.inner.kind == Kind::Panic
    }

    /// Returns whether the peer is gone or has received the complete response, so that no error page is sent.
    #[must_use]
    pub fn is_peer_gone(&self) -> bool {
        self.inner.kind == Kind::PeerGone
    }

    /// Returns whether this is [`Finish`]: the response is sent as written.
    pub(crate) fn is_finish(&self) -> bool {
        self.inner.kind == Kind::Finish
    }

    /// Returns the cause, which goes to the log.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        core::error::Error::source(&self.inner.http)
    }

    /// Returns the chain of causes below the text that `Display` writes.
    pub(crate) fn causes(&self) -> impl Iterator<Item = &(dyn core::error::Error + 'static)> {
        self.inner.causes()
    }

    /// Returns the cause if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: core::error::Error + 'static>(&self) -> Option<&T> {
        self.source()?.downcast_ref()
    }

    /// Sets the status and keeps message, fields and cause.
    #[must_use]
    pub fn with_status(mut self, status: impl IntoStatus) -> Self {
        self.inner.http.status = status.into_status();
        if self.inner.kind == Kind::Unexpected {
            self.inner.kind = Kind::Chosen;
        }
        self
    }

    /// Sets the message that the client sees.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.inner.http.message = Some(message.into());
        self
    }
}

impl<E: core::error::Error + Send + Sync + 'static> From<E> for Error {
    /// Keeps an [`HttpError`] unchanged; any other error becomes the cause of a 500.
    fn from(error: E) -> Self {
        Self::new(Box::new(error) as Cause)
    }
}

impl From<Error> for BoxError {
    /// Converts into a `std::error::Error` with the same text and causes.
    fn from(error: Error) -> Self {
        error.inner
    }
}

impl From<Error> for Box<dyn core::error::Error + Send + Sync> {
    /// Converts into a `std::error::Error` with the same text and causes.
    fn from(error: Error) -> Self {
        error.inner
    }
}

impl From<OutOfMemory> for Error {
    /// Answers 503 with `Retry-After: 1` and closes the connection, which frees its memory.
    fn from(_: OutOfMemory) -> Self {
        let http = HttpError::new(503)
            .with_message("the server is out of memory; retry later")
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            .with_header(header::CONNECTION, HeaderValue::from_static("close"));
        Self::of(Kind::Chosen, http)
    }
}

impl fmt::Display for Error {
    /// Writes this error's own text, without its causes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, formatter)
    }
}

impl fmt::Debug for Error {
    /// Writes this error and, one a line, the chain of its causes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, formatter)
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.http.source) {
            (Kind::Unexpected | Kind::Finish, Some(cause)) => fmt::Display::fmt(cause, formatter),
            (Kind::Panic, Some(message)) => write!(formatter, "panicked: {message}"),
            (Kind::PeerGone, _) => formatter.write_str("the peer is gone"),
            _ => fmt::Display::fmt(&self.http, formatter),
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)?;
        self.causes()
            .try_for_each(|cause| write!(formatter, "\n  because: {cause}"))
    }
}

impl Inner {
    fn causes(&self) -> impl Iterator<Item = &(dyn core::error::Error + 'static)> {
        core::iter::successors(core::error::Error::source(self), |cause| cause.source())
    }
}

impl core::error::Error for Inner {
    /// Returns the cause below the text that `Display` writes.
    ///
    /// Without a chosen status, `Display` writes the direct cause, so the chain starts one level deeper.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        let cause = core::error::Error::source(&self.http);
        match self.kind {
            Kind::Chosen => cause,
            Kind::Unexpected | Kind::Panic | Kind::PeerGone | Kind::Finish => {
                cause.and_then(core::error::Error::source)
            }
        }
    }
}

/// An error with a status, such as 404, 409 or 429.
///
/// ```
/// # use squall::{Error, HttpError};
/// let error: Error = HttpError::new(404).with_message("no such user").into();
/// assert_eq!(error.status(), 404);
/// ```
#[derive(Debug)]
#[must_use = "an error answers only if the handler returns it"]
pub struct HttpError {
    status: StatusCode,
    reason: Option<Cow<'static, str>>,
    message: Option<Cow<'static, str>>,
    headers: Headers,
    source: Option<Cause>,
}

/// Makes a 400 with a message for the client.
pub(crate) fn bad_request(message: impl fmt::Display) -> Error {
    HttpError::new(400).with_message(message.to_string()).into()
}

impl HttpError {
    /// Makes an error that answers with `status` and its registered reason phrase.
    pub fn new(status: impl IntoStatus) -> Self {
        Self {
            status: status.into_status(),
            reason: None,
            message: None,
            headers: Headers::new(),
            source: None,
        }
    }

    /// Sets the reason that replaces the registered phrase of the status, as `Not Found` is of 404 (Tornado's `reason`).
    ///
    /// The error page shows it. The status line carries it where it is a [`ReasonPhrase`](crate::message::ReasonPhrase).
    /// Any other text stands on the page only, so a client's text may be passed in.
    pub fn with_reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sets the message that the client sees on the error page.
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Sets the cause, which goes to the log and never to the client.
    pub fn with_source(mut self, source: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a field to the response, such as `Retry-After`.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(formatter, "{} {reason}", self.status.as_u16())?,
            None => fmt::Display::fmt(&self.status, formatter)?,
        }
        match &self.message {
            Some(message) => write!(formatter, ": {message}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for HttpError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

/// Ends a request early with the response written so far (Tornado's exception of this name).
///
/// `Err(Finish)?` answers with status, fields and content as they are, from any depth of calls. The error page and the
/// log leave it out.
///
/// ```
/// # use squall::prelude::*;
/// # use squall::Finish;
/// fn check_credentials(cx: &mut Context) -> Result {
///     if cx.header("authorization").is_none() {
///         cx.set_status(401);
///         cx.set_header("www-authenticate", "Basic realm=\"notes\"")?;
///         cx.write("Log in first.");
///         Err(Finish)?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish;

impl fmt::Display for Finish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the response is sent as written")
    }
}

impl core::error::Error for Finish {}

/// Gives an error, or a missing value, a status.
///
/// ```
/// # use squall::{Result, ResultExt};
/// fn age(text: &str) -> Result<u8> {
///     text.parse().or_status(400)
/// }
/// assert_eq!(age("old").unwrap_err().status(), 400);
/// ```
pub trait ResultExt<T> {
    /// Gives the error a status; its text goes to the log only.
    ///
    /// # Errors
    ///
    /// Returns the error of `self` with the status.
    fn or_status(self, status: impl IntoStatus) -> Result<T>;

    /// Gives the error a status and a message that the client sees; its text goes to the log only.
    ///
    /// # Errors
    ///
    /// Returns the error of `self` with the status and the message.
    fn or_error(self, status: impl IntoStatus, message: impl Into<Cow<'static, str>>) -> Result<T>;
}

impl<T, E: Into<Error>> ResultExt<T> for core::result::Result<T, E> {
    fn or_status(self, status: impl IntoStatus) -> Result<T> {
        self.map_err(|error| error.into().with_status(status))
    }

    fn or_error(self, status: impl IntoStatus, message: impl Into<Cow<'static, str>>) -> Result<T> {
        self.map_err(|error| error.into().with_status(status).with_message(message))
    }
}

impl<T> ResultExt<T> for Option<T> {
    fn or_status(self, status: impl IntoStatus) -> Result<T> {
        self.ok_or_else(|| HttpError::new(status).into())
    }

    fn or_error(self, status: impl IntoStatus, message: impl Into<Cow<'static, str>>) -> Result<T> {
        self.ok_or_else(|| HttpError::new(status).with_message(message).into())
    }
}

/// A status: a [`StatusCode`] or its number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a status code",
    note = "give a `StatusCode`, or a number from 100 to 999 such as `404`"
)]
pub trait IntoStatus {
    /// Converts into a [`StatusCode`].
    ///
    /// A number outside 100–999 becomes 500 and is logged as an error.
    fn into_status(self) -> StatusCode;
}

impl IntoStatus for StatusCode {
    fn into_status(self) -> StatusCode {
        self
    }
}

impl IntoStatus for u16 {
    fn into_status(self) -> StatusCode {
        StatusCode::from_u16(self).unwrap_or_else(|_| {
            tracing::error!("{self} is not a status code (100 to 999); answering 500");
            StatusCode::INTERNAL_SERVER_ERROR
        })
    }
}
