//! The default error page: status, reason phrase and the message for the client, as HTML, JSON or plain text.
//!
//! The first supported type in `Accept` decides. The page contains nothing of the request, and the message is
//! escaped. `nosniff` stops browsers from treating other types as HTML.

use crate::app::context::Context;
use crate::error::Error;
use crate::message::{HeaderValue, MediaType, header};

/// What every HTML page begins with: it fits a phone, and a browser in dark mode shows it dark.
const HTML_BEGIN: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n";

/// The whole style: a readable column, without colours of its own.
const HTML_STYLE: &str = "<style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:32em;margin:16vh auto;padding:0 1.25em;\
    overflow-wrap:anywhere}h1{font-size:1.7em;line-height:1.2;letter-spacing:-.01em}p{opacity:.8}</style>\n";

/// Writes the page of an error.
pub(in crate::app) fn write(cx: &mut Context, error: &Error) {
    let media_type = preferred(cx);
    let status = error.status();
    let reason = status.canonical_reason().unwrap_or("Unknown");
    let (code, message) = (status.as_u16(), error.message());
    let page = match media_type {
        MediaType::Json => {
            let fields = serde_json::json!({ "status": code, "error": reason, "message": message });
            format!("{fields}\n")
        }
        MediaType::Html => {
            let message = message
                .map(|message| format!("<p>{}</p>\n", escape(message)))
                .unwrap_or_default();
            format!("{HTML_BEGIN}<title>{code} {reason}</title>\n{HTML_STYLE}<h1>{code} {reason}</h1>\n{message}")
        }
        MediaType::Text | MediaType::Bytes => match message {
            Some(message) => format!("{code} {reason}: {message}\n"),
            None => format!("{code} {reason}\n"),
        },
    };
    let headers = &mut cx.response.head.headers;
    headers.set(header::CONTENT_TYPE, media_type.header_value());
    headers.set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.add(header::VARY, HeaderValue::from_static("Accept"));
    cx.write(page);
}

/// The first supported type in `Accept` that is not excluded by `q=0`; else plain text.
fn preferred(cx: &Context) -> MediaType {
    let ranges = cx
        .headers()
        .get_all("accept")
        .flat_map(|line| line.split(|&byte| byte == b','));
    for range in ranges {
        let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let media_type = parts.next().unwrap_or_default();
        let refused = parts.any(|parameter| matches!(parameter, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"));
        let known = [
            (&b"text/html"[..], MediaType::Html),
            (b"application/json", MediaType::Json),
            (b"text/plain", MediaType::Text),
        ];
        if !refused && let Some((_, found)) = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(media_type)) {
            return *found;
        }
    }
    MediaType::Text
}

/// Escapes text for HTML.
pub(in crate::app) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
