//! Shared by the wire tests: requests in bytes, refusals, and the canary request that must never run.

pub(crate) use crate::support::client::Connection;
pub(crate) use crate::support::response::{Framing, Response};
pub(crate) use crate::support::server::Server;
pub(crate) use crate::support::{Outcome, descriptors, ensure, for_each_case, show};

/// A whole request that runs only if the server parses refused bytes, or a body, as a new request.
pub(crate) const CANARY: &[u8] = b"GET /p/canary HTTP/1.1\r\nHost: a\r\n\r\n";

/// The content of the canary's response.
pub(crate) const SONG: &[u8] = b"canary";

/// Joins pieces of a request.
pub(crate) fn bytes(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

/// `GET` of a target without further fields.
pub(crate) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// `GET` of a target with field lines, each ending in CRLF.
pub(crate) fn get_with(target: &str, fields: &[u8]) -> Vec<u8> {
    bytes(&[b"GET ", target.as_bytes(), b" HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n"])
}

/// `POST /echo` with field lines, each ending in CRLF, and the bytes behind the head.
pub(crate) fn post(fields: &[u8], body: &[u8]) -> Vec<u8> {
    bytes(&[b"POST /echo HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n", body])
}

/// `POST /echo` with a body of known length.
pub(crate) fn post_length(body: &[u8]) -> Vec<u8> {
    post(format!("Content-Length: {}\r\n", body.len()).as_bytes(), body)
}

/// `POST /echo` with `Transfer-Encoding: chunked` and these bytes as chunks.
pub(crate) fn post_chunked(chunks: &[u8]) -> Vec<u8> {
    post(b"Transfer-Encoding: chunked\r\n", chunks)
}

/// Checks a refusal: these bytes and the canary behind them get exactly one response, with that status, then the end.
pub(crate) fn refused(server: &Server, request: &[u8], status: u16) -> Outcome<()> {
    refused_with_one_of(server, request, &[status])
}

/// Like [`refused`], where the specification allows several statuses.
pub(crate) fn refused_with_one_of(server: &Server, request: &[u8], statuses: &[u16]) -> Outcome<()> {
    let mut connection = server.connect();
    connection.send_if_open(&bytes(&[request, CANARY]));
    expect_refusal(&mut connection, statuses)
}

/// Reads a refusal: one of these statuses, `Connection: close`, then the end.
pub(crate) fn expect_refusal(connection: &mut Connection, statuses: &[u16]) -> Outcome<()> {
    let response = connection.response("GET")?;
    ensure(statuses.contains(&response.status), || {
        format!(
            "expected {statuses:?}, got {} with body \"{}\"",
            response.status,
            show(&response.body)
        )
    })?;
    ensure(response.announces_close(), || {
        format!("a refusal must say `Connection: close`: {response:?}")
    })?;
    connection.expect_closed()
}

/// Checks that every request of a table is refused with a status.
#[track_caller]
pub(crate) fn all_refused(requests: &[Vec<u8>], status: u16) {
    let server = Server::shared();
    for_each_case(
        requests,
        |request| show(request),
        |request| refused(&server, request, status),
    );
}

/// Checks that one request on a fresh connection is answered with this status and body, and that the connection stays
/// usable.
pub(crate) fn answered(server: &Server, request: &[u8], status: u16, body: &[u8]) -> Outcome<()> {
    let mut connection = server.connect();
    connection.exchange(request, "GET")?.expect(status, body)?;
    still_usable(&mut connection)
}

/// Checks that the next request on a connection is answered.
pub(crate) fn still_usable(connection: &mut Connection) -> Outcome<()> {
    connection
        .exchange(CANARY, "GET")
        .and_then(|response| response.expect(200, SONG))
        .map_err(|complaint| format!("the next request on the connection: {complaint}"))
}
