//! The fields that tell a browser to protect a page: what it may load, who may frame it, and that it needs TLS.
//!
//! One call sets them for every response of an application, its error pages included. A handler that sets such a field
//! itself replaces it.

use core::cell::OnceCell;
use core::time::Duration;

use super::nonce::nonce;
use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::error::{Error, Result};
use crate::message::{HeaderName, HeaderValue, header};

/// The place of the nonce in the sources of a directive.
const NONCE_PLACE: &str = "{nonce}";

/// How long a browser remembers that a site needs TLS: a year, which the lists of browsers ask for.
const TRANSPORT_MAX_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a page may load and do.
const PAGE_DIRECTIVES: [(&str, &str); 7] = [
    ("default-src", "'self'"),
    ("script-src", "'self' 'nonce-{nonce}'"),
    ("style-src", "'self' 'nonce-{nonce}'"),
    ("object-src", "'none'"),
    ("base-uri", "'none'"),
    ("form-action", "'self'"),
    ("frame-ancestors", "'none'"),
];

/// What the answer of an API may load and do, should a browser show it as a page.
const API_DIRECTIVES: [(&str, &str); 2] = [("default-src", "'none'"), ("frame-ancestors", "'none'")];

/// Middleware that sets the security fields of every response in one call.
///
/// ```
/// use squall::middleware::SecurityHeaders;
/// use squall::prelude::*;
///
/// let application = Application::new()
///     .middleware(SecurityHeaders::page().directive("img-src", "'self' data:"))
///     .get("/", async |_: &mut Context| Html("<h1>Hello</h1>"));
/// ```
///
/// | field | [`page`](Self::page) | [`api`](Self::api) |
/// |---|---|---|
/// | `Content-Security-Policy` | own origin only; scripts and styles in the page need the nonce; no frames, no plugins | nothing |
/// | `X-Frame-Options` | as the directive `frame-ancestors` | the same |
/// | `X-Content-Type-Options` | `nosniff` | the same |
/// | `Referrer-Policy` | `strict-origin-when-cross-origin` | `no-referrer` |
/// | `Cross-Origin-Opener-Policy` | `same-origin` | the same |
/// | `Cross-Origin-Resource-Policy` | `same-origin` | the same |
/// | `Strict-Transport-Security` | a year, over TLS only | the same |
///
/// Add it outside of all other middleware, so that their errors carry the fields too.
/// [`Context::csp_nonce`] returns the nonce, which each response draws anew.
#[derive(Debug, Clone)]
#[must_use = "security headers do nothing until they are given to `middleware`"]
pub struct SecurityHeaders {
    /// Fields with the same value in every response.
    fields: Vec<(HeaderName, HeaderValue)>,
    directives: Vec<(String, String)>,
    /// Whether `X-Frame-Options` repeats `frame-ancestors` for old browsers.
    frame_options: bool,
    transport: Option<HeaderValue>,
    flaw: Option<String>,
    policy: OnceCell<Policy>,
}

/// The policy as it is sent.
#[derive(Debug, Clone)]
enum Policy {
    Nothing,
    Fixed(HeaderValue),
    /// The texts around each nonce.
    WithNonce(Vec<String>),
}

impl SecurityHeaders {
    /// Makes the fields for pages: they load from their own origin, and no other page frames them.
    pub fn page() -> Self {
        Self::new(
            &PAGE_DIRECTIVES,
            HeaderValue::from_static("strict-origin-when-cross-origin"),
        )
    }

    /// Makes the fields for an API, whose answers no browser shows as pages.
    pub fn api() -> Self {
        Self::new(&API_DIRECTIVES, HeaderValue::from_static("no-referrer"))
    }

    fn new(directives: &[(&str, &str)], referrer: HeaderValue) -> Self {
        let same_origin = HeaderValue::from_static("same-origin");
        let directives = directives.iter();
        let made = Self {
            fields: vec![
                (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
                (header::REFERRER_POLICY, referrer),
                (
                    HeaderName::from_static("cross-origin-opener-policy"),
                    same_origin.clone(),
                ),
                (HeaderName::from_static("cross-origin-resource-policy"), same_origin),
            ],
            directives: directives
                .map(|(name, sources)| ((*name).to_owned(), (*sources).to_owned()))
                .collect(),
            frame_options: true,
            transport: None,
            flaw: None,
            policy: OnceCell::new(),
        };
        made.strict_transport(TRANSPORT_MAX_AGE)
    }

    /// Sets one directive of the `Content-Security-Policy`, such as `img-src` with the sources `'self' data:`.
    ///
    /// `{nonce}` in the sources stands for the nonce: `'self' 'nonce-{nonce}'`. A directive without sources, such as
    /// `upgrade-insecure-requests`, has an empty text.
    pub fn directive(mut self, name: &str, sources: &str) -> Self {
        self.policy.take();
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
        let is_source_byte = |byte: u8| (b' '..=b'~').contains(&byte) && !matches!(byte, b';' | b',');
        if !is_name || !sources.bytes().all(is_source_byte) {
            let (name, sources) = (name.escape_debug(), sources.escape_debug());
            self.flaw.get_or_insert_with(|| {
                format!("the directive `{name} {sources}` of the Content-Security-Policy is invalid; write one directive in ASCII without `;` and `,`")
            });
            return self;
        }
        match self.directives.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => sources.clone_into(known),
            None => self.directives.push((name.to_owned(), sources.to_owned())),
        }
        self
    }

