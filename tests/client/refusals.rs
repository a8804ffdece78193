//! Servers that refuse a WebSocket, each in its own way. The error names the fault, the address and the fix.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_KEY};
use squall::client::{ClientOptions, ConnectError, ConnectFailure};
use squall::connect;
use squall::http1::ResponseError;
use squall::prelude::*;
use squall::shards::{Shard, clock, timeout_at};
use squall::websocket::{ClientHandshakeError, DeflateConfig};

use crate::harness::{Peer, Running, accept, eventually_here, on_shard, read_to_end};

/// Asserts the error of a handshake that the server answers with `answer`.
fn refused(
    options: ClientOptions,
    answer: impl FnOnce(&str, &mut TcpStream) + Send + 'static,
    check: impl Fn(&ConnectError) -> bool + Clone + Send + Sync + 'static,
) {
    let server = Peer::answering(|request, stream| {
        answer(request, stream);
        assert_eq!(read_to_end(stream), b"", "nothing more is said");
    });
    let url = format!("{}secret?token=secret", server.url());
    let shown = format!("could not open a WebSocket at {}secret: ", server.url());
    on_shard(move || {
        let (options, url, shown, check) = (options.clone(), url.clone(), shown.clone(), check.clone());
        async move {
            let error = options.connect(&url).await.unwrap_err();
            assert!(error.to_string().starts_with(&shown), "{error}");
            assert!(check(&error), "{error}: {error:?}");
        }
    });
}

fn answering(text: &'static str) -> impl FnOnce(&str, &mut TcpStream) + Send + 'static {
    move |_, stream| stream.write_all(text.as_bytes()).unwrap()
}

#[test]
fn a_status_other_than_101_is_an_error() {
    for (answer, status, said) in [
        ("HTTP/1.1 200 OK\r\n\r\n", 200, "answered 200 OK instead of 101"),
        ("HTTP/1.0 404 No\r\n\r\n", 404, "answered 404 Not Found instead of 101"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: ws://b/c?d\r\n\r\n",
            302,
            "302 Found instead of 101; redirects are not followed, and this one leads to ws://b/c",
        ),
    ] {
        refused(ClientOptions::default(), answering(answer), move |error| {
            error.status().map(|status| status.as_u16()) == Some(status) && error.to_string().ends_with(said)
        });
    }
}

#[test]
fn refusals_of_squall_servers_are_errors() {
    let server = Running::start(1, || {
        Application::new().get("/text", async |_: &mut Context| "not a WebSocket")
    });
    let urls = [(server.url("/nowhere"), 404), (server.url("/text"), 200)];
    on_shard(move || {
        let urls = urls.clone();
        async move {
            for (url, status) in urls {
                let error = connect(&url).await.unwrap_err();
                assert_eq!(error.status().map(|status| status.as_u16()), Some(status), "{error}");
            }
        }
    });
}

#[test]
fn a_response_to_another_handshake_is_refused() {
    let plain = ClientOptions::default;
    type Answer = fn(&str) -> String;
    let cases: [(ClientOptions, Answer, ClientHandshakeError); 7] = [
        (
            plain(),
            |request| accept(&request.replace("-key: ", "-key: x"), ""),
            ClientHandshakeError::Accept,
        ),
        (
            plain(),
            |request| accept(request, "").replace("Sec-WebSocket-Accept", "X"),
            ClientHandshakeError::Accept,
        ),
        (
            plain(),
            |request| accept(request, "").replace("Upgrade: websocket", "Upgrade: h2c"),
            ClientHandshakeError::Upgrade,
        ),
        (
            plain(),
            |request| accept(request, "").replace("Connection: Upgrade", "Connection: close"),
            ClientHandshakeError::Connection,
        ),
        (
            plain().subprotocol("a"),
            |request| accept(request, "Sec-WebSocket-Protocol: b\r\n"),
            ClientHandshakeError::Subprotocol,
        ),
        (
            plain(),
            |request| accept(request, "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            ClientHandshakeError::Extensions,
        ),
        (
            plain().deflate(DeflateConfig::default()),
            |request| accept(request, "Sec-WebSocket-Extensions: x-other\r\n"),
            ClientHandshakeError::Extensions,
        ),
    ];
    for (options, answer, expected) in cases {
        let answer = move |request: &str, stream: &mut TcpStream| {
            stream.write_all(answer(request).as_bytes()).unwrap();
        };
        refused(
            options,
            answer,
            move |error| matches!(error.failure(), ConnectFailure::Handshake(found) if *found == expected),
        );
    }
}

#[test]
fn a_malformed_http_response_is_an_error() {
    for (answer, expected) in [
        ("SSH-2.0-OpenSSH_9.2p1\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 101 x\r\n folded: y\r\n\r\n", ResponseError::FieldLine),
        ("HTTP/1.1 101 x\n\n", ResponseError::BareLineFeed),
    ] {
        refused(
            ClientOptions::default(),
            answering(answer),
            move |error| matches!(error.failure(), ConnectFailure::Response(found) if *found == expected),
        );
    }
}

#[test]
fn a_server_that_closes_early_is_an_error() {
    for answer in ["", "HTTP/1.1 101 Switching"] {
        refused(
            ClientOptions::default(),
            move |_, stream| {
                stream.write_all(answer.as_bytes()).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            },
            |error| matches!(error.failure(), ConnectFailure::Response(ResponseError::Truncated)),
        );
    }
}

/// Both for a silent server and for one that trickles.
#[test]
fn a_silent_server_times_out() {
    let timeout = Duration::from_millis(200);
    let told = move |error: &ConnectError| {
        let is_silent = matches!(error.failure(), ConnectFailure::Silent(waited) if *waited == timeout);
        is_silent && error.to_string().contains("within 200ms")
    };
    let options = ClientOptions::default().connect_timeout(timeout);
    refused(options.clone(), |_, _| {}, told);
    refused(options, answering("HTTP/1.1 101 Switching Protocols\r\n"), told);
}

/// A connection dropped in the middle of its handshake leaves no stream behind.
#[test]
fn a_connect_can_be_dropped_while_it_waits() {
    let server = Peer::answering(|_, stream| assert_eq!(read_to_end(stream), b""));
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let soon = clock::now() + Duration::from_millis(100);
            assert!(timeout_at(soon, connect(&url)).await.is_none());
            eventually_here("no stream is left", || Shard::current().statistics().streams == 0).await;
        }
    });
}

