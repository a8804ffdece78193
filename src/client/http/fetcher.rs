//! The work of a client: sends requests, follows redirects, and tries again where that is safe.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, header};
use squall_shards::{Shard, spawn_detached, timeout_at};
use url::Url;

use super::address::{self, Endpoint};
use super::connection::Connection;
use super::cookies::CookieJar;
use super::credentials;
use super::error::{FetchError, FetchFailure, Step};
use super::exchange::{Exchange, Timeouts};
use super::incoming::{Incoming, accepted};
use super::opening::open;
use super::outgoing::Outgoing;
use super::parts::Parts;
use super::pool::{Pool, PoolLimits};
use super::proxy::{self, ProxyRule, Route};
use super::redirect;
use super::response::Response;
use super::settings::ClientSettings;
use super::waiting::Grant;
use crate::client::tls::security::Security;
use crate::http1::{self, RequestLine};
use crate::message::{Body, Headers, ResponseHead};

/// Largest content that is sent in one buffer with its head: 16 KiB. A copy of more costs more than a second send.
const JOINED_BYTES_MAX: usize = 16 * 1024;

/// Most content of a redirect that is read to keep its connection: 64 KiB.
const DRAINED_BYTES_MAX: usize = 64 * 1024;

/// The default of `User-Agent`.
const USER_AGENT: &str = concat!("squall/", env!("CARGO_PKG_VERSION"));

thread_local! {
    /// The fetcher with the default settings of this shard, while a task of the shard holds it.
    static OF_SHARD: RefCell<Weak<Fetcher>> = const { RefCell::new(Weak::new()) };
}

/// What the clones of a client share.
pub(super) struct Fetcher {
    pub(super) settings: ClientSettings,
    machine_limits: Rc<http1::Limits>,
    pool: Rc<Pool>,
    proxies: Vec<ProxyRule>,
    user_agent: HeaderValue,
    cookies: Option<CookieJar>,
    security: Security,
}

/// The deadline of a whole fetch, and the time that it had.
type Whole = Option<(Instant, Duration)>;

/// What every attempt of one request shares.
struct Plan {
    endpoint: Rc<Endpoint>,
    target: String,
    fields: Headers,
    /// The content waits for the server's consent.
    expects_consent: bool,
    whole: Whole,
}

impl Fetcher {
    pub(super) fn new(settings: ClientSettings) -> Self {
        let limits = PoolLimits {
            connections_per_host_max: settings.max_connections_per_host,
            connections_max: settings.max_connections,
            waiting_max: settings.max_waiting,
            idle_timeout: settings.idle_timeout,
        };
        Self {
            machine_limits: Rc::new(settings.machine_limits()),
            settings,
            pool: Pool::new(limits),
            proxies: Vec::new(),
            user_agent: HeaderValue::from_static(USER_AGENT),
            cookies: None,
            security: Security::default(),
        }
    }

    pub(super) fn with_proxies(self, proxies: Vec<ProxyRule>) -> Self {
        Self { proxies, ..self }
    }

    pub(super) fn with_user_agent(self, user_agent: HeaderValue) -> Self {
        Self { user_agent, ..self }
    }

    pub(super) fn with_cookies(self, cookies: CookieJar) -> Self {
        Self {
            cookies: Some(cookies),
            ..self
        }
    }

