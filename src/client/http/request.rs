//! A request under construction.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use http::header;
use serde::Serialize;

use super::address;
use super::credentials;
use super::error::{FetchError, FetchFailure};
use super::fetcher::Fetcher;
use super::parts::Parts;
use super::response::Response;
use crate::message::{Body, HeaderName, HeaderValue, Headers, MediaType, Method};

/// Fields that the connection sets by itself.
const OWN_FIELDS: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// A request under construction (Tornado's `HTTPRequest`).
///
/// A mistake, such as an invalid URL, is the error of the call that sends the request. So the calls before can be chained.
///
/// The client sets `Host`, `User-Agent`, `Accept` and `Accept-Encoding`, unless the application does.
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    /// The request, or the first mistake.
    parts: Result<Parts, FetchFailure>,
    timeout: Option<Duration>,
    fetcher: Option<Rc<Fetcher>>,
    /// The URL as the application wrote it, for errors.
    text: Box<str>,
}

impl Request {
    /// Begins a request with any method, to `http://host:port/path?query`.
    ///
    /// A user and a password in the URL are sent as `Authorization`.
    pub fn new(method: Method, url: &str) -> Self {
        let parts = address::parse(url).map(|url| Parts {
            method,
            url,
            fields: Headers::new(),
            body: Body::Empty,
            expects_consent: false,
        });
        Self {
            parts,
            timeout: None,
            fetcher: None,
            text: url.into(),
        }
    }

    /// Begins a GET request.
    pub fn get(url: &str) -> Self {
        Self::new(Method::GET, url)
    }

    /// Begins a HEAD request.
    pub fn head(url: &str) -> Self {
        Self::new(Method::HEAD, url)
    }

    /// Begins a POST request.
    pub fn post(url: &str) -> Self {
        Self::new(Method::POST, url)
    }

    /// Begins a PUT request.
    pub fn put(url: &str) -> Self {
        Self::new(Method::PUT, url)
    }

    /// Begins a PATCH request.
    pub fn patch(url: &str) -> Self {
        Self::new(Method::PATCH, url)
    }

    /// Begins a DELETE request.
    pub fn delete(url: &str) -> Self {
        Self::new(Method::DELETE, url)
    }

    /// Names the client that sends it.
    pub(super) fn through(mut self, fetcher: &Rc<Fetcher>) -> Self {
        self.fetcher = Some(Rc::clone(fetcher));
        self
    }

    /// Names the client that sends it, unless another one began it.
    pub(super) fn or_through(self, fetcher: &Rc<Fetcher>) -> Self {
        match self.fetcher {
            Some(_) => self,
            None => self.through(fetcher),
        }
    }

