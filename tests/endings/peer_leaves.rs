//! A peer that closes or resets its connection is noticed, whether its handler reads or not.

use std::io::{Read, Write};
use std::time::Duration;

use futures_util::StreamExt as _;
use squall::Event;
use squall::prelude::*;
use squall::shards::sleep;

use crate::harness::*;

/// How a peer leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Departure {
    Closes,
    HalfCloses,
    Resets,
}

pub(crate) const LEAVINGS: [Departure; 3] = [Departure::Closes, Departure::HalfCloses, Departure::Resets];

/// Requests with unread content, or with more pipelined bytes behind them than are read ahead.
fn requests(path: &str) -> Vec<Vec<u8>> {
    let head = |method: &str, fields: &str| format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
    let mut pipelined = head("GET", "");
    // More than the server reads ahead, and less than the kernel holds.
    for _ in 0..1_000 {
        pipelined.extend(head("GET", ""));
    }
    let mut large = head("POST", "Content-Length: 1000000\r\n");
    large.extend(vec![b'x'; 40_000]);
    vec![
        head("GET", ""),
        head("GET", "Content-Length: 5\r\n"),
        head("POST", "Content-Length: 5\r\n"),
        head("POST", "Transfer-Encoding: chunked\r\n"),
        head("POST", "Content-Length: 5\r\nExpect: 100-continue\r\n"),
        format!("GET {path} HTTP/1.0\r\n\r\n").into_bytes(),
        pipelined,
        large,
    ]
}

