//! The default error page: status, reason and the message for the client, as HTML, JSON or plain text.
//!
//! HTML is the default; `Accept` chooses. Texts are escaped, because a reason or a message may come from the request.
//! `nosniff` stops browsers from treating other types as HTML. With `--debug`, the details of the error follow.

use core::cmp::Reverse;

use serde::Serialize;

use super::debug_page::Details;
use super::html::{BEGIN, escape};
use super::vary;
use crate::app::context::Context;
use crate::app::request::weight::weight;
use crate::error::Error;
use crate::message::{HeaderValue, MediaType, header};

/// The whole style: a readable column, without colours of its own.
const HTML_STYLE: &str = "body{font:1.1em/1.5 system-ui,sans-serif;max-width:32em;margin:16vh auto;padding:0 1.25em;\
    overflow-wrap:anywhere}h1{font-size:1.7em;line-height:1.2;letter-spacing:-.01em}p{opacity:.8}";

/// The types of the page. Of two that a client likes equally, the earlier one is sent.
const TYPES: [(MediaType, &[u8]); 3] = [
    (MediaType::Html, b"text/html"),
    (MediaType::Json, b"application/json"),
    (MediaType::Text, b"text/plain"),
];

/// The page as JSON.
#[derive(Serialize)]
struct JsonPage<'p> {
    status: u16,
    error: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'p str>,
    #[serde(flatten)]
    details: Option<&'p Details>,
}

/// Writes the page of an error, with the details that only developers may see where there are any.
pub(in crate::app) fn write(cx: &mut Context, error: &Error, details: Option<&Details>) {
    let media_type = preferred(cx);
    let status = error.status();
    let reason = error
        .reason()
        .or_else(|| status.canonical_reason())
        .unwrap_or("Unknown");
    let (code, message) = (status.as_u16(), error.message());
    let page = match media_type {
        MediaType::Json => json(&JsonPage {
            status: code,
            error: reason,
            message,
            details,
        }),
        MediaType::Html => {
            let reason = escape(reason);
            let message = message.map(|message| format!("<p>{}</p>\n", escape(message)));
            let (message, details) = (
                message.unwrap_or_default(),
                details.map(Details::html).unwrap_or_default(),
            );
            // A page whose policy asks for a nonce would lose its style without one.
            let nonce = cx
                .csp_nonce()
                .map(|nonce| format!(" nonce=\"{nonce}\""))
                .unwrap_or_default();
            format!(
                "{BEGIN}<title>{code} {reason}</title>\n<style{nonce}>{HTML_STYLE}</style>\n\
                 <h1>{code} {reason}</h1>\n{message}{details}"
            )
        }
        MediaType::Text | MediaType::Bytes => {
            let message = message.map(|message| format!(": {message}")).unwrap_or_default();
            let details = details.map(Details::text).unwrap_or_default();
            format!("{code} {reason}{message}\n{details}")
        }
    };
    let headers = &mut cx.response.head.headers;
    headers.set(header::CONTENT_TYPE, media_type.header_value());
    headers.set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    vary::add(headers, "Accept");
    cx.write(page);
}

/// Writes JSON in which a text cannot end a script element.
fn json(page: &JsonPage<'_>) -> String {
    let mut text = serde_json::to_string(page).unwrap_or_default().replace('<', "\\u003c");
    text.push('\n');
    text
}

/// The type that `Accept` gives the highest weight (RFC 9110 §12.5.1); of equal ones, the type that it names itself and
/// earliest.
fn preferred(cx: &Context) -> MediaType {
    let mut ranks = [(0, 0, Reverse(0)); TYPES.len()];
    let lines = cx.headers().get_all("accept");
    let ranges = lines.flat_map(|line| line.split(|&byte| byte == b','));
    for (place, range) in ranges.enumerate() {
        let mut parts = range.split(|&byte| byte == b';');
        let range = parts.next().unwrap_or_default().trim_ascii();
        let weight = weight(parts);
        for ((_, name), rank) in TYPES.iter().zip(&mut ranks) {
            let precision = precision(range, name);
            // The most precise range decides, whatever its weight.
            if precision > rank.1 {
                *rank = (weight, precision, Reverse(place));
            }
        }
    }
    let mut best = (MediaType::Html, (0, 0, Reverse(0)));
    for ((media_type, _), rank) in TYPES.into_iter().zip(ranks) {
        if rank.0 > 0 && rank > best.1 {
            best = (media_type, rank);
        }
    }
    best.0
}

/// How precisely a media range names a type: 3 by its name, 2 by `text/*`, 1 by `*/*`, 0 not at all.
fn precision(range: &[u8], name: &[u8]) -> u8 {
    if range.eq_ignore_ascii_case(name) {
        return 3;
    }
    let Some(kind) = range.strip_suffix(b"/*") else {
        return 0;
    };
    if kind == b"*" {
        return 1;
    }
    let named = name.split(|&byte| byte == b'/').next().unwrap_or_default();
    if kind.eq_ignore_ascii_case(named) { 2 } else { 0 }
}
