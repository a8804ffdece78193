//! Middleware against forged requests (Tornado's `xsrf_cookies`).
//!
//! A page of another site can make a visitor's browser send a request here, with the visitor's cookies. It can neither
//! read nor set a cookie of this site. So a request that changes something must repeat the token of a cookie, in a field
//! or a form. As a second line, a browser that says that a page of another site sent the request is believed.
//!
//! 404 and 405 are answered without the check.

use std::rc::Rc;

use cookie::Cookie;
use serde::Deserialize;

use super::xsrf_settings::XsrfSettings;
use super::xsrf_token::{MASK_BYTES, TOKEN_BYTES, XsrfToken};
use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::app::response::html::escape;
use crate::app::response::responder::Html;
use crate::app::routing::Route;
use crate::error::{Error, HttpError, Result};
use crate::message::{Method, StatusCode};

/// The name of the form's field and of the query parameter.
const FIELD: &str = "_xsrf";

/// The request fields that carry a token.
const HEADERS: [&str; 2] = ["x-xsrftoken", "x-csrftoken"];

/// Middleware that answers 403 to requests which a page of another site has forged.
///
/// It checks every method except GET, HEAD, OPTIONS and TRACE. Such a request repeats the token of the cookie `_xsrf` in
/// the field `X-Xsrftoken` or `X-Csrftoken`, in the query or in the form's field `_xsrf`. Formats and names are
/// Tornado's.
///
/// ```
/// use squall::middleware::Xsrf;
/// use squall::prelude::*;
/// use squall::routing::post;
/// # use squall::testing::TestClient;
///
/// async fn form(cx: &mut Context) -> Result<Html<String>> {
///     let token = cx.xsrf_form_html()?.0;
///     Ok(Html(format!("<form method=post>{token}<button>Order</button></form>")))
/// }
///
/// fn application() -> Application {
///     Application::new()
///         .middleware(Xsrf::new())
///         .get("/order", form)
///         .post("/order", async |_: &mut Context| "ordered")
///         // Another server calls it, without a browser and without cookies.
///         .route("/webhook", post(async |_: &mut Context| "received").without_xsrf())
/// }
///
/// # let client = TestClient::new(application)?;
/// # assert_eq!(client.post("/order").send()?.status(), 403);
/// # assert_eq!(client.post("/webhook").send()?.text(), "received");
/// # Ok::<(), Error>(())
/// ```
///
/// A form is read whole to find its field, up to [`max_form_bytes`](Self::max_form_bytes). A client that streams a larger
/// one sends the token in a field or in the query.
///
/// The second line: if the browser sends `Sec-Fetch-Site`, it must say that the request comes from this origin or from
/// the user. Otherwise an `Origin`, if there is one, must be this origin. [`trusted_origin`](Self::trusted_origin) adds others.
#[derive(Debug, Clone, Default)]
#[must_use = "middleware does nothing until it is given to an application, a group or a route"]
pub struct Xsrf {
    settings: Rc<XsrfSettings>,
}

/// The field of a form.
#[derive(Deserialize)]
struct TokenFields {
    #[serde(rename = "_xsrf", default)]
    tokens: Vec<String>,
}

impl Xsrf {
    /// Makes the middleware with the cookie `_xsrf`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name and the attributes of the cookie (Tornado's `xsrf_cookie_name` and `xsrf_cookie_kwargs`).
    ///
    /// On a site with TLS, use `Cookie::build("__Host-xsrf").http_only(false)`: no other host of the domain can set it.
    /// `http_only(true)` hides it from scripts, which then take the token out of the page.
    pub fn cookie(mut self, cookie: impl Into<Cookie<'static>>) -> Self {
        Rc::make_mut(&mut self.settings).cookie = cookie.into();
        self
    }

    /// Trusts the pages of another origin, such as `https://app.example.com`; they still need the token.
    pub fn trusted_origin(mut self, origin: &str) -> Self {
        let settings = Rc::make_mut(&mut self.settings);
        settings.trusted_origins.push(origin.to_owned());
        self
    }

    /// Sets how many bytes of a form are read to find the token, 1 MiB by default.
    pub fn max_form_bytes(mut self, bytes_max: u64) -> Self {
        Rc::make_mut(&mut self.settings).max_form_bytes = bytes_max;
        self
    }

    async fn check(&self, cx: &mut Context) -> Result {
        if !self.is_of_own_page(cx) {
            return Err(refusal("the request comes from a page of another site"));
        }
        let expected = cx.xsrf_cookie(&self.settings)?;
        let Some(sent) = self.sent_token(cx).await? else {
            return Err(refusal(
                "the XSRF token is missing: send it as `_xsrf` or in X-Xsrftoken",
            ));
        };
        match (expected, XsrfToken::read(&sent)) {
            (Some(expected), Some(sent)) if expected == sent => Ok(()),
            _ => Err(refusal("the XSRF token does not fit its cookie: load the page again")),
        }
    }

