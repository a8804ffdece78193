//! How connections end: `close_notify` on both sides, truncated content, a stop.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use squall::prelude::*;
use squall::shards::Stop;

use crate::authority::Authority;
use crate::client::{Client, Options, SILENCE_MAX};
use crate::support::running::Running;

async fn length(cx: &mut Context) -> Result<String> {
    Ok(cx.body().await?.len().to_string())
}

async fn large(cx: &mut Context) -> Result {
    cx.write(vec![b'x'; 3_000_000]);
    Ok(())
}

fn server() -> Server {
    Server::new(|| {
        Application::new()
            .get("/", async |_: &mut Context| "hello")
            .get("/large", large)
            .post("/length", length)
    })
    .shards(1)
}

fn start(server: Server) -> (Authority, Running) {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    (authority, Running::serve(server.tls(own.tls())))
}

fn connect(authority: &Authority, running: &Running) -> Client {
    Options::trusting(authority).connect(running.address).unwrap()
}

/// RFC 8446 §6.1: the server's last bytes are a close_notify, whichever end closes first.
#[test]
fn the_server_announces_its_end() {
    let (authority, running) = start(server());
    let mut closing = connect(&authority, &running);
    closing
        .send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert!(String::from_utf8(closing.rest().unwrap()).unwrap().ends_with("hello"));
    let mut refused = connect(&authority, &running);
    refused.send(b"GET / HTTP/9.9\r\n\r\n").unwrap();
    assert!(
        String::from_utf8(refused.rest().unwrap())
            .unwrap()
            .starts_with("HTTP/1.1 505")
    );
    let mut leaving = connect(&authority, &running);
    leaving.get("a", "/").unwrap();
    leaving.close().unwrap();
    assert_eq!(leaving.rest().unwrap(), b"");
}

#[test]
fn an_idle_connection_ends_with_a_close_notify() {
    let (authority, running) = start(server().idle_timeout(Duration::from_millis(100)));
    let mut idle = connect(&authority, &running);
    idle.get("a", "/").unwrap();
    assert_eq!(idle.rest().unwrap(), b"");
}

#[test]
fn a_stop_ends_idle_connections_with_a_close_notify_and_unfinished_handshakes() {
    let (authority, running) = start(server());
    let mut idle = connect(&authority, &running);
    idle.get("a", "/").unwrap();
    let mut silent = TcpStream::connect(running.address).unwrap();
    silent.set_read_timeout(Some(SILENCE_MAX)).unwrap();
    silent.write_all(&[22, 3, 1]).unwrap();
    running.stopper.stop(Stop::Graceful);
    assert_eq!(idle.rest().unwrap(), b"");
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or_default(), 0);
    running.wait();
}

/// Content that is cut off is an error, and no handler sees it as complete.
#[test]
fn content_that_ends_without_its_end_is_refused() {
    let (authority, running) = start(server());
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut cut = connect(&authority, &running);
        let request = format!("POST /length HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n5\r\nhello\r\n");
        cut.send(request.as_bytes()).unwrap();
        cut.cut().unwrap();
        let response = String::from_utf8(cut.rest().unwrap_or_default()).unwrap();
        assert!(!response.starts_with("HTTP/1.1 200"), "{response}");
    }
}

/// Many clients close between requests without a close_notify: the server ends its side as usual.
#[test]
fn an_end_between_requests_needs_no_close_notify() {
    let (authority, running) = start(server());
    let mut cut = connect(&authority, &running);
    cut.get("a", "/").unwrap();
    cut.cut().unwrap();
    assert_eq!(cut.rest().unwrap(), b"");
}

#[test]
fn a_large_response_arrives_whole_beside_its_end() {
    let (authority, running) = start(server());
    let mut client = connect(&authority, &running);
    client
        .send(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let response = client.rest().unwrap();
    let (_, content) = String::from_utf8_lossy(&response)
        .split_once("\r\n\r\n")
        .map(|(a, b)| (a.len(), b.len()))
        .unwrap();
    assert_eq!(content, 3_000_000);
}

/// A request that comes with the last flight of the handshake is not lost.
#[test]
fn a_request_behind_the_handshake_is_answered() {
    let (authority, running) = start(server());
    let options = Options::trusting(&authority);
    let stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut session = rustls::ClientConnection::new(std::sync::Arc::new(options.config), name).unwrap();
    session
        .writer()
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    // Queued before the handshake, the request leaves together with the client's Finished.
    let mut client = Client { session, stream };
    assert!(client.response().unwrap().ends_with("hello"));
}

#[test]
fn a_client_that_resets_ends_its_connection_alone() {
    let (authority, running) = start(server());
    let client = connect(&authority, &running);
    let linger = Some(Duration::ZERO);
    socket2::SockRef::from(&client.stream).set_linger(linger).unwrap();
    drop(client);
    let mut other = connect(&authority, &running);
    assert!(other.get("a", "/").unwrap().ends_with("hello"));
}
