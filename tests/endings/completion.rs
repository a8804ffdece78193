//! Middleware and `on_finish` see how a response ended for its peer.

use std::io::Write;
use std::sync::mpsc::Sender;

use squall::Completion;
use squall::message::StatusCode;
use squall::prelude::*;

use crate::harness::*;

/// What the middleware, and then `on_finish`, saw of one exchange.
type Seen = (&'static str, Completion, StatusCode);

/// Middleware that reports what it sees after the handler.
struct Watching(Sender<Seen>);

impl Middleware for Watching {
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        next.run(cx).await;
        self.0.send(("middleware", cx.completion(), cx.status())).ok();
        Ok(())
    }
}

/// A handler that reads all content, writes a large response in flushes, or fails half-way, as the query asks.
struct Handler {
    seen: Sender<Seen>,
    waits: Sender<()>,
}

impl RequestHandler for Handler {
    async fn post(&self, cx: &mut Context) -> Result {
        self.waits.send(()).ok();
        cx.body().await?;
        cx.write("read");
        Ok(())
    }

    async fn get(&self, cx: &mut Context) -> Result {
        let query = cx.optional_query_param::<String>("do")?.unwrap_or_default();
        match query.as_str() {
            "flush" => loop {
                cx.write(vec![b'x'; 64 * 1024]);
                cx.flush().await?;
                self.waits.send(()).ok();
            },
            "fail" => {
                cx.write("some");
                cx.flush().await?;
                return Err(HttpError::new(500).into());
            }
            "wait" => {
                self.waits.send(()).ok();
                cx.closed().await;
                cx.write("late");
            }
            _ => cx.write("whole"),
        }
        Ok(())
    }

    async fn on_finish(&self, cx: &mut Context) {
        self.seen.send(("on_finish", cx.completion(), cx.status())).ok();
    }
}

fn server() -> (TestServer, Events<Seen>, Events<()>) {
    let ((seen, told), (waits, waiting)) = (events(), events());
    let server = TestServer::start(1, move || {
        Application::new().middleware(Watching(seen.clone())).route(
            "/",
            Handler {
                seen: seen.clone(),
                waits: waits.clone(),
            },
        )
    });
    (server, told, waiting)
}

/// What both saw of the next exchange.
fn both(told: &Events<Seen>) -> [(Completion, u16); 2] {
    ["middleware", "on_finish"].map(|who| {
        let (name, completion, status) = told.next(who);
        assert_eq!(name, who);
        (completion, status.as_u16())
    })
}

#[test]
fn middleware_sees_a_complete_response() {
    let (server, told, _waiting) = server();
    for transport in TRANSPORTS {
        server.ask(transport, get("/")).read_until("whole");
        assert_eq!(both(&told), [(Completion::Whole, 200); 2]);
    }
}

/// Middleware does not see 200 for an upload that breaks off, whether its client closes, half-closes or resets.
#[test]
fn middleware_sees_a_broken_upload_as_a_peer_that_left() {
    let (server, told, waiting) = server();
    for transport in TRANSPORTS {
        for head in [
            "Content-Length: 10\r\n\r\nabc",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        ] {
            for leave in [Peer::reset, drop::<Peer>] {
                let peer = server.ask(transport, format!("POST / HTTP/1.1\r\nHost: a\r\n{head}"));
                waiting.next("the handler reads");
                leave(peer);
                assert_eq!(both(&told), [(Completion::PeerGone, 499); 2], "{transport:?} {head}");
            }
            let peer = server.ask(transport, format!("POST / HTTP/1.1\r\nHost: a\r\n{head}"));
            waiting.next("the handler reads");
            peer.half_close();
            assert_eq!(both(&told), [(Completion::PeerGone, 499); 2], "{transport:?} {head}");
        }
    }
}

/// Middleware resumes and sees the reset when a peer resets while the handler flushes.
#[test]
fn middleware_sees_a_reset_during_a_flush() {
    let (server, told, waiting) = server();
    for transport in TRANSPORTS {
        let peer = server.ask(transport, get("/?do=flush"));
        waiting.next("the handler flushes");
        peer.reset();
        assert_eq!(both(&told), [(Completion::PeerGone, 200); 2], "{transport:?}");
        while !waiting.is_empty() {}
    }
}

/// Middleware sees the reset although the handler returned without an error.
#[test]
fn middleware_sees_a_reset_before_the_response() {
    let (server, told, waiting) = server();
    let peer = server.ask(Transport::Tcp, get("/?do=wait"));
    waiting.next("the handler waits");
    peer.reset();
    assert_eq!(both(&told), [(Completion::PeerGone, 200); 2]);
    // A peer that closed its half gets its response.
    let mut peer = server.ask(Transport::Tcp, get("/?do=wait"));
    waiting.next("the handler waits");
    peer.half_close();
    peer.read_until("late");
    assert_eq!(both(&told), [(Completion::Whole, 200); 2]);
}

/// Middleware sees that the handler broke its response off.
#[test]
fn middleware_sees_a_response_that_broke_off() {
    let (server, told, _waiting) = server();
    for transport in TRANSPORTS {
        let mut peer = server.ask(transport, get("/?do=fail"));
        peer.flush().unwrap();
        drop(peer.read_all());
        assert_eq!(both(&told), [(Completion::BrokenOff, 200); 2], "{transport:?}");
    }
}
