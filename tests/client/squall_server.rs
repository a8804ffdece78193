//! The client with Squall's own server: echo, compression, subprotocols, fields, both directions at once, and more
//! than the peer reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use squall::client::ClientOptions;
use squall::prelude::*;
use squall::shards::{clock, spawn_detached, spawn_local, timeout_at};
use squall::websocket::DeflateConfig;
use squall::websocket::Message;
use squall::{SendError, WebSocketClient, connect};

use crate::harness::{Relay, Running, eventually_here, noise, offering, on_shard};

/// Both ends may look back at earlier messages.
fn takeover() -> DeflateConfig {
    DeflateConfig::default()
        .server_context_takeover(true)
        .client_context_takeover(true)
}

/// Sends back every message.
struct Echo;

impl WebSocketHandler for Echo {
    fn select_subprotocol<'o>(&self, offered: &[&'o str]) -> Option<&'o str> {
        offered.iter().copied().find(|name| name.starts_with("echo."))
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        Ok(ws.send(message).await?)
    }
}

fn echo() -> Running {
    let deflate = |config| WebSocketOptions::default().deflate(config);
    Running::start(1, move || {
        let echo = async |_: &mut Context| Ok(Echo);
        Application::new()
            .websocket("/plain", echo)
            .websocket_with("/deflate", deflate(DeflateConfig::default()), echo)
            .websocket_with("/takeover", deflate(takeover()), echo)
    })
}

#[test]
fn messages_of_all_sizes_come_back() {
    let server = echo();
    for (path, deflate) in [
        ("/plain", None),
        ("/plain", Some(takeover())),
        ("/deflate", None),
        ("/deflate", Some(DeflateConfig::default())),
        ("/deflate", Some(takeover())),
        ("/takeover", Some(takeover())),
    ] {
        let url = server.url(path);
        on_shard(move || {
            let (url, deflate) = (url.clone(), deflate.clone());
            async move {
                let options = offering(deflate);
                let client = options.connect(&url).await.unwrap();
                for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
                    let text = Message::from("x".repeat(length));
                    client.send(text.clone()).await.unwrap();
                    assert!(client.next().await == Some(text), "{length} at {url}");
                    let bytes = Message::from(noise(length));
                    client.send(bytes.clone()).await.unwrap();
                    assert!(client.next().await == Some(bytes), "{length} at {url}");
                }
                let end = client.close(1000, "enough").await.unwrap();
                assert_eq!(end.code, Some(1000));
            }
        });
    }
}

const UNLIKE_BYTES: usize = 8 * 1024;
const TIMES: usize = 10;

/// Both ends use the negotiated parameters, as the byte counts on the wire show.
#[test]
fn negotiated_compression_is_used() {
    let server = echo();
    let all = UNLIKE_BYTES * TIMES;
    // Sixteen letters in random order: half the size by themselves, nothing beside a copy of them.
    let letters: String = noise(UNLIKE_BYTES)
        .iter()
        .map(|byte| char::from(b'a' + byte % 16))
        .collect();
    for (path, deflate, compresses, looks_back) in [
        ("/plain", None, false, false),
        ("/plain", Some(takeover()), false, false),
        ("/deflate", None, false, false),
        ("/deflate", Some(takeover()), true, false),
        ("/takeover", Some(DeflateConfig::default()), true, false),
        ("/takeover", Some(takeover()), true, true),
    ] {
        let (alike, unlike) = (Relay::to(server.address), Relay::to(server.address));
        for (relay, message, times) in [
            (&alike, Message::from("a".repeat(all)), 1),
            (&unlike, Message::from(letters.as_str()), TIMES),
        ] {
            let url = format!("ws://{}{path}", relay.address);
            let deflate = deflate.clone();
            on_shard(move || {
                let (url, deflate, message) = (url.clone(), deflate.clone(), message.clone());
                async move {
                    let options = offering(deflate);
                    let client = options.connect(&url).await.unwrap();
                    for _ in 0..times {
                        client.send(message.clone()).await.unwrap();
                        assert!(client.next().await.as_ref() == Some(&message));
                    }
                }
            });
        }
        let case = format!("{path}, {deflate:?}: {:?}, {:?}", alike.counts(), unlike.counts());
        let is_small = |bytes: usize| bytes < all / 3;
        let (sent, received) = alike.counts();
        assert_eq!((is_small(sent), is_small(received)), (compresses, compresses), "{case}");
        let (sent, received) = unlike.counts();
        assert_eq!((is_small(sent), is_small(received)), (looks_back, looks_back), "{case}");
    }
}

