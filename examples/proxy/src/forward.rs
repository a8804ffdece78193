//! Forwards a request to an upstream, and its response to the client.

use std::rc::Rc;

use squall::client::{Client, FetchError, FetchFailure, Request, Step};
use squall::message::Headers;
use squall::prelude::*;

use crate::upstreams::Upstreams;

/// Fields that belong to one connection (RFC 9110 §7.6.1), beside those that `Connection` names.
const OF_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that the proxy sets itself. A client's own are dropped: the upstream trusts them.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// The name of this proxy in `Via` (RFC 9110 §7.6.3).
const VIA: &str = "1.1 squall-proxy";

/// Forwards a request to the upstream whose turn it is, or to the next that can be reached.
pub(crate) async fn forward(cx: &mut Context) -> Result {
    let client = cx.state::<Client>()?;
    let upstreams = cx.state::<Rc<Upstreams>>()?;
    let fields = request_fields(cx)?;
    let target = target(cx);
    let mut body = Some(cx.take_body()?);
    let mut failed = None;
    for upstream in upstreams.in_turn() {
        // A stream is sent once, so it gets one upstream.
        let Some(content) = body.take() else { break };
        if matches!(content, Body::Empty) {
            body = Some(Body::Empty);
        }
        let request = Request::new(cx.method().clone(), &format!("{}{target}", upstream.url));
        match client.fetch(request.headers(&fields).body(content)).await {
            Ok(response) => {
                cx.set_status(response.status());
                for (name, value) in response.headers().iter() {
                    if !is_of_connection(name.as_str(), response.header("connection")) {
                        cx.add_header(name.clone(), value.clone())?;
                    }
                }
                cx.add_header("via", VIA)?;
                cx.write_body(response.into_body());
                return Ok(());
            }
            Err(error) if error.is_connect() => {
                tracing::warn!(upstream = upstream.url, %error, "could not reach an upstream");
                failed = Some(error);
            }
            Err(error) => return Err(refusal(error)),
        }
    }
    Err(failed.map_or_else(no_upstream, refusal))
}

/// The path and query of a request, as received.
pub(crate) fn target(cx: &Context) -> String {
    match cx.query() {
        Some(query) => format!("{}?{query}", cx.path()),
        None => cx.path().to_owned(),
    }
}

/// The fields for the upstream: those of the client, and where the request comes from.
pub(crate) fn request_fields(cx: &Context) -> Result<Headers> {
    let mut fields = Headers::new();
    let named = cx.header("connection");
    for (name, value) in cx.headers().iter() {
        if is_of_connection(name, named) || FORWARDED.contains(&name) || name == "expect" {
            continue;
        }
        fields.add(
            HeaderName::from_bytes(name.as_bytes())?,
            HeaderValue::from_bytes(value)?,
        );
    }
    if let Some(address) = cx.remote_ip() {
        set(&mut fields, "x-forwarded-for", &address.to_string())?;
    }
    set(&mut fields, "x-forwarded-host", cx.host())?;
    set(&mut fields, "x-forwarded-proto", cx.protocol())?;
    fields.add(HeaderName::from_static("via"), HeaderValue::from_static(VIA));
    Ok(fields)
}

fn set(fields: &mut Headers, name: &'static str, value: &str) -> Result {
    fields.set(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    Ok(())
}

/// Returns whether a field is for the other end of one connection. `named` is the value of `Connection`.
fn is_of_connection(name: &str, named: Option<&str>) -> bool {
    let mut options = named.unwrap_or_default().split(',').map(str::trim);
    OF_CONNECTION.contains(&name) || options.any(|option| option.eq_ignore_ascii_case(name))
}

/// The answer to a client whose request could not be forwarded.
fn refusal(error: FetchError) -> Error {
    let status = match error.failure() {
        FetchFailure::Timeout { step, .. } if *step != Step::Connect => 504,
        FetchFailure::Busy { .. } | FetchFailure::OutOfMemory => 503,
        _ => 502,
    };
    HttpError::new(status).with_source(error).into()
}

/// The answer while every upstream is unhealthy.
fn no_upstream() -> Error {
    HttpError::new(503).with_message("no upstream is healthy").into()
}