    /// Whether the browser, if it says anything, says that a page of this site sent the request.
    fn is_of_own_page(&self, cx: &Context) -> bool {
        let trusted = &self.settings.trusted_origins;
        let is_trusted = |origin: &str| trusted.iter().any(|known| known.eq_ignore_ascii_case(origin));
        if cx.header("origin").is_some_and(is_trusted) {
            return true;
        }
        match cx.header("sec-fetch-site") {
            Some("same-origin" | "none") => true,
            Some("same-site" | "cross-site") => false,
            _ => cx.is_of_own_origin(),
        }
    }

    /// The token that the client sent: in a field, in the query or in a form.
    async fn sent_token(&self, cx: &mut Context) -> Result<Option<String>> {
        let field = HEADERS.iter().find_map(|name| cx.header(name));
        if let Some(token) = field {
            return Ok(Some(token.to_owned()));
        }
        // A parameter that cannot be decoded counts as missing.
        if let Ok(Some(token)) = cx.optional_query_param(FIELD) {
            return Ok(Some(token));
        }
        let bytes_max = cx.content_length().unwrap_or_else(|| cx.body_limit());
        if bytes_max > self.settings.max_form_bytes {
            return Ok(None);
        }
        match cx.form::<TokenFields>().await {
            Ok(TokenFields { mut tokens }) => Ok(tokens.pop()),
            // The content is another type, or a malformed form.
            Err(error)
                if matches!(
                    error.status(),
                    StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Middleware for Xsrf {
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        cx.identity().xsrf.replace(Some(Rc::clone(&self.settings)));
        let is_safe = matches!(
            *cx.method(),
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
        );
        if !is_safe && next.has_handler() && !cx.skips_xsrf {
            self.check(cx).await?;
        }
        next.run(cx).await;
        Ok(())
    }
}

impl Route {
    /// Exempts this route from [`Xsrf`](crate::middleware::Xsrf), for clients other than browsers, such as webhooks.
    ///
    /// Such a route must not act on cookies.
    pub fn without_xsrf(mut self) -> Self {
        self.skips_xsrf = true;
        self
    }
}

impl Context {
    /// Returns the XSRF token for a page (Tornado's `xsrf_token`), and sets its cookie unless a usable one came.
    ///
    /// It is masked afresh for each request, so that the page can be compressed. Scripts send it in `X-Xsrftoken`.
    ///
    /// # Errors
    ///
    /// 500 if the cookie must be set and the head has been sent, or if no server runs the application; 431 for too many
    /// cookies.
    pub fn xsrf_token(&self) -> Result<&str> {
        let identity = self.identity();
        if let Some(text) = identity.xsrf_token.get() {
            return Ok(text);
        }
        let settings = identity.xsrf.borrow().clone().unwrap_or_default();
        let known = self.xsrf_cookie(&settings)?;
        let is_known = known.is_some();
        let token = match known {
            Some(token) => token,
            None => XsrfToken::new(self.random::<TOKEN_BYTES>()?),
        };
        let text = token.masked(self.random::<MASK_BYTES>()?, self.wall()?);
        if !is_known {
            let mut cookie = settings.cookie.clone();
            cookie.set_value(text.clone());
            self.cookies().set(cookie)?;
        }
        Ok(identity.xsrf_token.get_or_init(|| text))
    }

    /// Returns the hidden input that carries the XSRF token in a form (Tornado's `xsrf_form_html`).
    ///
    /// In a template of askama, use the filter [`xsrf_form_html`](crate::views::filters::xsrf_form_html).
    ///
    /// # Errors
    ///
    /// As [`xsrf_token`](Self::xsrf_token).
    pub fn xsrf_form_html(&self) -> Result<Html<String>> {
        let token = escape(self.xsrf_token()?);
        Ok(Html(format!(
            "<input type=\"hidden\" name=\"{FIELD}\" value=\"{token}\">"
        )))
    }

    /// The token of the request's cookie; `None` if it is missing or malformed.
    fn xsrf_cookie(&self, settings: &XsrfSettings) -> Result<Option<XsrfToken>> {
        let text = self.cookies().get(settings.cookie.name())?;
        Ok(text.and_then(|text| XsrfToken::read(&text)))
    }
}

fn refusal(why: &'static str) -> Error {
    HttpError::new(StatusCode::FORBIDDEN).with_message(why).into()
}
