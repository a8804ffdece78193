//! The reverse proxy as a process, between a client and upstreams of this process.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use squall::Tls;
use squall::prelude::*;
use squall::websocket::Message;
use support::client::Connection;
use support::eventually;
use support::response::Response;
use support::running::Running;
use support::server::{Server, driver_under_test};
use tungstenite::handshake::client::generate_key;
use tungstenite::{Message as Frame, WebSocket as TheirClient};

/// Echoes messages, and closes with the code that a message of digits names.
struct Echo;

impl WebSocketHandler for Echo {
    fn select_subprotocol<'o>(&self, offered: &[&'o str]) -> Option<&'o str> {
        offered.iter().copied().find(|name| *name == "two")
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        match message.as_str().and_then(|text| text.parse().ok()) {
            Some(code) => Ok(ws.close(code, "as you wish")?),
            None => Ok(ws.send(message).await?),
        }
    }
}

/// An upstream with a name, which may be unwell.
fn upstream(name: &'static str, is_well: &Arc<AtomicBool>) -> Running {
    Running::start(1, application(name, is_well))
}

fn application(name: &'static str, is_well: &Arc<AtomicBool>) -> impl Fn() -> Application + Send + Sync + 'static {
    let is_well = Arc::clone(is_well);
    move || {
        let is_well = Arc::clone(&is_well);
        Application::new()
            .max_body_bytes(u64::MAX)
            .get("/name", async move |_: &mut Context| name)
            .get("/health", async move |_: &mut Context| {
                match is_well.load(Ordering::Acquire) {
                    true => Ok("well"),
                    false => Err(Error::from(HttpError::new(503))),
                }
            })
            .get("/fields", async |cx: &mut Context| {
                let lines = cx
                    .headers()
                    .iter()
                    .map(|(name, value)| format!("{name}: {}\n", value.escape_ascii()));
                lines.collect::<String>()
            })
            .get("/moved", async |_: &mut Context| Redirect::found("/name"))
            .post("/echo", async |cx: &mut Context| {
                let body = cx.take_body()?;
                cx.set_header("x-method", cx.method().as_str().to_owned())?;
                cx.write_body(body);
                Ok::<_, Error>(())
            })
            .websocket("/live/echo", async |cx: &mut Context| match cx.query() {
                Some("refused") => Err(HttpError::new(403).into()),
                _ => Ok(Echo),
            })
    }
}

fn proxy(upstreams: &[&Running], flags: &[&str]) -> Server {
    let urls: Vec<_> = upstreams
        .iter()
        .map(|upstream| format!("http://{}", upstream.address))
        .collect();
    proxy_to(&urls, flags)
}

fn proxy_to(urls: &[String], flags: &[&str]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxy"));
    for url in urls {
        command.args(["--upstream", url]);
    }
    if let Some(driver) = driver_under_test() {
        command.args(["--driver", &driver]);
    }
    Server::start_by(command, 1, flags)
}

fn exchange(server: &Server, request: &str) -> Response {
    let method = request.split(' ').next().unwrap();
    server.connect().exchange(request.as_bytes(), method).unwrap()
}

fn get(server: &Server, path: &str, fields: &str) -> Response {
    exchange(
        server,
        &format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"),
    )
}

fn well() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

#[test]
fn requests_go_to_the_upstreams_in_turn_and_responses_come_back() {
    let (one, two) = (upstream("one", &well()), upstream("two", &well()));
    let server = proxy(&[&one, &two], &[]);
    let names = [(); 4].map(|()| get(&server, "/name", "").body);
    assert_eq!(names, [&b"one"[..], b"two", b"one", b"two"]);
    let moved = get(&server, "/moved", "");
    assert_eq!((moved.status, moved.field("location")), (302, Some(&b"/name"[..])));
    let missing = get(&server, "/missing", "");
    assert_eq!(
        (missing.status, missing.field("via")),
        (404, Some(&b"1.1 squall-proxy"[..]))
    );
    let head = exchange(&server, "HEAD /name HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status, head.field("content-length")), (200, Some(&b"3"[..])));
}

#[test]
fn forwarded_fields_come_from_the_proxy_and_fields_of_the_connection_stay_on_it() {
    let one = upstream("one", &well());
    let server = proxy(&[&one], &[]);
    let sent = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
                Connection: x-private\r\nX-Private: 1\r\nProxy-Authorization: 2\r\nX-Kept: 3\r\n";
    let seen = String::from_utf8(get(&server, "/fields", sent).body).unwrap();
    for line in [
        "host: shop.example",
        "x-kept: 3",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: shop.example",
        "x-forwarded-proto: http",
        "via: 1.1 squall-proxy",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is missing in {seen}");
    }
    for word in ["6.6.6.6", "private", "proxy-authorization", "https"] {
        assert!(!seen.contains(word), "{word} is in {seen}");
    }
}

#[test]
fn content_streams_both_ways() {
    let one = upstream("one", &well());
    let server = proxy(&[&one], &[]);
    let mut connection = server.connect();
    connection
        .send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .unwrap();
    // The upstream answers before the request is whole.
    let mut received = Vec::new();
    while !received.ends_with(b"5\r\nhello\r\n") {
        received.extend(connection.some().unwrap());
    }
    connection.send(b"6\r\n world\r\n0\r\n\r\n").unwrap();
    while !received.ends_with(b"0\r\n\r\n") {
        received.extend(connection.some().unwrap());
    }
    let received = String::from_utf8(received).unwrap();
    assert!(
        received.contains("x-method: POST") && received.contains("\r\n world\r\n"),
        "{received}"
    );
    let content = "x".repeat(3_000_000);
    let request = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    );
    let mut connection = Connection::open(server.address());
    let sending = connection.send_in_background(request.into_bytes(), 1 << 16);
    let response = connection.response("POST").unwrap();
    sending.finish();
    assert_eq!((response.status, response.body.len()), (200, content.len()));
}

#[test]
fn an_unhealthy_upstream_gets_no_requests_until_it_is_well() {
    let is_well = well();
    let (one, two) = (upstream("one", &well()), upstream("two", &is_well));
    let server = proxy(&[&one, &two], &["--health-path", "/health", "--health-interval", "10"]);
    let names = || [(); 4].map(|()| String::from_utf8(get(&server, "/name", "").body).unwrap());
    eventually("both are asked", || names().contains(&"two".to_owned()));
    is_well.store(false, Ordering::Release);
    eventually("one alone is asked", || names().iter().all(|name| name == "one"));
    is_well.store(true, Ordering::Release);
    eventually("both are asked again", || names().contains(&"two".to_owned()));
}

#[test]
fn an_upstream_that_cannot_be_reached_is_passed_over() {
    let (one, gone) = (upstream("one", &well()), upstream("gone", &well()));
    let server = proxy(&[&gone, &one], &[]);
    drop(gone);
    for _ in 0..4 {
        assert_eq!(get(&server, "/name", "").body, b"one");
    }
    drop(one);
    assert_eq!(get(&server, "/name", "").status, 502);
}

/// Opens a WebSocket through the proxy, or returns the status of the refusal.
fn open(server: &Server, path: &str) -> Result<TheirClient<TcpStream>, u16> {
    let stream = TcpStream::connect(server.address()).unwrap();
    let request = http::Request::get(format!("ws://{}{path}", server.address()))
        .header("Host", "shop.example")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Protocol", "one, two")
        .header("Sec-WebSocket-Key", generate_key());
    match tungstenite::client(request.body(()).unwrap(), stream) {
        Ok((client, response)) => {
            assert_eq!(response.headers()["sec-websocket-protocol"], "two");
            Ok(client)
        }
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("no handshake: {error}"),
    }
}

#[test]
fn websockets_are_relayed_with_their_ends() {
    let one = upstream("one", &well());
    let server = proxy(&[&one], &["--websockets", "/live"]);
    let mut client = open(&server, "/live/echo").unwrap();
    for message in [Frame::text("hello"), Frame::binary(vec![7; 100_000])] {
        client.send(message.clone()).unwrap();
        assert_eq!(client.read().unwrap(), message);
    }
    client.send(Frame::text("4001")).unwrap();
    let Frame::Close(Some(close)) = client.read().unwrap() else {
        panic!("not a close frame");
    };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4001, "as you wish"));
    assert_eq!(open(&server, "/live/echo?refused").err(), Some(403));
    assert_eq!(open(&server, "/live/missing").err(), Some(404));
    assert_eq!(get(&server, "/name", "").body, b"one");
}

