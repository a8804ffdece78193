//! The error of a fetch: the URL, the reason, and what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::app::DecodeError;
use crate::client::error::shown;
use crate::client::tls::error::TlsError;
use crate::http1::{RequestError, ResponseError};
use crate::message::{HeaderName, StatusCode};

/// The error of a fetch, or of reading its response.
#[derive(Debug)]
pub struct FetchError {
    url: Box<str>,
    failure: Box<FetchFailure>,
}

/// The reason why a fetch failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchFailure {
    /// The URL is invalid.
    Url(String),
    /// The connection could not be made secure, or this build has no TLS.
    Tls(TlsError),
    /// The application set a field that belongs to the connection.
    Field(HeaderName),
    /// The name or the value of a field has a byte that HTTP forbids; the name is shown.
    FieldInvalid(String),
    /// A value could not be encoded as JSON, as a form or as a query.
    Encode(String),
    /// The request breaks a rule of HTTP.
    Request(RequestError),
    /// The stream of the request's content failed.
    Content(String),
    /// More fetches than `max_waiting` wait for a connection.
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// The calling thread is not a shard's.
    NoShard,
    /// The host was not found, was unreachable, or refused the connection.
    Connect(squall_shards::ConnectError),
    /// The proxy refused to open a tunnel.
    Proxy(StatusCode),
    /// The connection broke.
    Broken(io::Error),
    /// A step took too long.
    Timeout {
        /// What was awaited.
        step: Step,
        /// The setting's value.
        timeout: Duration,
    },
    /// The response violates HTTP/1.1, or the server closed the connection too early.
    Response(ResponseError),
    /// There were more redirects than `max_redirects`.
    TooManyRedirects(u32),
    /// A redirect cannot be followed.
    Redirect(&'static str),
    /// The content of the response is larger than `max_body_bytes`.
    TooLarge(u64),
    /// The compressed content of the response is corrupt, cut, or larger than `max_inflated_bytes`.
    Decompress(DecompressError),
    /// The content of the response is not UTF-8.
    NotText,
    /// The content of the response is not the expected JSON.
    Json(String),
    /// The status of the response is an error, and the application asked for success.
    Status(StatusCode),
    /// Memory is short.
    OutOfMemory,
}

/// The step of a fetch that took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A free connection, the lookup of the name, and the connection itself.
    Connect,
    /// The server took no byte of the request.
    Send,
    /// The head of the response.
    Head,
    /// The next byte of the response's content.
    Content,
    /// The whole fetch.
    Whole,
}

/// Why compressed content could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecompressError {
    /// It breaks the format of its coding.
    Corrupt,
    /// It ends too early.
    Cut,
    /// It decodes to more than `max_inflated_bytes`.
    TooLarge,
}

impl FetchError {
    pub(super) fn new(url: &str, failure: FetchFailure) -> Self {
        Self {
            url: shown(url).into(),
            failure: Box::new(failure),
        }
    }

    /// Returns the reason.
    #[must_use]
    pub fn failure(&self) -> &FetchFailure {
        &self.failure
    }

    /// Returns the URL, without its query and user, which may be secret.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the status of the response if [`error_for_status`](crate::client::Response::error_for_status) made this
    /// error.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match *self.failure {
            FetchFailure::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Returns whether a step took too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match &*self.failure {
            FetchFailure::Timeout { .. } => true,
            FetchFailure::Connect(error) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }

    /// Returns whether the connection could not be made, so that the server has seen nothing of the request.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(
            &*self.failure,
            FetchFailure::Connect(_)
                | FetchFailure::Tls(_)
                | FetchFailure::Busy { .. }
                | FetchFailure::Proxy(_)
                | FetchFailure::Timeout {
                    step: Step::Connect,
                    ..
                }
        )
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "could not fetch {}: {}", self.url, self.failure)
    }
}

impl std::error::Error for FetchError {}

impl fmt::Display for FetchFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(what) => formatter.write_str(what),
            Self::Tls(error) => error.fmt(formatter),
            Self::Field(name) => write!(formatter, "the field {name} belongs to the connection; do not set it"),
            Self::FieldInvalid(name) => write!(formatter, "the field {name} has a byte that HTTP forbids; remove it"),
            Self::Encode(error) => write!(formatter, "the value does not encode: {error}"),
            Self::Request(error) => error.fmt(formatter),
            Self::Content(error) => write!(formatter, "the stream of the request's content failed: {error}"),
            Self::Busy { waiting } => write!(
                formatter,
                "{waiting} fetches wait for a connection already; raise max_waiting or max_connections_per_host"
            ),
            Self::NoShard => formatter.write_str("this thread is not a shard's; fetch in a handler or a task"),
            Self::Connect(error) => error.fmt(formatter),
            Self::Proxy(status) => write!(
                formatter,
                "the proxy answered {status} instead of opening a tunnel; check its rules and the password"
            ),
            Self::Broken(error) => write!(formatter, "the connection broke: {error}"),
            Self::Timeout { step, timeout } => write_timeout(*step, *timeout, formatter),
            Self::Response(error) => error.fmt(formatter),
            Self::TooManyRedirects(count) => write!(
                formatter,
                "the server redirected more than {count} times; check for a loop, or raise max_redirects"
            ),
            Self::Redirect(what) => write!(formatter, "could not follow the redirect: {what}"),
            Self::TooLarge(bytes_max) => write!(
                formatter,
                "the content is larger than {bytes_max} bytes; raise max_body_bytes, or read it in pieces"
            ),
            Self::Decompress(error) => error.fmt(formatter),
            Self::NotText => formatter.write_str("the content is not UTF-8; read it as bytes"),
            Self::Json(error) => write!(formatter, "the content is not the expected JSON: {error}"),
            Self::Status(status) => write!(formatter, "the server answered {status}"),
            Self::OutOfMemory => formatter.write_str("memory is short; retry later"),
        }
    }
}

fn write_timeout(step: Step, timeout: Duration, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (what, setting) = match step {
        Step::Connect => ("no connection", "connect_timeout"),
        Step::Send => ("the server took nothing of the request", "gap_timeout"),
        Step::Head => ("the server sent no response", "head_timeout"),
        Step::Content => ("the server sent nothing more of its response", "gap_timeout"),
        Step::Whole => ("the fetch was not over", "timeout"),
    };
    write!(
        formatter,
        "{what} within {timeout:?}; check the server, or raise {setting}"
    )
}

impl fmt::Display for DecompressError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Corrupt => "the compressed content is corrupt",
            Self::Cut => "the compressed content ends too early",
            Self::TooLarge => "the content decompresses to more than the limit; raise max_inflated_bytes",
        })
    }
}

impl From<DecodeError> for FetchFailure {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Corrupt => Self::Decompress(DecompressError::Corrupt),
            DecodeError::Cut => Self::Decompress(DecompressError::Cut),
            DecodeError::TooLarge | DecodeError::TooDense => Self::Decompress(DecompressError::TooLarge),
            DecodeError::OutOfMemory => Self::OutOfMemory,
        }
    }
}

impl From<TlsError> for FetchFailure {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<ResponseError> for FetchFailure {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

impl From<RequestError> for FetchFailure {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<crate::memory::OutOfMemory> for FetchFailure {
    fn from(_: crate::memory::OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}
