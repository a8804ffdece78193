//! Shared by these tests: requests in bytes, multipart forms, and what a server answers.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) use crate::support::response::Response;
pub(crate) use crate::support::server::Server;
pub(crate) use crate::support::show;

/// The media type of a form without files.
pub(crate) const URL_ENCODED: &str = "application/x-www-form-urlencoded";

/// The media type of the forms that [`multipart`] makes.
pub(crate) const MULTIPART: &str = "multipart/form-data; boundary=b-1";

/// A request that closes its connection, without content.
pub(crate) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").into_bytes()
}

/// The head of a POST that closes its connection; `fields` are lines that end in CRLF.
pub(crate) fn post_head(target: &str, content_type: &str, fields: &str) -> Vec<u8> {
    let mut head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}");
    if !content_type.is_empty() {
        head += &format!("Content-Type: {content_type}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// A POST whose content has a length.
pub(crate) fn post(target: &str, content_type: &str, content: &[u8]) -> Vec<u8> {
    post_with(target, content_type, "", content)
}

/// A POST with further field lines, each of which ends in CRLF.
pub(crate) fn post_with(target: &str, content_type: &str, fields: &str, content: &[u8]) -> Vec<u8> {
    let fields = format!("Content-Length: {}\r\n{fields}", content.len());
    [post_head(target, content_type, &fields), content.to_vec()].concat()
}

/// A POST whose content comes in chunks of at most 100 bytes.
pub(crate) fn post_chunked(target: &str, content_type: &str, content: &[u8]) -> Vec<u8> {
    let mut request = post_head(target, content_type, "Transfer-Encoding: chunked\r\n");
    for piece in content.chunks(100) {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// Sends a request on a connection of its own, and returns its only response.
///
/// # Panics
///
/// When there is another number of responses.
#[track_caller]
pub(crate) fn send(server: &Server, request: &[u8]) -> Response {
    let mut connection = server.connect();
    connection.send_if_open(request);
    let method = if request.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
    let mut responses = connection.responses_until_end(&[method]).unwrap();
    assert_eq!(responses.len(), 1, "{}: {responses:?}", show(request));
    responses.remove(0)
}

/// Sends a request and expects a status.
#[track_caller]
pub(crate) fn expect_status(server: &Server, request: &[u8], status: u16) -> Response {
    let response = send(server, request);
    assert_eq!(response.status, status, "{}: {}", show(request), show(&response.body));
    response
}

/// Sends a request and expects a JSON document, its members in order.
#[track_caller]
pub(crate) fn expect_json(server: &Server, request: &[u8], expected: &str) {
    let response = expect_status(server, request, 200);
    assert_eq!(response.field("content-type"), Some(&b"application/json"[..]));
    assert_eq!(String::from_utf8(response.body).unwrap(), expected, "{}", show(request));
}

/// A multipart form of parts, each given as its fields and its content.
pub(crate) fn multipart(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (fields, content) in parts {
        form.extend_from_slice(format!("--b-1\r\n{fields}\r\n\r\n").as_bytes());
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--b-1--\r\n");
    form
}

/// The field line above a part.
pub(crate) fn named(parameters: &str) -> String {
    format!("Content-Disposition: form-data; {parameters}")
}

/// The SHA-256 of bytes in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file as `/upload` describes it.
pub(crate) fn file(field: &str, filename: &str, content_type: &str, content: &[u8]) -> Value {
    json!({
        "field": field,
        "filename": filename,
        "content_type": content_type,
        "bytes": content.len(),
        "sha256": sha256(content),
    })
}

/// Bytes without a pattern, the same in every run.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x5eed_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