    /// Removes one directive of the `Content-Security-Policy`.
    pub fn without_directive(mut self, name: &str) -> Self {
        self.policy.take();
        self.directives.retain(|(known, _)| known != name);
        self
    }

    /// Sets how long browsers use TLS alone for this host, in whole seconds (RFC 6797); a year by default.
    ///
    /// The field is sent over TLS only, as the RFC demands. Zero makes browsers forget it.
    pub fn strict_transport(mut self, max_age: Duration) -> Self {
        let value = HeaderValue::try_from(format!("max-age={}", max_age.as_secs()));
        self.transport = value.ok();
        self
    }

    /// Sets another field of every response, in place of the value it has so far.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, value));
        self
    }

    /// Leaves a field out.
    pub fn without(mut self, name: &HeaderName) -> Self {
        if *name == header::CONTENT_SECURITY_POLICY {
            self.directives.clear();
            self.policy.take();
        } else if *name == header::X_FRAME_OPTIONS {
            self.frame_options = false;
        } else if *name == header::STRICT_TRANSPORT_SECURITY {
            self.transport = None;
        }
        self.fields.retain(|(known, _)| known != name);
        self
    }

    /// The policy, joined once.
    fn policy(&self) -> &Policy {
        self.policy.get_or_init(|| {
            let mut text = String::new();
            for (name, sources) in &self.directives {
                let separator = if text.is_empty() { "" } else { "; " };
                let blank = if sources.is_empty() { "" } else { " " };
                text.push_str(&[separator, name, blank, sources].concat());
            }
            if text.contains(NONCE_PLACE) {
                return Policy::WithNonce(text.split(NONCE_PLACE).map(str::to_owned).collect());
            }
            match HeaderValue::try_from(text) {
                Ok(value) if !value.is_empty() => Policy::Fixed(value),
                _ => Policy::Nothing,
            }
        })
    }

    /// What `X-Frame-Options` can say of `frame-ancestors`: nothing about a list of origins.
    fn frame_options(&self) -> Option<HeaderValue> {
        let mut directives = self.directives.iter().filter(|_| self.frame_options);
        let (_, ancestors) = directives.find(|(name, _)| name == "frame-ancestors")?;
        match ancestors.as_str() {
            "'none'" => Some(HeaderValue::from_static("DENY")),
            "'self'" => Some(HeaderValue::from_static("SAMEORIGIN")),
            _ => None,
        }
    }

    fn write(&self, cx: &mut Context) -> Result {
        let policy = match self.policy() {
            Policy::Nothing => None,
            Policy::Fixed(value) => Some(value.clone()),
            Policy::WithNonce(texts) => {
                let text = texts.join(nonce(cx)?);
                Some(HeaderValue::try_from(text).map_err(Error::new)?)
            }
        };
        let transport = self.transport.as_ref().filter(|_| cx.protocol() == "https");
        let headers = &mut cx.response.head.headers;
        for (name, value) in &self.fields {
            headers.set(name.clone(), value.clone());
        }
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_FRAME_OPTIONS, self.frame_options()),
            (header::STRICT_TRANSPORT_SECURITY, transport.cloned()),
        ] {
            if let Some(value) = value {
                headers.set(name, value);
            }
        }
        Ok(())
    }
}

impl Middleware for SecurityHeaders {
    /// # Errors
    ///
    /// 500 if the policy has a nonce and no server runs the application, or the kernel refuses random numbers.
    ///
    /// # Cancel safety
    ///
    /// As [`Next::run`].
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        self.write(cx)?;
        next.run(cx).await;
        Ok(())
    }

    fn flaw(&self) -> Option<String> {
        self.flaw.clone()
    }
}