#[test]
fn the_server_chooses_a_subprotocol_among_those_offered() {
    let server = echo();
    let url = server.url("/plain");
    on_shard(move || {
        let url = url.clone();
        async move {
            let options = ClientOptions::default().subprotocol("chat.1").subprotocol("echo.7");
            assert_eq!(options.connect(&url).await.unwrap().subprotocol(), Some("echo.7"));
            let options = ClientOptions::default().subprotocol("chat.1");
            assert_eq!(options.connect(&url).await.unwrap().subprotocol(), None);
            assert_eq!(connect(&url).await.unwrap().subprotocol(), None);
        }
    });
}

/// Sends back the path, the query and two fields of its request.
struct RequestEcho(String);

impl WebSocketHandler for RequestEcho {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        Ok(ws.send(self.0.as_str()).await?)
    }

    async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
        Ok(())
    }
}

#[test]
fn a_request_sends_its_path_query_and_fields() {
    let server = Running::start(1, || {
        Application::new().websocket("/mirror/{name}", async |cx: &mut Context| {
            let field = |name: &str| cx.header(name).unwrap_or("-").to_owned();
            let query = cx.query().unwrap_or("-");
            let said = format!("{} {query} {} {}", cx.path(), field("host"), field("authorization"));
            Ok(RequestEcho(said))
        })
    });
    let (url, address) = (server.url("/mirror/a%20b?c=d&e"), server.address);
    on_shard(move || {
        let url = url.clone();
        async move {
            let said = connect(&url).await.unwrap().next().await;
            assert_eq!(said, Some(format!("/mirror/a%20b c=d&e {address} -").into()));
            let options = ClientOptions::default()
                .header(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"))
                .header(header::HOST, HeaderValue::from_static("elsewhere.example"));
            let said = options.connect(&url).await.unwrap().next().await;
            assert_eq!(said, Some("/mirror/a%20b c=d&e elsewhere.example Bearer x".into()));
        }
    });
}

#[test]
fn one_task_sends_while_another_receives() {
    const MESSAGES: u32 = 2_000;
    let server = echo();
    let url = server.url("/plain");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            let sender = client.clone();
            let sending = spawn_local(async move {
                for number in 0..MESSAGES {
                    sender.send(number.to_be_bytes().repeat(100)).await.unwrap();
                }
            });
            for number in 0..MESSAGES {
                let expected = Message::from(number.to_be_bytes().repeat(100));
                assert!(client.next().await == Some(expected), "{number}");
            }
            sending.await.unwrap();
            assert_eq!(client.close(1000, "").await.unwrap().code, Some(1000));
        }
    });
}

const PIECES: usize = 64;
const PIECE_BYTES: usize = 512 * 1024;

/// Signals between the test and the handler.
#[derive(Default)]
struct Signals {
    /// The handler may continue to read.
    go_on: AtomicBool,
    /// How many pieces the handler has sent.
    sent: AtomicUsize,
}

/// Reads nothing until the test allows it. On command it reports how much it has read, or sends more than the peer's
/// buffers hold.
struct SlowReader {
    signals: Arc<Signals>,
    bytes: usize,
}

