//! One request to a provider: bounded in size and time, without redirects.

use std::fmt;
use std::time::Duration;

use http::{Request, Response};

use crate::client::http::client::Client;
use crate::client::http::error::FetchError;
use crate::error::Error;

/// The longest time of one request to a provider.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a provider's answer. The largest real one, Microsoft's key set, has some 15 KiB.
pub(super) const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The client of an application that names none.
///
/// It follows no redirects: a provider's URL that leads elsewhere would take the client's secret with it.
pub(super) fn default_client() -> Result<Client, FetchError> {
    Client::builder().max_redirects(0).build()
}

/// The error of a request to a provider.
#[derive(Debug)]
pub(super) enum ExchangeError {
    Fetch(FetchError),
    TooLarge(String),
}

/// Sends a request, and returns its response whole.
pub(super) async fn exchange(client: &Client, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ExchangeError> {
    let (head, body) = request.into_parts();
    let mut request = client.request(head.method, &head.uri.to_string()).timeout(TIMEOUT);
    for (name, value) in &head.headers {
        request = request.header(name.as_str(), value.as_bytes());
    }
    let mut response = request.body(body).send().await?;
    let mut body = Vec::new();
    while let Some(piece) = response.next_chunk().await? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(ExchangeError::TooLarge(response.url().to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    let mut answer = Response::new(body);
    *answer.status_mut() = response.status();
    for (name, value) in response.headers().iter() {
        answer.headers_mut().append(name.clone(), value.clone());
    }
    Ok(answer)
}

/// The 503 of a provider that gives no answer, or none that can be understood.
pub(super) fn unavailable(what: &str, error: impl fmt::Display) -> Error {
    Error::new(format!("could not {what}: {error}"))
        .with_status(503)
        .with_message("the login provider is unavailable; try again later")
}

/// The 400 of an answer that is refused. Its cause goes to the log, because it may be an attack or a wrong setting.
pub(super) fn refused(what: &str, error: impl fmt::Display) -> Error {
    tracing::warn!("could not {what}: {error}");
    Error::new(format!("could not {what}: {error}"))
        .with_status(400)
        .with_message("the login has failed; begin it again")
}

impl From<FetchError> for ExchangeError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(error) => error.fmt(formatter),
            Self::TooLarge(url) => write!(formatter, "the answer of {url} has more than {ANSWER_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for ExchangeError {}