    pub(super) fn with_security(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// The fetcher with the default settings of the calling thread's shard.
    pub(super) fn of_shard() -> Result<Rc<Self>, FetchFailure> {
        if Shard::try_current().is_none() {
            return Err(FetchFailure::NoShard);
        }
        if let Some(known) = OF_SHARD.with_borrow(Weak::upgrade) {
            return Ok(known);
        }
        let fetcher = Rc::new(Self::new(ClientSettings::default()));
        OF_SHARD.replace(Rc::downgrade(&fetcher));
        // Held by a task, so that its sockets close before their shard ends.
        let held = Rc::clone(&fetcher);
        spawn_detached(async move {
            pending::<()>().await;
            drop(held);
        });
        Ok(fetcher)
    }

    /// Sends a request and returns the response once its head has arrived.
    pub(super) async fn fetch(&self, mut parts: Parts, timeout: Option<Duration>) -> Result<Response, FetchError> {
        if Shard::try_current().is_none() {
            return Err(FetchError::new(parts.url.as_str(), FetchFailure::NoShard));
        }
        let now = Shard::current().now();
        let whole = timeout
            .or(self.settings.timeout)
            .map(|timeout| (now + timeout, timeout));
        let mut redirects = 0;
        loop {
            let url = parts.url.clone();
            let failed = |failure| FetchError::new(url.as_str(), failure);
            let (head, exchange) = self.exchange(&mut parts, &url, whole).await.map_err(failed)?;
            if let Some(cookies) = &self.cookies {
                cookies.store(&head.headers, &url);
            }
            let to = match self.settings.max_redirects {
                0 => None,
                _ => redirect::target(head.status, head.headers.get(&header::LOCATION), &url).map_err(failed)?,
            };
            let Some(to) = to else {
                return Ok(self.response(&parts, head, exchange, url));
            };
            redirects += 1;
            if redirects > self.settings.max_redirects {
                return Err(failed(FetchFailure::TooManyRedirects(self.settings.max_redirects)));
            }
            turn(&mut parts, head.status, &url, to).map_err(failed)?;
            drain(exchange).await;
        }
    }

    /// Sends the request once, and again if the connection was lost before the server saw it.
    async fn exchange(
        &self,
        parts: &mut Parts,
        url: &Url,
        whole: Whole,
    ) -> Result<(ResponseHead, Exchange), FetchFailure> {
        let mut plan = self.plan(parts, url, whole)?;
        let mut is_fresh = false;
        loop {
            let connection = self.connection(&plan, is_fresh).await?;
            let was_reused = connection.is_reused;
            let is_stream = matches!(parts.body, Body::Stream(_));
            let mut exchange = self.begin(connection, parts, &plan)?;
            let failed = match poll_fn(|cx| exchange.poll_head(cx)).await {
                Ok(head) if head.status == StatusCode::EXPECTATION_FAILED && plan.expects_consent && !is_stream => {
                    // RFC 9110 §10.1.1: the request is repeated without the expectation.
                    plan.expects_consent = false;
                    plan.fields.remove(&header::EXPECT);
                    continue;
                }
                Ok(head) => return Ok((head, exchange)),
                Err(failed) => failed,
            };
            let is_safe = failed.was_unsent || parts.method.is_idempotent();
            if !(was_reused && failed.was_lost && is_safe && !is_stream) {
                return Err(failed.failure);
            }
            is_fresh = true;
        }
    }

    fn plan(&self, parts: &Parts, url: &Url, whole: Whole) -> Result<Plan, FetchFailure> {
        let route = proxy::route(url, &self.proxies)?;
        let mut fields = self.fields(parts, url, &route)?;
        let expects_consent = parts.expects_consent && !matches!(parts.body, Body::Empty);
        if expects_consent {
            fields.add(header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        let target = match route.forward {
            Some(_) => address::absolute_form(url),
            None => address::origin_form(url).to_owned(),
        };
        Ok(Plan {
            endpoint: Rc::new(route.endpoint),
            target,
            fields,
            expects_consent,
            whole,
        })
    }

    /// Gets a connection: one that has served before, or a new one. With `is_fresh` only a new one will do.
    async fn connection(&self, plan: &Plan, is_fresh: bool) -> Result<Connection, FetchFailure> {
        let timeout = self.settings.connect_timeout;
        let connect = (Shard::current().now() + timeout, Step::Connect, timeout);
        let whole = plan.whole.map(|(at, timeout)| (at, Step::Whole, timeout));
        let (deadline, step, timeout) = whole.filter(|(at, ..)| *at < connect.0).unwrap_or(connect);
        let late = || FetchFailure::Timeout { step, timeout };
        let taken = timeout_at(deadline, self.pool.take(&plan.endpoint, is_fresh)).await;
        match taken.ok_or_else(late)?? {
            Grant::Connection(connection) => Ok(connection),
            Grant::Place(lease) => {
                let socket = open(&plan.endpoint, &self.security, deadline).await?.ok_or_else(late)?;
                Ok(Connection::new(socket, lease, Rc::clone(&self.machine_limits)))
            }
        }
    }

    /// Starts to send the request: its head, and the content with it if that is small.
    fn begin(&self, mut connection: Connection, parts: &mut Parts, plan: &Plan) -> Result<Exchange, FetchFailure> {
        let timeouts = Timeouts {
            head: self.settings.head_timeout,
            gap: self.settings.gap_timeout,
            consent: self.settings.continue_timeout,
            whole: plan.whole,
        };
        let mut outgoing = Outgoing::take(&mut parts.body);
        let mut out = connection.socket.take_buffer();
        let machine = &mut connection.machine;
        let line = RequestLine {
            method: &parts.method,
            target: &plan.target,
        };
        machine.send_head(line, &plan.fields, outgoing.length(), &mut out)?;
        if let Outgoing::Bytes(bytes) = &outgoing
            && bytes.len() <= JOINED_BYTES_MAX
            && !plan.expects_consent
        {
            machine.send_data(bytes, &mut out)?;
            outgoing = Outgoing::Nothing;
        }
        if let Outgoing::Nothing = outgoing {
            machine.send_end(None, &mut out)?;
        }
        let mut exchange = Exchange::new(connection, &self.pool, outgoing, timeouts);
        exchange.start(out);
        if plan.expects_consent {
            exchange.await_consent();
        }
        Ok(exchange)
    }

    /// The fields of a request: the client's own, then those of the application.
    fn fields(&self, parts: &Parts, url: &Url, route: &Route) -> Result<Headers, FetchFailure> {
        let given = &parts.fields;
        let mut fields = Headers::new();
        let host = given.get(&header::HOST).cloned();
        fields.add(header::HOST, host.map_or_else(|| address::host_field(url), Ok)?);
        if !given.contains(&header::USER_AGENT) {
            fields.add(header::USER_AGENT, self.user_agent.clone());
        }
        if !given.contains(&header::ACCEPT) {
            fields.add(header::ACCEPT, HeaderValue::from_static("*/*"));
        }
        if self.asks_for_compression(parts) {
            fields.add(header::ACCEPT_ENCODING, accepted());
        }
        if !given.contains(&header::AUTHORIZATION)
            && let Some(authorization) = credentials::of_url(url)
        {
            fields.add(header::AUTHORIZATION, authorization);
        }
        if let Some(authorization) = proxy::authorization(route) {
            fields.add(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        if !given.contains(&header::COOKIE)
            && let Some(cookies) = self.cookies.as_ref().and_then(|jar| jar.field(url))
        {
            fields.add(header::COOKIE, cookies);
        }
        for (name, value) in given.iter().filter(|(name, _)| **name != header::HOST) {
            fields.add(name.clone(), value.clone());
        }
        Ok(fields)
    }

    /// Returns whether the client decompresses the response. A range counts bytes as they are stored.
    fn asks_for_compression(&self, parts: &Parts) -> bool {
        let given = &parts.fields;
        self.settings.decompress && !given.contains(&header::ACCEPT_ENCODING) && !given.contains(&header::RANGE)
    }

    fn response(&self, parts: &Parts, mut head: ResponseHead, exchange: Exchange, url: Url) -> Response {
        let mut incoming = Incoming::new(exchange);
        if self.asks_for_compression(parts) {
            incoming.decompress(&mut head, self.settings.max_inflated_bytes);
        }
        Response::new(head, url, incoming, self.settings.max_body_bytes)
    }
}

/// Turns a request to where a redirect leads.
fn turn(parts: &mut Parts, status: StatusCode, from: &Url, to: Url) -> Result<(), FetchFailure> {
    let method = redirect::method(status, &parts.method);
    let drops_content = method != parts.method || status == StatusCode::SEE_OTHER;
    if drops_content {
        parts.body = Body::Empty;
    } else if matches!(parts.body, Body::Stream(_)) {
        return Err(FetchFailure::Redirect(
            "the content is a stream, which can be sent once",
        ));
    }
    redirect::strip(&mut parts.fields, from, &to, drops_content);
    parts.method = method;
    parts.url = to;
    Ok(())
}

/// Reads the content of a redirect if it is small, so that its connection can be used again.
async fn drain(mut exchange: Exchange) {
    let mut left = DRAINED_BYTES_MAX;
    while let Ok(Some(piece)) = poll_fn(|cx| exchange.poll_data(cx)).await {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
