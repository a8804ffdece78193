//! The request, encoded once before the run (RFC 9112 section 3).

use anyhow::{Result, bail};
use http::{Method, header};

use crate::load::plan::{Kind, Plan};

/// Encodes the request that `plan` repeats; that of an upload without its content.
///
/// # Errors
///
/// The plan sets a field that the generator writes itself.
pub(crate) fn encode(plan: &Plan) -> Result<Vec<u8>> {
    let request = &plan.request;
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, plan.target.path).into_bytes();
    let mut field = |name: &str, value: &[u8]| {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    if !request.headers.iter().any(|(name, _)| name == header::HOST) {
        field("Host", plan.target.authority.as_bytes());
    }
    for (name, value) in &request.headers {
        if matches!(
            *name,
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION
        ) {
            bail!("`{name}` is written by the generator; remove it from --header");
        }
        field(name.as_str(), value.as_bytes());
    }
    if plan.kind == Kind::Churn {
        field("Connection", b"close");
    }
    // RFC 9110 section 8.6: a method that anticipates content sends Content-Length even for empty content.
    let content_bytes = match plan.kind {
        Kind::Upload { bytes } => bytes,
        _ => request.body.len() as u64,
    };
    if content_bytes > 0 || [Method::POST, Method::PUT, Method::PATCH].contains(&request.method) {
        field("Content-Length", content_bytes.to_string().as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&request.body);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::load::plan::Request;

    fn encoded(method: Method, headers: &[(&'static str, &'static str)], body: &str, kind: Kind) -> Result<String> {
        let mut plan = Plan::new("http://localhost:8888/a?b".parse().unwrap(), kind);
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        plan.request = Request {
            method,
            headers: headers.iter().map(header).collect(),
            body: body.as_bytes().to_vec(),
        };
        encode(&plan).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn request_is_encoded_whole() {
        let closed = Kind::ClosedLoop { pipeline: 1 };
        for (method, headers, body, kind, expected) in [
            (
                Method::GET,
                &[][..],
                "",
                closed.clone(),
                "GET /a?b HTTP/1.1\r\nHost: localhost:8888\r\n\r\n",
            ),
            (
                Method::GET,
                &[("host", "else"), ("x-a", "1")],
                "",
                Kind::Churn,
                "GET /a?b HTTP/1.1\r\nhost: else\r\nx-a: 1\r\nConnection: close\r\n\r\n",
            ),
            (
                Method::POST,
                &[],
                "",
                closed.clone(),
                "POST /a?b HTTP/1.1\r\nHost: localhost:8888\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                Method::DELETE,
                &[],
                "body",
                closed,
                "DELETE /a?b HTTP/1.1\r\nHost: localhost:8888\r\nContent-Length: 4\r\n\r\nbody",
            ),
            (
                Method::PUT,
                &[],
                "",
                Kind::Upload { bytes: 1 << 40 },
                "PUT /a?b HTTP/1.1\r\nHost: localhost:8888\r\nContent-Length: 1099511627776\r\n\r\n",
            ),
        ] {
            assert_eq!(encoded(method, headers, body, kind).unwrap(), expected);
        }
    }

    #[test]
    fn framing_fields_are_rejected() {
        for name in ["content-length", "transfer-encoding", "connection"] {
            let error = encoded(Method::GET, &[(name, "1")], "", Kind::Hold)
                .unwrap_err()
                .to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
