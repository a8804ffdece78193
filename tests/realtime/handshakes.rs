//! Handshakes with invalid offers, missing requirements, or a foreign origin.

use squall::prelude::*;
use squall::websocket::Message;

use crate::support::running::Running;
use crate::support::server::Server;
use crate::support::websocket::{Client, frame, handshake};

/// The extension field in the response to an offer, if any; the WebSocket opens in any case.
fn agreed(server: &Server, lines: &str) -> Option<String> {
    let (mut client, head) = Client::open_with(server.address(), &handshake("/ws/echo", lines), &[]);
    client.send(&frame(0x81, b"Hello"));
    client.expect(0x81, b"Hello");
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let answer = lines.find(|(name, _)| *name == "sec-websocket-extensions");
    answer.map(|(_, value)| value.to_owned())
}

/// CVE-2026-2229, RFC 7692 §5.1 and §7.1: an invalid offer is declined, and a valid one behind it accepted.
#[test]
fn declines_invalid_compression_offers() {
    let server = Server::shared();
    let good = "permessage-deflate; server_max_window_bits=10";
    let bad = [
        "server_max_window_bits=1000",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=abc",
        "server_max_window_bits=010",
        "server_max_window_bits",
        "server_max_window_bits=9; server_max_window_bits=9",
        "client_max_window_bits=16",
        "client_max_window_bits; client_max_window_bits",
        "server_no_context_takeover=1",
        "server_no_context_takeover; server_no_context_takeover",
        "what_is_this",
    ];
    for parameters in bad {
        let offer = format!("permessage-deflate; {parameters}");
        let line = format!("Sec-WebSocket-Extensions: {offer}\r\n");
        assert_eq!(agreed(&server, &line), None, "{offer}");
        let line = format!("Sec-WebSocket-Extensions: {offer}, {good}\r\n");
        let answer = agreed(&server, &line).unwrap_or_else(|| panic!("nothing was agreed upon after {offer}"));
        assert!(answer.contains("server_max_window_bits=10"), "{offer}: {answer}");
    }
    let many = format!(
        "Sec-WebSocket-Extensions: {}{good}\r\n",
        "x-unknown; a=1, ".repeat(1000)
    );
    assert!(agreed(&server, &many).is_some(), "the last of a thousand");
}

/// RFC 7692 §6.1: only the first frame of a message carries the compressed bit; an empty message may carry it.
#[test]
fn refuses_a_misplaced_compressed_bit() {
    let server = Server::shared();
    let offer = handshake("/ws/echo", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    for bytes in [
        frame(0xc9, b""),
        frame(0xca, b""),
        frame(0xc8, b"\x03\xe8"),
        frame(0xc0, b""),
        [frame(0x41, b"\xf2\x48"), frame(0xc0, b"\xcd\xc9\xc9\x07\x00")].concat(),
    ] {
        let (mut client, _) = Client::open_with(server.address(), &offer, &[]);
        client.send(&bytes);
        client.expect_close(1002);
    }
    let (mut client, _) = Client::open_with(server.address(), &offer, &[]);
    client.send(&frame(0xc1, b"\x00"));
    client.expect(0x81, b"");
}

/// RFC 6455 §4.2.1, §4.4, CVE-2021-32640, CVE-2024-37890: each missing requirement gets its status. Bytes behind a
/// valid handshake are kept.
#[test]
fn answers_a_malformed_handshake_with_its_status() {
    let server = Server::shared();
    let whole = String::from_utf8(handshake("/ws/echo", "")).unwrap();
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let with = |line: &str| String::from_utf8(handshake("/ws/echo", &format!("{line}\r\n"))).unwrap();
    let blanks = format!("Sec-WebSocket-Protocol: b{}x", " ".repeat(32_000));
    for (request, status) in [
        (whole.replace(&format!("Sec-WebSocket-Key: {key}\r\n"), ""), 400),
        (whole.replace(key, "AAECAwQFBgcICQoLDA0O"), 400),
        (whole.replace(key, "AAECAwQFBgcICQoLDA0ODxA="), 400),
        (with(&format!("Sec-WebSocket-Key: {key}")), 400),
        (whole.replace("Version: 13", "Version: 8"), 426),
        (whole.replacen("GET", "POST", 1), 405),
        (whole.replace("HTTP/1.1", "HTTP/1.0"), 400),
        (with("Content-Length: 5") + "Hello", 400),
        (with("Transfer-Encoding: chunked") + "0\r\n\r\n", 400),
        (with(&blanks), 400),
        (with("Sec-WebSocket-Extensions: permessage-deflate; ="), 400),
    ] {
        let mut connection = server.connect();
        let response = connection.exchange(request.as_bytes(), "GET").unwrap();
        assert_eq!(response.status, status, "{request:.300}");
        let version = response.field("sec-websocket-version");
        assert_eq!(version.is_some(), status == 426, "{request:.300}");
        assert!(version.is_none_or(|version| version == b"13"));
    }
    let glued = [frame(0x81, b"glued"), frame(0x89, b"on")].concat();
    let (mut client, _) = Client::open_with(server.address(), &handshake("/ws/echo", ""), &glued);
    client.expect(0x81, b"glued");
    client.expect(0x8a, b"on");
}

/// Echoes to pages of its own origin.
struct Guarded;

impl WebSocketHandler for Guarded {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        Ok(ws.send(message).await?)
    }
}