/// `cx.closed()` ends for each kind of request, each way of leaving, TCP and Unix, one shard and two.
#[test]
fn a_handler_sees_its_peer_leave_whatever_it_reads() {
    for shards in [1, 2] {
        let (closed, told) = events::<(String, &'static str)>();
        let server = TestServer::start(shards, move || {
            let closed = closed.clone();
            let wait = async move |cx: &mut Context| {
                let case = cx.path().to_owned();
                closed.send((case.clone(), "waits")).ok();
                cx.closed().await;
                closed.send((case, "closed")).ok();
            };
            Application::new().get("/{case}", wait.clone()).post("/{case}", wait)
        });
        let mut count = 0;
        for transport in TRANSPORTS {
            for leaving in LEAVINGS {
                for kind in 0..requests("").len() {
                    count += 1;
                    let path = format!("/{count}");
                    let request = requests(&path).swap_remove(kind);
                    let case = format!("{transport:?} {leaving:?} {}", show_start(&request));
                    // Pipelined requests before this one may still be answered.
                    let next = || loop {
                        let (of, word) = told.next(&case);
                        if of == path {
                            return word;
                        }
                    };
                    let mut peer = server.connect(transport);
                    // A server that does not read everything leaves the rest of a long request with the client.
                    set_nonblocking(&peer);
                    assert!(peer.write(&request).unwrap() > 0);
                    assert_eq!(next(), "waits", "{case}");
                    let kept = leave(peer, leaving);
                    assert_eq!(next(), "closed", "{case}");
                    drop(kept);
                }
            }
        }
    }
}

/// Leaves, and returns the socket that stays open.
pub(crate) fn leave(peer: Peer, leaving: Departure) -> Option<Peer> {
    match leaving {
        Departure::Closes => None,
        Departure::HalfCloses => {
            peer.half_close();
            Some(peer)
        }
        Departure::Resets => {
            peer.reset();
            None
        }
    }
}

fn show_start(request: &[u8]) -> String {
    String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned()
}

fn set_nonblocking(peer: &Peer) {
    match peer {
        Peer::Tcp(stream) => stream.set_nonblocking(true).unwrap(),
        Peer::Unix(stream) => stream.set_nonblocking(true).unwrap(),
    }
}

/// A silent stream and its connection are dropped after its client has read everything and closed. So a server with
/// room for two connections serves many clients one after another.
#[test]
fn a_silent_stream_is_dropped_when_its_client_has_closed() {
    let (dropped, told) = events();
    let server = TestServer::configured(
        1,
        move || {
            let dropped = dropped.clone();
            let silent = async move |cx: &mut Context| {
                let guard = OnDrop(dropped.clone(), "dropped");
                let first = futures_util::stream::iter([Ok::<_, Error>(Bytes::from_static(b"hello"))]);
                let rest = futures_util::stream::pending().map(move |()| {
                    let _ = &guard;
                    Ok(Bytes::new())
                });
                cx.stream(first.chain(rest));
            };
            Application::new().get("/", silent.clone()).post("/", silent)
        },
        |server| server.max_connections(2),
    );
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n".to_vec();
    for transport in TRANSPORTS {
        for request in [get("/"), post.clone(), b"GET / HTTP/1.0\r\n\r\n".to_vec()] {
            let mut peers = [server.ask(transport, &request), server.ask(transport, &request)];
            for peer in &mut peers {
                peer.read_until("hello");
            }
            drop(peers);
            for _ in 0..2 {
                assert_eq!(told.next("the stream is dropped"), "dropped");
            }
        }
        let mut peer = server.ask(transport, get("/"));
        peer.read_until("hello");
        peer.reset();
        assert_eq!(told.next("the stream of a client that resets is dropped"), "dropped");
    }
}

/// A stream that waits for its client to leave sees it leave. The server probes a half-closed client with a leading
/// zero of the next chunk-size.
#[test]
fn a_stream_can_wait_for_its_client_to_leave() {
    let server = TestServer::start(1, || {
        Application::new().get("/", async |cx: &mut Context| {
            let closed = cx.closed();
            cx.stream(futures_util::stream::once(async move {
                closed.await;
                Ok::<_, Error>(Bytes::from_static(b"goodbye"))
            }));
        })
    });
    for transport in TRANSPORTS {
        let peer = server.ask(transport, get("/"));
        peer.half_close();
        let response = peer.read_all().unwrap();
        assert!(
            response.ends_with(b"\r\n\r\n07\r\ngoodbye\r\n0\r\n\r\n"),
            "{transport:?}"
        );
    }
}

/// A client that closes only its half gets its response, although that takes longer than the server needs to detect a
/// full close.
#[test]
fn a_client_that_half_closes_gets_a_slow_answer() {
    /// The time under test: the server looks for a full close after 5 s.
    const SLOW: Duration = Duration::from_secs(6);
    let server = TestServer::start(1, || {
        Application::new()
            .get("/handler", async |_: &mut Context| {
                sleep(SLOW).await;
                "slow"
            })
            .get("/stream", async |cx: &mut Context| {
                cx.stream(futures_util::stream::once(async {
                    sleep(SLOW).await;
                    Ok::<_, Error>(Bytes::from_static(b"slow"))
                }));
            })
            .get("/flush", async |cx: &mut Context| -> Result {
                cx.flush().await?;
                sleep(SLOW).await;
                cx.write("slow");
                Ok(())
            })
    });
    let peers: Vec<_> = TRANSPORTS
        .into_iter()
        .flat_map(|transport| ["/handler", "/stream", "/flush"].map(|path| (transport, path)))
        .map(|(transport, path)| {
            let peer = server.ask(transport, get(path));
            peer.half_close();
            (transport, path, peer)
        })
        .collect();
    for (transport, path, peer) in peers {
        let response = peer.read_all().unwrap();
        assert!(response.windows(4).any(|four| four == b"slow"), "{transport:?} {path}");
    }
}

/// An event stream requested by POST ends when its client has left, although the content was never read.
#[test]
fn an_event_stream_asked_for_by_post_ends_when_its_client_has_left() {
    let (ended, told) = events();
    let server = TestServer::start(2, move || {
        let ended = ended.clone();
        Application::new().post("/", async move |cx: &mut Context| -> Result {
            let _ended = OnDrop(ended.clone(), "ended");
            let mut events = cx.event_stream()?;
            events.send(Event::new("hello")).await?;
            events.run().await
        })
    });
    for transport in TRANSPORTS {
        for leaving in [Departure::Closes, Departure::Resets] {
            let mut peer = server.ask(transport, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
            peer.read_until("hello\n\n");
            drop(leave(peer, leaving));
            assert_eq!(told.next("the event stream ends"), "ended", "{transport:?} {leaving:?}");
        }
    }
}

/// The handler of an event stream that waits for something else, over HTTP/1.1 and HTTP/1.0.
#[test]
fn the_handler_of_an_event_stream_sees_its_client_leave_while_it_waits() {
    for shards in [1, 2] {
        let (closed, told) = events();
        let server = TestServer::start(shards, move || {
            let closed = closed.clone();
            Application::new().get("/", async move |cx: &mut Context| -> Result {
                let left = cx.closed();
                let mut events = cx.event_stream()?;
                events.subscribe("news")?;
                events.send(Event::new("hello")).await?;
                left.await;
                closed.send("closed").ok();
                Ok(())
            })
        });
        for transport in TRANSPORTS {
            for leaving in LEAVINGS {
                for request in [get("/"), b"GET / HTTP/1.0\r\n\r\n".to_vec()] {
                    let mut peer = server.ask(transport, request);
                    peer.read_until("hello\n\n");
                    let kept = leave(peer, leaving);
                    assert_eq!(told.next("the handler sees it"), "closed", "{transport:?} {leaving:?}");
                    drop(kept);
                }
            }
        }
    }
}

/// The factory of a WebSocket sees the client leave before its handshake was answered.
#[test]
fn a_websocket_factory_sees_its_client_leave() {
    let (closed, told) = events();
    let server = TestServer::start(1, move || {
        let closed = closed.clone();
        Application::new().websocket("/", async move |cx: &mut Context| -> Result<Silent> {
            closed.send("waits").ok();
            cx.closed().await;
            closed.send("closed").ok();
            Err(HttpError::new(403).into())
        })
    });
    let handshake = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for transport in TRANSPORTS {
        let peer = server.ask(transport, handshake);
        assert_eq!(told.next("the factory runs"), "waits");
        drop(peer);
        assert_eq!(told.next("the factory learns of it"), "closed");
    }
}

/// A client that reads slowly gets all of a last response, although that takes many times the linger timeout,
/// half-closed or not. (One that reads nothing is reset: `tests/wire/slow_peer.rs`.)
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the pace of a client on a thread outside the shards"
)]
fn a_client_that_reads_slowly_gets_the_whole_of_a_last_response() {
    const CONTENT_BYTES: usize = 100_000;
    let server = TestServer::configured(
        1,
        || Application::new().get("/", async |_: &mut Context| vec![b'x'; CONTENT_BYTES]),
        |server| server.linger_timeout(Duration::from_millis(300)),
    );
    for half_closes in [false, true] {
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let mut peer = server.ask(Transport::Tcp, request);
        if half_closes {
            peer.half_close();
        }
        let mut received = 0;
        loop {
            let mut piece = [0; 4096];
            let count = peer.read(&mut piece).unwrap();
            if count == 0 {
                break;
            }
            received += count;
            // The pace of the client, which the server must bear.
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(received > CONTENT_BYTES, "{half_closes}: {received}");
    }
}

/// A client that reads steadily gets everything, although the kernel takes more from the server only now and then.
/// (One that reads nothing is cut: `tests/wire/slow_peer.rs`.)
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the pace of a client on a thread outside the shards"
)]
fn a_client_that_reads_steadily_is_not_cut_by_the_write_timeout() {
    const CONTENT_BYTES: usize = 300_000;
    let server = TestServer::configured(
        1,
        || {
            Application::new().get("/", async |cx: &mut Context| -> Result {
                cx.write(vec![b'x'; CONTENT_BYTES]);
                cx.flush().await
            })
        },
        |server| server.write_timeout(Duration::from_secs(1)),
    );
    let peers = TRANSPORTS.map(|transport| server.ask(transport, "GET / HTTP/1.0\r\n\r\n"));
    let readers = peers.map(|mut peer| {
        std::thread::spawn(move || {
            let mut received = 0;
            let mut piece = [0; 10_000];
            loop {
                let count = peer.read(&mut piece).unwrap();
                if count == 0 {
                    return received;
                }
                received += count;
                // As above.
                std::thread::sleep(Duration::from_millis(200));
            }
        })
    });
    for reader in readers {
        let received = reader.join().unwrap();
        assert!(received > CONTENT_BYTES, "{received}");
    }
}