/// A certificate for `localhost` and its key, in files that end with the test.
struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("squall-proxy-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("cert.pem")
    }

    fn tls(&self) -> Tls {
        Tls::from_pem(self.file(), self.folder.join("key.pem"))
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[test]
fn an_upstream_may_speak_tls_and_a_stranger_is_refused() {
    let (own, stranger) = (Certificate::new("own"), Certificate::new("stranger"));
    let server = squall::Server::new(application("secure", &well()));
    let secure = Running::serve(server.shards(1).tls(own.tls()));
    let url = [format!("https://localhost:{}", secure.address.port())];
    let authority = own.file().display().to_string();
    let flags = [
        "--upstream-ca",
        &authority,
        "--websockets",
        "/live",
        "--health-path",
        "/health",
        "--health-interval",
        "10",
    ];
    let server = proxy_to(&url, &flags);
    for _ in 0..3 {
        assert_eq!(get(&server, "/name", "").body, b"secure");
    }
    let content = "x".repeat(300_000);
    let echoed = exchange(
        &server,
        &format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        ),
    );
    assert!(echoed.body == content.as_bytes());
    let mut client = open(&server, "/live/echo").unwrap();
    for message in [Frame::text("hello"), Frame::binary(vec![7; 100_000])] {
        client.send(message.clone()).unwrap();
        assert_eq!(client.read().unwrap(), message);
    }
    let foreign = stranger.file().display().to_string();
    let server = proxy_to(&url, &["--upstream-ca", &foreign, "--websockets", "/live"]);
    assert_eq!(get(&server, "/name", "").status, 502);
    assert_eq!(open(&server, "/live/echo").err(), Some(502));
}
