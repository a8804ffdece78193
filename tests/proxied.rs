//! Connections behind a proxy that speaks the PROXY protocol: whose word counts, and what the application sees.

#![cfg(feature = "serve")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use squall::TrustedProxies;
use squall::prelude::*;
use support::client::Connection;
use support::running::Running;

/// The header of a client at 192.0.2.1, in both versions.
const HEADERS: [&[u8]; 2] = [
    b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\xdc\x04\x01\xbb",
];

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn address(cx: &mut Context) -> Result<String> {
    let peer = cx
        .peer_address()
        .map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
    Ok(format!("{peer}, {}", cx.protocol()))
}

fn serve(trusted: &str) -> Running {
    let trusted: TrustedProxies = trusted.parse().unwrap();
    let server = Server::new(|| Application::new().get("/", address)).shards(1);
    Running::serve(server.proxy_protocol(true).trusted_proxies(trusted))
}

#[test]
fn the_application_sees_the_client_that_a_trusted_proxy_names() {
    let running = serve("127.0.0.0/8");
    for header in HEADERS {
        let mut whole = running.connection();
        let response = whole.exchange(&[header, REQUEST].concat(), "GET").unwrap();
        assert_eq!(response.body, b"192.0.2.1:56324, http");
        // The client in the header holds for every request of the connection.
        assert_eq!(whole.exchange(REQUEST, "GET").unwrap().body, b"192.0.2.1:56324, http");
        let mut bytewise = running.connection();
        for byte in [header, REQUEST].concat() {
            bytewise.send(&[byte]).unwrap();
        }
        assert_eq!(bytewise.response("GET").unwrap().body, b"192.0.2.1:56324, http");
    }
}

#[test]
fn a_proxy_that_connects_for_itself_is_the_peer() {
    let running = serve("127.0.0.1");
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut connection = running.connection();
        let response = connection.exchange(&[header, REQUEST].concat(), "GET").unwrap();
        assert!(response.body.starts_with(b"127.0.0.1:"), "{response:?}");
    }
}

#[test]
fn a_trusted_proxy_without_a_header_is_cut() {
    let running = serve("127.0.0.1");
    for beginning in [REQUEST, b"PROXY TCP9 "] {
        let mut connection = running.connection();
        connection.tolerate_reset();
        connection.send(&[beginning, b"\r\n"].concat()).unwrap();
        connection.expect_closed().unwrap();
    }
}

#[test]
fn a_header_of_any_other_peer_is_a_malformed_request() {
    let running = serve("192.0.2.9");
    for header in HEADERS {
        let mut connection: Connection = running.connection();
        let response = connection.exchange(&[header, REQUEST].concat(), "GET").unwrap();
        assert_eq!(response.status, 400);
    }
    let response = running.get("/");
    assert!(response.body.starts_with(b"127.0.0.1:"), "{response:?}");
}