impl WebSocketHandler for SlowReader {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        eventually_here("the test lets it read", || self.signals.go_on.load(Ordering::Acquire)).await;
        match message.as_str() {
            None => self.bytes += message.as_bytes().len(),
            Some("how much?") => ws.send(self.bytes.to_string()).await?,
            Some(_) => {
                for _ in 0..PIECES {
                    ws.send(noise(PIECE_BYTES)).await?;
                    self.signals.sent.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
        Ok(())
    }
}

/// 32 MiB each way: far more than sockets and queues hold.
#[test]
fn messages_beyond_what_the_peer_reads_wait_and_arrive() {
    let signals = Arc::new(Signals::default());
    let handlers = Arc::clone(&signals);
    let server = Running::start(1, move || {
        let signals = Arc::clone(&handlers);
        Application::new().websocket("/slow-reader", async move |_: &mut Context| {
            let signals = Arc::clone(&signals);
            Ok(SlowReader { signals, bytes: 0 })
        })
    });
    let url = server.url("/slow-reader");
    on_shard(move || much_both_ways(url.clone(), Arc::clone(&signals)));
}

async fn much_both_ways(url: String, signals: Arc<Signals>) {
    let a_while = || clock::now() + Duration::from_millis(300);
    let client = connect(&url).await.unwrap();
    let mut sent = 0;
    while let Some(taken) = timeout_at(a_while(), client.send(noise(PIECE_BYTES))).await {
        taken.unwrap();
        sent += 1;
        assert!(sent < PIECES, "everything was sent although the peer does not read");
    }
    assert_eq!(client.try_send("one more"), Err(SendError::Full));
    signals.go_on.store(true, Ordering::Release);
    while sent < PIECES {
        client.send(noise(PIECE_BYTES)).await.unwrap();
        sent += 1;
    }
    client.send("how much?").await.unwrap();
    assert_eq!(client.next().await, Some((PIECES * PIECE_BYTES).to_string().into()));

    client.send("now you").await.unwrap();
    let expected = Message::from(noise(PIECE_BYTES));
    for piece in 0..PIECES {
        assert!(client.next().await.as_ref() == Some(&expected), "{piece}");
        if piece == 0 {
            // A handler that never waits would have sent everything before the first piece left.
            let sent = signals.sent.load(Ordering::Acquire);
            assert!(sent < PIECES, "everything was sent although the peer does not read");
        }
    }
    assert_eq!(client.close(1000, "").await.unwrap().code, Some(1000));
}

/// Relays messages to another server and back: a client in a handler.
struct Proxy {
    upstream: WebSocketClient,
}

impl WebSocketHandler for Proxy {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        let (ws, upstream) = (ws.clone(), self.upstream.clone());
        spawn_detached(async move {
            while let Some(message) = upstream.next().await {
                ws.send(message).await.unwrap_or_default();
            }
            let code = upstream.end().and_then(|end| end.code).unwrap_or(1001);
            ws.close(code, "as it was").unwrap_or_default();
        });
        Ok(())
    }

    async fn on_message(&mut self, _: &WebSocket, message: Message) -> Result {
        Ok(self.upstream.send(message).await?)
    }
}

#[test]
fn a_handler_may_be_a_client_of_another_server() {
    let upstream = Running::start(1, || {
        Application::new().websocket("/", async |_: &mut Context| Ok(CommandHandler))
    });
    let url = upstream.url("/");
    let between = Running::start(1, move || {
        let url = url.clone();
        Application::new().websocket("/", async move |_: &mut Context| {
            let upstream = connect(&url).await?;
            Ok(Proxy { upstream })
        })
    });
    let url = between.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            client.send("there and back").await.unwrap();
            assert_eq!(client.next().await, Some("there and back".into()));
            client.send("close").await.unwrap();
            assert_eq!(client.next().await, None);
            assert_eq!(client.end().unwrap().code, Some(4000));
        }
    });
    drop(upstream);
    // The failure to reach the other server is the handler's, and the client gets 500.
    let url = between.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let refused = connect(&url).await.unwrap_err();
            assert_eq!(refused.status(), Some(StatusCode::INTERNAL_SERVER_ERROR));
        }
    });
}

/// Echoes every message, and closes on command.
struct CommandHandler;

impl WebSocketHandler for CommandHandler {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        match message.as_str() {
            Some("close") => Ok(ws.close(4000, "as told")?),
            _ => Ok(ws.send(message).await?),
        }
    }
}
