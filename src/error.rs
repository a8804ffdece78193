//! Errors as values: [`Error`], one word wide, is what a handler returns; [`HttpError`] is one that knows its status.
//!
//! Any `std::error::Error` becomes an [`Error`] through `?` and answers `500` with nothing of it shown to the client. What the
//! client may see is said on purpose: a status, a message and fields, through [`HttpError`] or [`ResultExt`]. The cause is kept
//! for the log.

use core::fmt;
use std::borrow::Cow;

use crate::memory::OutOfMemory;
use crate::message::{BoxError, HeaderName, HeaderValue, Headers, StatusCode, header};

/// The result of a handler, of middleware and of most calls on a [`Context`](crate::Context).
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// An error on its way to becoming a response, or to ending `main`.
///
/// It is one pointer wide, and `Send`, so that work on other threads (`spawn_blocking`) can fail with it; so must its cause be. Like `anyhow::Error` it is not itself a `std::error::Error`, so that every such error converts into
/// it with `?`. `Debug` prints readable text with the chain of causes, because that is what `fn main() -> Result` shows.
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
    /// Some error nobody gave a status: a 500 that tells the client nothing.
    Unexpected,
    /// A panic, caught.
    Panic,
    /// There is no one left to answer.
    PeerGone,
}

impl Error {
    /// Makes an error that answers 500 and whose text goes to the log only; an [`HttpError`] or an `Error` in a box stays what it is.
    #[must_use]
    pub fn new(cause: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        let cause = match cause.into().downcast::<Inner>() {
            Ok(inner) => return Self { inner },
            Err(cause) => cause,
        };
        match cause.downcast::<HttpError>() {
            Ok(http) => Self::of(Kind::Chosen, *http),
            Err(cause) => Self::of(Kind::Unexpected, HttpError::new(500).with_source(cause)),
        }
    }

    /// Makes the error a caught panic becomes: 500, with the panic's message for the log.
    #[must_use]
    pub(crate) fn panicked(message: String) -> Self {
        Self::of(Kind::Panic, HttpError::new(500).with_source(message))
    }

    /// Makes the error of what nobody waits for any more, because the peer has gone or has got all it is to get.
    #[must_use]
    pub(crate) fn peer_gone() -> Self {
        Self::of(Kind::PeerGone, HttpError::new(500))
    }

    fn of(kind: Kind, http: HttpError) -> Self {
        Self {
            inner: Box::new(Inner { kind, http }),
        }
    }

    /// The status this error answers with; 500 where none was chosen.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.inner.http.status
    }

    /// The message the client may see, where one was given.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.inner.http.message.as_deref()
    }

    /// The fields the response to this error carries, such as `Allow` or `WWW-Authenticate`.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.inner.http.headers
    }

    /// Whether a panic was caught.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.inner.kind == Kind::Panic
    }

    /// Whether the peer has gone, or has got all it is to get, so that nobody reads an answer.
    #[must_use]
    pub fn is_peer_gone(&self) -> bool {
        self.inner.kind == Kind::PeerGone
    }

    /// The cause kept for the log.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        core::error::Error::source(&self.inner.http)
    }

    /// The cause, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: core::error::Error + 'static>(&self) -> Option<&T> {
        self.source()?.downcast_ref()
    }

    /// Chooses the status, keeping message, fields and cause.
    #[must_use]
    pub fn with_status(mut self, status: impl IntoStatus) -> Self {
        self.inner.http.status = status.into_status();
        if self.inner.kind == Kind::Unexpected {
            self.inner.kind = Kind::Chosen;
        }
        self
    }

    /// Sets the message the client may see.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.inner.http.message = Some(message.into());
        self
    }
}

impl<E: core::error::Error + Send + Sync + 'static> From<E> for Error {
    /// Keeps an [`HttpError`] as it is; anything else becomes a 500 with the error as its cause.
    fn from(error: E) -> Self {
        Self::new(Box::new(error) as Cause)
    }
}

impl From<Error> for BoxError {
    /// Makes it a `std::error::Error`, with the same text and the same causes.
    fn from(error: Error) -> Self {
        error.inner
    }
}

impl From<Error> for Box<dyn core::error::Error + Send + Sync> {
    /// Makes it a `std::error::Error`, with the same text and the same causes.
    fn from(error: Error) -> Self {
        error.inner
    }
}

impl From<OutOfMemory> for Error {
    /// Answers 503 and closes the connection: whoever comes again, on a new one, may find more memory.
    fn from(_: OutOfMemory) -> Self {
        let http = HttpError::new(503)
            .with_message("no memory is free for this request")
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            .with_header(header::CONNECTION, HeaderValue::from_static("close"));
        Self::of(Kind::Chosen, http)
    }
}

impl fmt::Display for Error {
    /// Writes this error's own level, without its causes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, formatter)
    }
}

impl fmt::Debug for Error {
    /// Writes this error and below it the chain of its causes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, formatter)
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.http.source) {
            (Kind::Unexpected, Some(cause)) => fmt::Display::fmt(cause, formatter),
            (Kind::Panic, Some(message)) => write!(formatter, "panicked: {message}"),
            (Kind::PeerGone, _) => formatter.write_str("the peer has gone"),
            _ => fmt::Display::fmt(&self.http, formatter),
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)?;
        let mut cause = core::error::Error::source(self);
        while let Some(error) = cause {
            write!(formatter, "\n  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl core::error::Error for Inner {
    /// What is behind the text that `Display` writes, which for all but a chosen status is the cause's own.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        let cause = core::error::Error::source(&self.http);
        match self.kind {
            Kind::Chosen => cause,
            Kind::Unexpected | Kind::Panic | Kind::PeerGone => cause.and_then(core::error::Error::source),
        }
    }
}

/// An error with a status: what a handler returns to answer 404, 409, 429…
///
/// ```
/// # use squall::{Error, HttpError};
/// let error: Error = HttpError::new(404).with_message("no such user").into();
/// assert_eq!(error.status(), 404);
/// ```
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    message: Option<Cow<'static, str>>,
    headers: Headers,
    source: Option<Cause>,
}

impl HttpError {
    /// Makes an error that answers with `status` and the status's own reason phrase.
    #[must_use]
    pub fn new(status: impl IntoStatus) -> Self {
        Self {
            status: status.into_status(),
            message: None,
            headers: Headers::new(),
            source: None,
        }
    }

    /// Sets the message the client sees on the error page.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Sets the cause, which goes to the log and never to the client.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a field to the response, such as `Retry-After`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.add(name, value);
        self
    }

    /// The status this error answers with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.status, formatter)?;
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

/// Gives an error, or a missing value, the status it answers with.
///
/// ```
/// # use squall::{Result, ResultExt};
/// fn age(text: &str) -> Result<u8> {
///     text.parse().or_status(400)
/// }
/// assert_eq!(age("old").unwrap_err().status(), 400);
/// ```
pub trait ResultExt<T> {
    /// Answers with `status` in the error case; the error itself goes to the log.
    ///
    /// # Errors
    ///
    /// Those of `self`, with the status.
    fn or_status(self, status: impl IntoStatus) -> Result<T>;

    /// Answers with `status` and a message the client sees; the error itself goes to the log.
    ///
    /// # Errors
    ///
    /// Those of `self`, with the status and the message.
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

/// What can be given as a status: a [`StatusCode`] or its number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a status code",
    note = "give a `StatusCode`, or a number from 100 to 999 such as `404`"
)]
pub trait IntoStatus {
    /// The status. A number outside 100–999 is no status: it is logged as the mistake it is and answers 500.
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
