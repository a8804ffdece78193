//! The opening handshake (RFC 6455 section 4.2): the request's head and its 101 response.

use std::io::Write;

use httparse::Status;
use tungstenite::handshake::derive_accept_key;

const FIELDS_MAX: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Echo,
    Subscribe,
    Publish,
}

pub enum HandshakeOutcome {
    /// A complete head of `head_bytes` bytes; the 101 is written, and frames follow.
    Upgraded { head_bytes: usize, route: Route },
    /// A response is written, and the connection closes after it.
    Answered,
    /// The head is incomplete.
    Incomplete,
    /// Not HTTP.
    Refused,
}

/// Reads the head at the start of `bytes` and appends the response to `output`.
pub fn answer(bytes: &[u8], output: &mut Vec<u8>) -> HandshakeOutcome {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let head_bytes = match request.parse(bytes) {
        Ok(Status::Complete(head_bytes)) => head_bytes,
        Ok(Status::Partial) => return HandshakeOutcome::Incomplete,
        Err(_) => return HandshakeOutcome::Refused,
    };
    let route = match request.path {
        Some("/ws/echo") => Some(Route::Echo),
        Some("/ws/sub") => Some(Route::Subscribe),
        Some("/ws/pub") => Some(Route::Publish),
        _ => None,
    };
    let key = request
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("sec-websocket-key"));
    let status = match (route, key) {
        (Some(route), Some(key)) => {
            let accept = derive_accept_key(key.value);
            // Writing to a vector cannot fail.
            write!(
                output,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .ok();
            return HandshakeOutcome::Upgraded { head_bytes, route };
        }
        (Some(_), None) => "400 Bad Request",
        (None, _) if request.path == Some("/ready") => "200 OK",
        (None, _) => "404 Not Found",
    };
    write!(
        output,
        "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .ok();
    HandshakeOutcome::Answered
}