/// Echoes to every page.
struct Public;

impl WebSocketHandler for Public {
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        Ok(ws.send(message).await?)
    }
}

/// CWE-1385: a page of another host or port gets 403, with cookies or without. Each route decides by itself, also on
/// one connection. A trusted proxy reports the scheme of the page.
#[test]
fn refuses_foreign_origins_route_by_route() {
    let server = Running::start(1, || {
        Application::new()
            .websocket("/guarded", async |_: &mut Context| Ok::<_, Error>(Guarded))
            .websocket("/public", async |_: &mut Context| Ok::<_, Error>(Public))
    });
    let foreign = [
        "https://evil",
        "http://evil",
        "null",
        "",
        "http://sub.a",
        "http://a.evil",
        "http://a:8080",
        "https://a:80",
        "ws://a",
        "a",
        "http://",
        "http://a@evil",
        "http://a, http://evil",
    ];
    for origin in foreign {
        let fields = format!("Origin: {origin}\r\nCookie: session=secret\r\n");
        // Two refusals and one opening on one connection: each route repeats its decision.
        let mut connection = crate::support::client::Connection::open(server.address);
        for _ in 0..2 {
            let response = connection.exchange(&handshake("/guarded", &fields), "GET").unwrap();
            assert_eq!(response.status, 403, "{origin}");
        }
        let response = connection.exchange(&handshake("/public", &fields), "GET").unwrap();
        assert_eq!(response.status, 101, "{origin}");
    }
    for origin in ["http://a", "http://A", "https://a", "http://a:80"] {
        let fields = format!("Origin: {origin}\r\n");
        let (mut client, _) = Client::open_with(server.address, &handshake("/guarded", &fields), &[]);
        client.send(&frame(0x81, b"Hello"));
        client.expect(0x81, b"Hello");
    }
    // Browsers always send it.
    Client::open(server.address, "/guarded");
}

/// RFC 9112 §3.2.2: the authority and the scheme of an absolute-form target count.
#[test]
fn compares_the_origin_with_the_authority_of_an_absolute_form_target() {
    let server = Running::start(1, || {
        Application::new().websocket("/guarded", async |_: &mut Context| Ok::<_, Error>(Guarded))
    });
    for (authority, origin, status) in [
        ("http://a:80", "http://a", 101),
        ("http://b", "http://b:80", 101),
        ("http://b", "http://a", 403),
        ("http://a", "https://a", 403),
        ("https://a", "https://a:443", 101),
    ] {
        let whole = String::from_utf8(handshake("/guarded", &format!("Origin: {origin}\r\n"))).unwrap();
        let request = whole.replacen("/guarded", &format!("{authority}/guarded"), 1);
        let mut connection = crate::support::client::Connection::open(server.address);
        let response = connection.exchange(request.as_bytes(), "GET").unwrap();
        assert_eq!(response.status, status, "{authority} {origin}");
    }
}

/// A trusted proxy forwards the client's scheme; a page loaded by the other scheme is of another origin.
#[test]
fn compares_the_scheme_that_a_trusted_proxy_forwards() {
    let server = Running::start(1, || {
        Application::new()
            .trusted_proxies("127.0.0.1".parse().unwrap())
            .websocket("/guarded", async |_: &mut Context| Ok::<_, Error>(Guarded))
    });
    for (told, origin, status) in [
        ("https", "https://a", 101),
        ("https", "http://a", 403),
        ("http", "https://a", 403),
        ("http", "http://a", 101),
        ("gopher", "https://a", 101),
    ] {
        let fields = format!("Origin: {origin}\r\nX-Forwarded-Proto: {told}\r\n");
        let mut connection = crate::support::client::Connection::open(server.address);
        let response = connection.exchange(&handshake("/guarded", &fields), "GET").unwrap();
        assert_eq!(response.status, status, "{told} {origin}");
    }
}
