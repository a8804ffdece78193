//! A complete response leaves before its connection waits for anything.

use std::future::pending;

use squall::prelude::*;

use crate::harness::*;

const HANDSHAKE: &str = "GET /factory HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

struct SlowToFinish;

impl RequestHandler for SlowToFinish {
    async fn get(&self, cx: &mut Context) -> Result {
        cx.write("finished");
        Ok(())
    }

    async fn on_finish(&self, _: &mut Context) {
        pending().await
    }
}

fn application() -> Application {
    Application::new()
        .get("/ok", async |_: &mut Context| "first")
        .get("/slow", async |cx: &mut Context| cx.closed().await)
        .get("/silent", async |cx: &mut Context| {
            cx.stream(futures_util::stream::pending::<Result<Bytes>>());
        })
        .post("/reads", async |cx: &mut Context| cx.body().await.map(drop))
        .get("/flushes", async |cx: &mut Context| -> Result {
            cx.flush().await?;
            pending().await
        })
        .websocket("/factory", async |_: &mut Context| -> Result<Silent> {
            pending().await
        })
        .route("/finish", SlowToFinish)
        .get("/events", async |cx: &mut Context| -> Result {
            cx.event_stream()?.run().await
        })
}

/// A response is sent although the next request on the connection waits for its handler.
#[test]
fn a_response_leaves_before_the_handler_of_the_next_request_waits() {
    let waiting = ["/slow", "/silent", "/flushes", "/events"].map(|path| String::from_utf8(get(path)).unwrap());
    let post = "POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n".to_owned();
    let server = TestServer::start(1, application);
    for transport in TRANSPORTS {
        for next in waiting.iter().chain([&post, &HANDSHAKE.to_owned()]) {
            let mut both = get("/ok");
            both.extend_from_slice(next.as_bytes());
            let mut peer = server.ask(transport, both);
            peer.read_until("\r\n\r\nfirst");
        }
    }
}

/// `on_finish` runs after its response was handed over, so its duration does not delay the client.
#[test]
fn a_response_leaves_before_its_on_finish_waits() {
    let server = TestServer::start(1, application);
    for transport in TRANSPORTS {
        let mut peer = server.ask(transport, get("/finish"));
        peer.read_until("\r\n\r\nfinished");
    }
}

/// Where the close ends the response, the close comes before `on_finish` waits.
#[test]
fn the_end_of_a_response_leaves_before_its_on_finish_waits() {
    let server = TestServer::start(1, application);
    for transport in TRANSPORTS {
        for request in [
            "GET /finish HTTP/1.0\r\n\r\n",
            "GET /finish HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ] {
            let response = server.ask(transport, request).read_all().unwrap();
            assert!(response.ends_with(b"finished"), "{transport:?} {request}");
        }
    }
}

/// A WebSocket factory that sends its own response breaks it off, because the handshake can no longer succeed.
#[test]
fn a_websocket_factory_that_flushes_breaks_its_response_off() {
    let server = TestServer::start(1, || {
        Application::new().websocket("/", async |cx: &mut Context| -> Result<Silent> {
            cx.write("some");
            cx.flush().await?;
            Ok(Silent)
        })
    });
    for transport in TRANSPORTS {
        let peer = server.ask(transport, HANDSHAKE.replace("/factory", "/"));
        let response = peer.read_all().unwrap_or_default();
        assert!(!response.ends_with(b"0\r\n\r\n"), "{transport:?}");
    }
}
