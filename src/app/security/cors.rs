//! CORS: which pages of other origins may call an application from a browser (Fetch standard, "HTTP extensions").
//!
//! The browser enforces it; the server only answers. So CORS protects users of browsers, and it stops no other client.
//!
//! Invariant: a response allows credentials only together with one origin that the application has named, never with
//! `*`. Whatever depends on the origin says so in `Vary`, or a cache would serve one page's answer to another.

use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::app::response::vary;
use crate::error::Result;
use crate::message::{HeaderValue, Headers, Method, StatusCode, header, is_token};

/// How long a browser may remember the answer to a preflight: 10 minutes.
///
/// A change of the rules reaches every browser within that time. Chromium caps the value at 2 hours.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The fields of a preflight that decide its answer.
const PREFLIGHT_FIELDS: [&str; 3] = [
    "Origin",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
];

/// A function that decides about an origin.
pub(in crate::app) type AcceptsOrigin = dyn Fn(&str) -> bool;

/// Middleware that lets pages of other origins call an application from a browser (CORS).
///
/// Nothing is allowed until it is named: origins, request headers, response headers, credentials. The methods are GET,
/// HEAD and POST until [`methods`](Self::methods) names others. It answers preflights itself with 204, before any
/// middleware further in, so a login is not asked for a request that carries no cookie.
///
/// ```
/// use squall::middleware::Cors;
/// use squall::prelude::*;
///
/// let cors = Cors::new()
///     .origin("https://app.example")
///     .methods([Method::GET, Method::PUT])
///     .headers(["Content-Type", "X-Token"])
///     .credentials(true);
/// let api = Routes::new().middleware(cors).get("/items", async |_: &mut Context| "items");
/// let application = Application::new().nest("/api", api);
/// # application.build()?;
/// # Ok::<(), squall::Error>(())
/// ```
///
/// Give it to the application or to a group. A route's own middleware sees preflights only if its path has one route.
/// Put it outside of middleware whose errors pages shall read, such as a rate limit.
///
/// A request from an origin that is not allowed is answered as usual, without the fields that let the page read the
/// answer. Requests that change something need their own protection, such as XSRF tokens.
#[derive(Clone)]
#[must_use = "CORS does nothing until it is given to `middleware`"]
pub struct Cors {
    origins: Vec<HeaderValue>,
    /// Decides about origins that the list lacks.
    predicate: Option<Rc<AcceptsOrigin>>,
    allows_any_origin: bool,
    methods: HeaderValue,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    credentials: bool,
    max_age: Duration,
    flaw: Option<String>,
}

impl Cors {
    /// Makes the middleware, which allows no origin yet.
    pub fn new() -> Self {
        Self {
            origins: Vec::new(),
            predicate: None,
            allows_any_origin: false,
            methods: HeaderValue::from_static("GET, HEAD, POST"),
            headers: None,
            exposed: None,
            credentials: false,
            max_age: MAX_AGE,
            flaw: None,
        }
    }

    /// Allows pages of an origin, as browsers write it: `https://app.example` or `http://localhost:3000`.
    ///
    /// The application's build rejects an origin with a path, a slash at its end, capital letters or its scheme's
    /// default port. No browser sends it.
    pub fn origin(mut self, origin: &str) -> Self {
        match HeaderValue::from_str(origin).ok().filter(|_| is_origin(origin)) {
            Some(value) => self.origins.push(value),
            None => self.note(format!(
                "CORS allows `{}`, which is not an origin; write it as `https://app.example`",
                origin.escape_debug()
            )),
        }
        self
    }

    /// Allows pages of every origin, for answers that are public.
    ///
    /// Credentials are then impossible: together with [`credentials`](Self::credentials) the application's build fails.
    pub fn any_origin(mut self) -> Self {
        self.allows_any_origin = true;
        self
    }

    /// Allows pages of the origins that a function accepts, such as those of every subdomain.
    ///
    /// Compare the whole origin: `ends_with("example.com")` would also accept `https://evil-example.com`. The origin
    /// `null` is refused before the function is asked.
    pub fn origins_if(mut self, accepts: impl Fn(&str) -> bool + 'static) -> Self {
        self.predicate = Some(Rc::new(accepts));
        self
    }

