//! Middleware that keeps clients on HTTPS: a redirect from plain HTTP, and a promise to browsers (HSTS).

use core::time::Duration;

use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::error::{Result, bad_request};
use crate::message::{HeaderValue, StatusCode, header};

/// The port of HTTPS without a number in the URL.
const HTTPS_PORT: u16 = 443;

/// Middleware that tells browsers to use HTTPS alone for this host, from [`hsts`].
#[derive(Debug, Clone)]
pub struct Hsts {
    value: HeaderValue,
}

/// Makes middleware that tells browsers to use HTTPS alone for this host, for this long (HSTS, RFC 6797).
///
/// Each response over HTTPS says it anew. Begin with a day: a browser that has seen it refuses plain HTTP until the time
/// is over. Seconds count; a fraction is dropped.
///
/// ```
/// use std::time::Duration;
///
/// use squall::middleware::hsts;
/// use squall::prelude::*;
///
/// let application = Application::new().middleware(hsts(Duration::from_secs(24 * 3600)));
/// ```
#[must_use = "middleware has an effect only in an application"]
pub fn hsts(max_age: Duration) -> Hsts {
    let value = HeaderValue::try_from(format!("max-age={}", max_age.as_secs()));
    Hsts {
        value: value.unwrap_or(HeaderValue::from_static("max-age=0")),
    }
}

impl Middleware for Hsts {
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        // RFC 6797 §7.2: over plain HTTP anyone could have written it.
        if cx.protocol() == "https" {
            cx.set_header(header::STRICT_TRANSPORT_SECURITY, self.value.clone())?;
        }
        next.run(cx).await;
        Ok(())
    }
}

/// Middleware that redirects each request over plain HTTP to HTTPS on the same host.
#[derive(Debug, Clone, Copy)]
pub struct RedirectToHttps {
    port: u16,
}

impl RedirectToHttps {
    /// Redirects to this port of the host.
    #[cfg(feature = "serve")]
    pub(crate) const fn port(port: u16) -> Self {
        Self { port }
    }

    /// Returns the URL over HTTPS; `None` if the request names no host or no path.
    fn location(self, cx: &Context) -> Option<String> {
        let (host, path) = (cx.host_name(), cx.path());
        if host.is_empty() || !path.starts_with('/') {
            return None;
        }
        let port = match self.port {
            HTTPS_PORT => String::new(),
            port => format!(":{port}"),
        };
        let query = cx.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("https://{host}{port}{path}{query}"))
    }
}

/// Makes middleware that redirects each request over plain HTTP to HTTPS on the same host: 308.
///
/// Add it first, so that it precedes all other middleware. The flag `--redirect-to-https` does the same.
///
/// ```
/// use squall::middleware::redirect_to_https;
/// use squall::prelude::*;
///
/// let application = Application::new().middleware(redirect_to_https());
/// ```
#[must_use = "middleware has an effect only in an application"]
pub const fn redirect_to_https() -> RedirectToHttps {
    RedirectToHttps { port: HTTPS_PORT }
}

impl Middleware for RedirectToHttps {
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        if cx.protocol() == "https" {
            next.run(cx).await;
            return Ok(());
        }
        let location = self.location(cx);
        let location =
            location.ok_or_else(|| bad_request("this address redirects to HTTPS; name a host and a path"))?;
        cx.redirect(&location)?;
        cx.set_status(StatusCode::PERMANENT_REDIRECT);
        Ok(())
    }
}