    /// Adds a field line; `Host` replaces that of the URL.
    ///
    /// The connection sets `Connection`, `Transfer-Encoding` and `Upgrade` itself, and
    /// [`expect_continue`](Self::expect_continue) sets `Expect`. `Content-Length` must match
    /// the content.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name_and_value = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_bytes(value.as_ref()).ok());
        let shown = || name.escape_default().to_string();
        self.change(|parts| match name_and_value {
            Some((name, value)) => add(parts, name, value),
            None => Err(FetchFailure::FieldInvalid(shown())),
        })
    }

    /// Adds field lines, as [`header`](Self::header) does.
    pub fn headers(self, headers: &Headers) -> Self {
        self.change(|parts| {
            let mut lines = headers.iter();
            lines.try_for_each(|(name, value)| add(parts, name.clone(), value.clone()))
        })
    }

    /// Adds parameters to the query of the URL; a `Vec` in the value repeats its key.
    pub fn query<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.change(|parts| {
            let added = serde_html_form::to_string(value);
            let added = added.map_err(|error| FetchFailure::Encode(error.to_string()))?;
            if !added.is_empty() {
                let query = match parts.url.query().filter(|query| !query.is_empty()) {
                    Some(query) => format!("{query}&{added}"),
                    None => added,
                };
                parts.url.set_query(Some(&query));
            }
            Ok(())
        })
    }

    /// Sets the content to a value as JSON, with its type.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let encoded = serde_json::to_vec(value).map_err(|error| error.to_string());
        self.encoded(MediaType::Json.header_value(), encoded)
    }

    /// Sets the content to a form, with its type; a `Vec` in the value repeats its key.
    pub fn form<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let encoded = serde_html_form::to_string(value).map_err(|error| error.to_string());
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.encoded(media_type, encoded.map(String::into_bytes))
    }

    /// Sets the content: bytes, text, or a stream ([`Body::stream`]).
    ///
    /// A stream is sent chunked, unless the application sets `Content-Length`. It is read only as fast as the server takes
    /// it, and it can be sent once: it follows no redirect that repeats the content.
    pub fn body(self, content: impl Into<Body>) -> Self {
        self.change(|parts| {
            parts.body = content.into();
            Ok(())
        })
    }

    /// Asks for the server's consent before the content is sent (`Expect: 100-continue`, RFC 9110 §10.1.1).
    ///
    /// A server that refuses the request by its head, such as one that is too large, then answers without the content. The
    /// wait ends after `continue_timeout`. Requests without content need no consent.
    pub fn expect_continue(self) -> Self {
        self.change(|parts| {
            parts.expects_consent = true;
            Ok(())
        })
    }

    /// Sets `Authorization` to a user and a password (RFC 7617).
    ///
    /// The user must not contain a colon.
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        self.authorization(credentials::basic(user.as_bytes(), password.as_bytes()))
    }

    /// Sets `Authorization` to a token (RFC 6750).
    pub fn bearer_auth(self, token: &str) -> Self {
        self.authorization(credentials::bearer(token))
    }

    /// Sets the longest time of the whole fetch, in place of the client's.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the request and returns the response once its head has arrived.
    ///
    /// It goes through the client that began it, else through a client of this shard with the default settings.
    ///
    /// # Errors
    ///
    /// See [`FetchFailure`]. A response with any status is a success; see
    /// [`error_for_status`](Response::error_for_status).
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the fetch is given up: its connection closes, and the server may have run the request.
    pub async fn send(self) -> Result<Response, FetchError> {
        let failed = |failure| FetchError::new(&self.text, failure);
        let parts = self.parts.map_err(failed)?;
        let fetcher = match self.fetcher {
            Some(fetcher) => fetcher,
            None => Fetcher::of_shard().map_err(failed)?,
        };
        fetcher.fetch(parts, self.timeout).await
    }

    fn encoded(self, media_type: HeaderValue, encoded: Result<Vec<u8>, String>) -> Self {
        self.change(|parts| {
            parts.body = encoded.map_err(FetchFailure::Encode)?.into();
            parts.fields.set(header::CONTENT_TYPE, media_type);
            Ok(())
        })
    }

    fn authorization(self, value: Option<HeaderValue>) -> Self {
        self.change(|parts| {
            let value = value.ok_or_else(|| FetchFailure::FieldInvalid(header::AUTHORIZATION.to_string()))?;
            parts.fields.set(header::AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Changes the request, unless there was a mistake before.
    fn change(mut self, change: impl FnOnce(&mut Parts) -> Result<(), FetchFailure>) -> Self {
        if let Ok(parts) = &mut self.parts
            && let Err(failure) = change(parts)
        {
            self.parts = Err(failure);
        }
        self
    }
}

fn add(parts: &mut Parts, name: HeaderName, value: HeaderValue) -> Result<(), FetchFailure> {
    if OWN_FIELDS.contains(&name) {
        return Err(FetchFailure::Field(name));
    }
    match name == header::HOST {
        true => parts.fields.set(name, value),
        false => parts.fields.add(name, value),
    }
    Ok(())
}

impl fmt::Debug for Request {
    /// Shows the method and the URL without its query; fields and content may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("method", &self.parts.as_ref().map(|parts| &parts.method).ok())
            .field("url", &crate::client::error::shown(&self.text))
            .finish_non_exhaustive()
    }
}