    /// Sets the methods that pages may use, in place of GET, HEAD and POST.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        let names: Vec<Method> = methods.into_iter().collect();
        if let Some(methods) = self.joined("method", names.iter().map(Method::as_str)) {
            self.methods = methods;
        }
        self
    }

    /// Sets the fields that requests of pages may have, beside those that every page may set.
    pub fn headers<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.headers = self.joined("request header", names);
        self
    }

    /// Sets the fields of responses that pages may read, beside those that every page may read.
    pub fn expose<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.exposed = self.joined("exposed header", names);
        self
    }

    /// Sets whether requests of pages may carry cookies and other credentials; off by default.
    pub fn credentials(mut self, allowed: bool) -> Self {
        self.credentials = allowed;
        self
    }

    /// Sets how long browsers may remember the answer to a preflight, in whole seconds: 600 by default.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Keeps the first mistake.
    fn note(&mut self, flaw: String) {
        self.flaw.get_or_insert(flaw);
    }

    /// Joins names by commas; `None` for an empty list, and for one with an invalid name.
    fn joined<N: AsRef<str>>(&mut self, kind: &str, names: impl IntoIterator<Item = N>) -> Option<HeaderValue> {
        let mut list = String::new();
        for name in names {
            let name = name.as_ref();
            // With credentials a browser takes `*` literally, and without them the list says more.
            if !is_token(name.as_bytes()) || name == "*" {
                self.note(format!(
                    "CORS allows the {kind} `{}`, which is not a name; list each name",
                    name.escape_debug()
                ));
                return None;
            }
            if !list.is_empty() {
                list.push_str(", ");
            }
            list.push_str(name);
        }
        if list.is_empty() {
            None
        } else {
            HeaderValue::try_from(list).ok()
        }
    }

    /// Returns the value of `Access-Control-Allow-Origin` for a request; `None` if it has no origin, or another one.
    fn allowed_origin(&self, origin: Option<&[u8]>) -> Option<HeaderValue> {
        let origin = origin?;
        if let Some(known) = self.origins.iter().find(|known| known.as_bytes() == origin) {
            return Some(known.clone());
        }
        let text = core::str::from_utf8(origin).ok();
        if let (Some(accepts), Some(text)) = (&self.predicate, text)
            && is_origin(text)
            && accepts(text)
        {
            return HeaderValue::from_bytes(origin).ok();
        }
        self.allows_any_origin.then(|| HeaderValue::from_static("*"))
    }

    /// Whether responses depend on the origin.
    fn varies(&self) -> bool {
        !self.allows_any_origin || !self.origins.is_empty() || self.predicate.is_some()
    }

    /// Adds the fields that responses to preflights and to requests have alike.
    fn allow(&self, headers: &mut Headers, origin: HeaderValue) {
        let is_named = origin != "*";
        headers.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials && is_named {
            let value = HeaderValue::from_static("true");
            headers.set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, value);
        }
    }

    /// Answers a preflight: what pages of its origin may send.
    fn answer_preflight(&self, cx: &mut Context, origin: Option<HeaderValue>) {
        cx.set_status(StatusCode::NO_CONTENT);
        let headers = &mut cx.response.head.headers;
        for name in PREFLIGHT_FIELDS {
            vary::add(headers, name);
        }
        let Some(origin) = origin else { return };
        self.allow(headers, origin);
        headers.set(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        if let Some(allowed) = &self.headers {
            headers.set(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
        headers.set(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from(self.max_age.as_secs()),
        );
    }
}

impl Middleware for Cors {
    /// # Cancel safety
    ///
    /// As [`Next::run`].
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        let origin = origin(cx);
        let allowed = self.allowed_origin(origin);
        if origin.is_some() && is_preflight(cx) {
            self.answer_preflight(cx, allowed);
            return Ok(());
        }
        let headers = &mut cx.response.head.headers;
        if self.varies() {
            vary::add(headers, "Origin");
        }
        if let Some(allowed) = allowed {
            self.allow(headers, allowed);
            if let Some(exposed) = &self.exposed {
                headers.set(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
            }
        }
        next.run(cx).await;
        // A handler that sets its own `Vary` replaces the field.
        if self.varies() && !cx.response.head_sent {
            vary::add(&mut cx.response.head.headers, "Origin");
        }
        Ok(())
    }

    fn flaw(&self) -> Option<String> {
        if self.flaw.is_some() {
            return self.flaw.clone();
        }
        if self.allows_any_origin && self.credentials {
            let flaw = "CORS allows credentials to every origin; name the origins, or leave credentials out";
            return Some(flaw.to_owned());
        }
        let allows_nothing = self.origins.is_empty() && self.predicate.is_none() && !self.allows_any_origin;
        allows_nothing.then(|| "CORS allows no origin; add one with Cors::origin".to_owned())
    }
}

impl Default for Cors {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cors")
            .field("origins", &self.origins)
            .field("allows_any_origin", &self.allows_any_origin)
            .field("methods", &self.methods)
            .field("headers", &self.headers)
            .field("exposed", &self.exposed)
            .field("credentials", &self.credentials)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// The origin of a request; `None` without one, and with several, of which a proxy may have read another.
fn origin(cx: &Context) -> Option<&[u8]> {
    let mut lines = cx.head.fields().get_all("origin");
    let origin = lines.next()?;
    lines.next().is_none().then_some(origin)
}

/// Whether a request with an origin asks what a later request may do (Fetch standard, "CORS-preflight request").
fn is_preflight(cx: &Context) -> bool {
    let mut methods = cx.head.fields().get_all("access-control-request-method");
    *cx.head.method() == Method::OPTIONS && methods.next().is_some()
}

/// Whether a text is an origin as a browser writes it: a scheme, a host, and a port that is not the scheme's default.
///
/// `null` is not: it stands for every page without an origin, such as one in a sandboxed frame of an attacker.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let is_scheme_byte =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase()) && scheme.bytes().all(is_scheme_byte);
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_host_byte = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_' | b'[' | b']' | b':')
    };
    let default = match scheme {
        "http" => Some("80"),
        "https" => Some("443"),
        _ => None,
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port));
    let is_host = !host.is_empty() && host.bytes().all(is_host_byte) && (host.starts_with('[') || !host.contains(':'));
    is_scheme && is_host && is_port && (port.is_none() || port != default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in [
            "https://app.example",
            "http://localhost:3000",
            "http://127.0.0.1:8888",
            "https://[::1]",
            "http://[2001:db8::1]:8080",
            "https://xn--bcher-kva.example",
            "capacitor://localhost",
            "chrome-extension://abcdef",
        ] {
            assert!(is_origin(origin), "{origin}");
        }
        for text in [
            "",
            "null",
            "*",
            "app.example",
            "https://",
            "https://app.example/",
            "https://app.example/a",
            "https://App.example",
            "HTTPS://app.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://app.example:",
            "https://app.example:08",
            "https://app.example:99999",
            "https://a b",
            "https://a,https://b",
            "https://user@app.example",
            "https://*.example",
            "https://bücher.example",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }

    #[test]
    fn settings_that_would_be_unsafe_or_useless_are_flaws() {
        for (cors, expected) in [
            (Cors::new(), "allows no origin"),
            (
                Cors::new().any_origin().credentials(true),
                "credentials to every origin",
            ),
            (Cors::new().origin("https://a/"), "`https://a/`, which is not an origin"),
            (Cors::new().origin("null"), "`null`, which is not an origin"),
            (Cors::new().any_origin().headers(["*"]), "the request header `*`"),
            (Cors::new().any_origin().expose(["a b"]), "the exposed header `a b`"),
        ] {
            let flaw = cors.flaw().unwrap();
            assert!(flaw.contains(expected), "{flaw}");
        }
        let named = Cors::new().origin("https://a").credentials(true);
        assert_eq!(named.flaw(), None);
        assert_eq!(Cors::new().any_origin().flaw(), None);
    }
}
