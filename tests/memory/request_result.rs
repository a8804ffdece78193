//! Sends requests and messages while memory is short, and returns how each ended.

#![allow(dead_code, reason = "each test binary uses its own part of this file")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flate2::{Decompress, FlushDecompress};

use crate::support::client::Connection;
use crate::support::websocket::Frame;

/// How long the server may stay silent before a test fails. During a pause other peers send, and an unoptimized
/// server unmasks messages of 4 GiB in over a minute.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(300);

/// The first byte of a text frame, plain and compressed.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const COMPRESSED_TEXT: u8 = 0xc1;

/// How a request or message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestResult {
    /// It was answered in full.
    Served,
    /// It was refused by 503, or by a close frame with 1013 or 1011.
    Refused,
    /// The connection ended.
    Cut,
}

/// Sends requests in parts, each after a given number of responses. Returns the result of the last.
///
/// # Panics
///
/// When the response is neither the content nor 503, or when the server stays silent.
pub(crate) fn send_requests(
    address: SocketAddr,
    parts: &[(&[u8], usize)],
    method: &str,
    content: &[u8],
) -> RequestResult {
    let mut connection = Connection::open(address);
    connection.tolerate_reset();
    let mut answered = 0;
    for (part, responses_before) in parts {
        while answered < *responses_before {
            match connection.response(method) {
                Ok(response) if response.status == 200 => answered += 1,
                response => return response_result(response, content),
            }
        }
        connection.send_if_open(part);
    }
    response_result(connection.response(method), content)
}

/// Sends a request, its second half when the response has begun. Returns the result.
///
/// # Panics
///
/// As [`send_requests`].
pub(crate) fn send_request_in_halves(address: SocketAddr, request: &[u8], content: &[u8]) -> RequestResult {
    let mut connection = Connection::open(address);
    connection.tolerate_reset();
    let (first, second) = request.split_at(request.len() / 2);
    connection.send_if_open(first);
    if connection.is_at_end().unwrap() {
        return RequestResult::Cut;
    }
    connection.send_if_open(second);
    response_result(connection.response("POST"), content)
}

fn response_result(response: Result<crate::support::response::Response, String>, content: &[u8]) -> RequestResult {
    match response {
        Ok(response) if response.status == 503 => {
            assert!(response.announces_close(), "{response:?}");
            RequestResult::Refused
        }
        Ok(response) => {
            assert_eq!(response.status, 200, "{response:?}");
            assert!(response.body == content, "other content than asked for");
            RequestResult::Served
        }
        Err(complaint) => {
            assert!(!complaint.starts_with("nothing came"), "{complaint}");
            RequestResult::Cut
        }
    }
}

/// Sends a request, its last byte only after `pause`, and returns its result.
///
/// # Panics
///
/// As [`send_requests`].
pub(crate) fn send_slow_request(
    address: SocketAddr,
    request: &[u8],
    pause: impl FnOnce(),
    content: &[u8],
) -> RequestResult {
    send_slow_request_over(Connection::open(address), request, pause, content)
}

/// Like [`send_slow_request`], over an open connection.
///
/// # Panics
///
/// As [`send_requests`].
pub(crate) fn send_slow_request_over(
    mut connection: Connection,
    request: &[u8],
    pause: impl FnOnce(),
    content: &[u8],
) -> RequestResult {
    connection.tolerate_reset();
    connection.wait_up_to(SILENCE_MAX).unwrap();
    let (last, rest) = request.split_last().unwrap();
    connection.send_if_open(rest);
    pause();
    connection.send_if_open(&[*last]);
    response_result(connection.response("POST"), content)
}

/// Sends a handshake with frames right behind it, the last byte only after `pause`. Returns the result of the
/// message, which must be echoed.
///
/// # Panics
///
/// When another message comes back, the socket closes for another reason, or the server stays silent.
pub(crate) fn send_message(
    address: SocketAddr,
    request: &[u8],
    pause: impl FnOnce() + Send + 'static,
    message: &[u8],
) -> RequestResult {
    send_message_over(TcpStream::connect(address).unwrap(), request, pause, message)
}

/// Like [`send_message`], over a connection whose handshake may have been sent before, but whose response was not
/// read.
///
/// # Panics
///
/// As [`send_message`].
pub(crate) fn send_message_over(
    mut stream: TcpStream,
    request: &[u8],
    pause: impl FnOnce() + Send + 'static,
    message: &[u8],
) -> RequestResult {
    stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let request = request.to_vec();
    // A server that has cut the connection takes no more bytes; its earlier response decides.
    let sending = std::thread::spawn(move || {
        let (last, rest) = request.split_last().unwrap();
        let sent = writer.write_all(rest);
        pause();
        sent.and_then(|()| writer.write_all(&[*last])).unwrap_or_default();
    });
    let mut received = Vec::new();
    let result = loop {
        if let Some(result) = message_result(&received, message) {
            break result;
        }
        let mut piece = [0; 16 * 1024];
        match stream.read(&mut piece) {
            Ok(0) => break RequestResult::Cut,
            Ok(count) => received.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break RequestResult::Cut,
            Err(error) => panic!("the server neither answered nor closed: {error}"),
        }
    };
    drop(stream.shutdown(std::net::Shutdown::Both));
    sending.join().unwrap();
    result
}

/// The result that the received bytes show, if they do already.
fn message_result(received: &[u8], message: &[u8]) -> Option<RequestResult> {
    let head_bytes = received.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let (head, frames) = received.split_at(head_bytes);
    if head.starts_with(b"HTTP/1.1 503 ") {
        return Some(RequestResult::Refused);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
    let (frame, _) = Frame::read(frames)?;
    match (frame.first, frame.close_code()) {
        (_, Some(1011 | 1013)) => Some(RequestResult::Refused),
        (TEXT, _) => {
            assert!(frame.payload == message, "another message came back");
            Some(RequestResult::Served)
        }
        (COMPRESSED_TEXT, _) => {
            assert!(
                inflate(&frame.payload, message.len()) == message,
                "another message came back"
            );
            Some(RequestResult::Served)
        }
        _ => panic!("an unexpected frame: {:02x} {:?}", frame.first, frame.close_code()),
    }
}

fn inflate(payload: &[u8], bytes: usize) -> Vec<u8> {
    let mut inflated = Vec::with_capacity(bytes + 1);
    let payload = [payload, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false)
        .decompress_vec(&payload, &mut inflated, FlushDecompress::Sync)
        .unwrap();
    inflated
}