#[test]
fn invalid_urls_and_options_fail_before_connecting() {
    on_shard(|| async {
        let said = |error: ConnectError| error.to_string();
        let error = said(connect("http://example.com/").await.unwrap_err());
        assert!(
            error.ends_with("the scheme is neither ws nor wss; write ws://host:port/path"),
            "{error}"
        );
        for name in [SEC_WEBSOCKET_KEY, CONTENT_LENGTH] {
            let options = ClientOptions::default().header(name.clone(), HeaderValue::from_static("1"));
            let error = options.connect("ws://127.0.0.1:1/").await.unwrap_err();
            assert!(
                matches!(error.failure(), ConnectFailure::Field(found) if *found == name),
                "{error}"
            );
        }
        let options = ClientOptions::default().subprotocol("no token");
        let error = options.connect("ws://127.0.0.1:1/").await.unwrap_err();
        assert!(matches!(error.failure(), ConnectFailure::Handshake(_)), "{error}");
    });
}

#[test]
fn an_address_without_a_listener_is_an_error() {
    // Bound on one address of this machine, so that the port is taken there and free on the address that the client
    // connects to.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("127.9.9.9:{}", listener.local_addr().unwrap().port());
    on_shard(move || {
        let url = format!("ws://{address}/x");
        async move {
            let error = connect(&url).await.unwrap_err();
            assert!(matches!(error.failure(), ConnectFailure::Connect(_)), "{error}");
            assert!(
                error
                    .to_string()
                    .ends_with("the connection was refused; start the server or check the port"),
                "{error}"
            );
        }
    });
}
