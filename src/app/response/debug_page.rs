//! The details of an error for its developer: the chain of causes, the route and the request.
//!
//! Error pages have them only with `--debug`. Values of fields that hold secrets are left out even then, because
//! developers share such pages.

use serde::Serialize;

use super::html::escape;
use crate::app::catch_panic::catch_panic;
use crate::app::context::Context;
use crate::error::Error;

/// Fields of a request whose values are secrets.
const SECRET_FIELDS: [&str; 6] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-csrftoken",
    "x-xsrftoken",
];

/// Most causes on a page. 32: a chain may be endless.
const CAUSES_MAX: usize = 32;

/// What a developer sees of an error.
#[derive(Debug, Serialize)]
pub(in crate::app) struct Details {
    /// The error and its causes, the outermost first.
    causes: Vec<String>,
    /// The pattern of the route that matched.
    route: Option<String>,
    /// The head of the request, one line each.
    request: Vec<String>,
}

impl Details {
    /// Collects the details of an error; `None` unless the application shows them.
    pub(super) fn of(cx: &Context, error: &Error) -> Option<Self> {
        if !cx.shared.is_debug() {
            return None;
        }
        // Formatting a cause runs code of the application.
        let causes = catch_panic(&cx.shared, || causes(error));
        let causes = causes.unwrap_or_else(|panic| vec![format!("could not show the error: {panic}")]);
        let target = cx.query().map(|query| format!("{}?{query}", cx.path()));
        let target = target.unwrap_or_else(|| cx.path().to_owned());
        let mut request = vec![format!("{} {target}", cx.method())];
        request.extend(cx.headers().iter().map(|(name, value)| {
            let is_secret = SECRET_FIELDS.iter().any(|secret| secret.eq_ignore_ascii_case(name));
            let value = if is_secret {
                "(hidden)".into()
            } else {
                String::from_utf8_lossy(value)
            };
            format!("{name}: {value}")
        }));
        Some(Self {
            causes,
            route: cx.pattern().map(str::to_owned),
            request,
        })
    }

    /// Returns the sections of an HTML page.
    pub(super) fn html(&self) -> String {
        let causes: String = self
            .causes
            .iter()
            .map(|cause| format!("<li>{}\n", escape(cause)))
            .collect();
        let (route, request) = (escape(self.route()), escape(&self.request.join("\n")));
        format!(
            "<h2>Causes</h2>\n<ol>\n{causes}</ol>\n<h2>Route</h2>\n<p><code>{route}</code></p>\n\
             <h2>Request</h2>\n<pre style=\"white-space:pre-wrap\">{request}</pre>\n\
             <p>You see this because the server runs with <code>--debug</code>.</p>\n"
        )
    }

    /// Returns the sections of a page in plain text.
    pub(super) fn text(&self) -> String {
        let lines = |lines: &[String]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
        let (causes, request, route) = (lines(&self.causes), lines(&self.request), self.route());
        format!("\nCauses\n{causes}\nRoute\n  {route}\n\nRequest\n{request}")
    }

    fn route(&self) -> &str {
        self.route.as_deref().unwrap_or("none")
    }
}

/// The texts of an error and of its causes.
fn causes(error: &Error) -> Vec<String> {
    let causes = error.causes().map(ToString::to_string);
    core::iter::once(error.to_string())
        .chain(causes)
        .take(CAUSES_MAX)
        .collect()
}
