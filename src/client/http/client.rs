//! The client and its settings, as an application holds them.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderValue, Method};

use super::cookies::CookieJar;
use super::error::{FetchError, FetchFailure};
use super::fetcher::Fetcher;
use super::proxy::{self, Proxy, ProxyRule};
use super::request::Request;
use super::response::Response;
use super::settings::{ClientSettings, client_setters};
use crate::client::tls::security::Security;
#[cfg(feature = "rustls")]
use crate::client::tls::settings::ClientTls;

/// An HTTP client (Tornado's `AsyncHTTPClient`), which stays on its shard.
///
/// Clones share the connections, which stay open between requests. A client does not follow its application to another
/// shard: make one in the closure that builds the application, which runs on every shard.
///
/// ```
/// # use squall::client::Client;
/// # async fn example() -> squall::Result {
/// let client = Client::new();
/// let response = client.get("http://127.0.0.1:8888/").send().await?.error_for_status()?;
/// let text = response.text().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    fetcher: Rc<Fetcher>,
}

impl Client {
    /// Makes a client with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self {
            fetcher: Rc::new(Fetcher::new(ClientSettings::default())),
        }
    }

    pub(super) fn fetcher(&self) -> &Rc<Fetcher> {
        &self.fetcher
    }

    /// Begins a client with other settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Begins a GET request.
    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    /// Begins a HEAD request.
    pub fn head(&self, url: &str) -> Request {
        self.request(Method::HEAD, url)
    }

    /// Begins a POST request.
    pub fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }

    /// Begins a PUT request.
    pub fn put(&self, url: &str) -> Request {
        self.request(Method::PUT, url)
    }

    /// Begins a PATCH request.
    pub fn patch(&self, url: &str) -> Request {
        self.request(Method::PATCH, url)
    }

    /// Begins a DELETE request.
    pub fn delete(&self, url: &str) -> Request {
        self.request(Method::DELETE, url)
    }

    /// Begins a request with any method.
    pub fn request(&self, method: Method, url: &str) -> Request {
        Request::new(method, url).through(&self.fetcher)
    }

    /// Sends a request through this client and returns the response once its head has arrived.
    ///
    /// The future borrows nothing, so that many may run at once. A request is sent a second time, on a new connection,
    /// only if the server closed an unused connection meanwhile. No byte of a response has come then. The method is
    /// idempotent, or the kernel has taken no byte of the request.
    ///
    /// # Errors
    ///
    /// See [`FetchFailure`]. A response with any status is a success.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the fetch is given up: its connection closes, and the server may have run the request.
    pub fn fetch(&self, request: Request) -> impl Future<Output = Result<Response, FetchError>> + use<> {
        request.through(&self.fetcher).send()
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("settings", &self.fetcher.settings)
            .finish_non_exhaustive()
    }
}

/// The settings of a client, until it is built.
#[derive(Debug, Clone, Default)]
#[must_use = "settings do nothing until `build` is called"]
pub struct ClientBuilder {
    settings: ClientSettings,
    proxies: Vec<Proxy>,
    user_agent: Option<String>,
    keeps_cookies: bool,
    security: Security,
}

impl ClientBuilder {
    client_setters!();

    fn settings(&mut self) -> &mut ClientSettings {
        &mut self.settings
    }

    /// Adds a proxy, which takes the requests that those added before do not take.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxies.push(proxy);
        self
    }

    /// Adds the proxies of the environment: `http_proxy`, `https_proxy`, `all_proxy`, and the exceptions of `no_proxy`.
    ///
    /// The client ignores these variables otherwise. It ignores `HTTP_PROXY` in upper case always, because a client of a
    /// CGI program could set it.
    pub fn proxy_from_environment(mut self) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        self.proxies.extend(proxy::of_environment(variable));
        self
    }

    /// Sets `User-Agent`; `squall/VERSION` by default.
    pub fn user_agent(mut self, product: impl Into<String>) -> Self {
        self.user_agent = Some(product.into());
        self
    }

    /// Stores the cookies of responses, and sends them back (RFC 6265); off by default.
    ///
    /// Clones of the client share them. At most 1000 cookies of at most 4096 bytes are stored, in memory. A cookie for a
    /// whole domain is accepted from each of its hosts, without a list of public suffixes such as `co.uk`.
    pub fn cookies(mut self) -> Self {
        self.keeps_cookies = true;
        self
    }

    /// Sets which servers are trusted for `https`, and how the client identifies itself to them.
    ///
    /// Without it, the roots of the system are trusted.
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.security = Security::of(tls);
        self
    }

    /// Makes the client.
    ///
    /// # Errors
    ///
    /// The URL of a proxy is invalid, or `User-Agent` has a byte that HTTP forbids.
    pub fn build(self) -> Result<Client, FetchError> {
        let mut rules = Vec::new();
        for proxy in &self.proxies {
            let rule = ProxyRule::new(proxy).map_err(|failure| FetchError::new(proxy.url(), failure))?;
            rules.push(rule);
        }
        let mut fetcher = Fetcher::new(self.settings)
            .with_proxies(rules)
            .with_security(self.security);
        if let Some(product) = self.user_agent {
            let value = HeaderValue::try_from(product);
            let value = value.map_err(|_| FetchFailure::FieldInvalid("user-agent".to_owned()));
            fetcher = fetcher.with_user_agent(value.map_err(|failure| FetchError::new("any URL", failure))?);
        }
        if self.keeps_cookies {
            fetcher = fetcher.with_cookies(CookieJar::default());
        }
        Ok(Client {
            fetcher: Rc::new(fetcher),
        })
    }
}
