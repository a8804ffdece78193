//! The handler of a WebSocket that waits inside one of its methods learns that its peer has left.
//!
//! The server's pings are off, so that only the kernel's report can tell it.

use std::io::Write;
use std::sync::mpsc::Sender;
use std::time::Duration;

use squall::prelude::*;
use squall::shards::{Shard, ShardId};
use squall::websocket::{Limits, Message};

use crate::harness::*;
use crate::peer_leaves::{Departure, LEAVINGS, leave};
use crate::support::eventually;
use crate::support::websocket::{close, frame, handshake};

/// Where a handler waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Open,
    OnMessage,
    OnPing,
    /// For room in its own output.
    ItsSends,
    /// In another task of the shard, which has a clone of the socket.
    AnotherTask,
}

const WAITS: [Waiting; 5] = [
    Waiting::Open,
    Waiting::OnMessage,
    Waiting::OnPing,
    Waiting::ItsSends,
    Waiting::AnotherTask,
];

/// Waits for its peer to leave, and says how that looks.
struct Waiter {
    waits: Waiting,
    says: Sender<String>,
}

impl Waiter {
    async fn wait(&self, ws: &WebSocket) {
        self.says.send("waits".to_owned()).ok();
        match self.waits {
            Waiting::ItsSends => while ws.send(vec![7; 8 * 1024]).await.is_ok() {},
            Waiting::AnotherTask => {
                let ws = ws.clone();
                let other = squall::shards::spawn_local(async move { ws.closed().await });
                drop(other.await);
            }
            Waiting::Open | Waiting::OnMessage | Waiting::OnPing => ws.closed().await,
        }
        // It stays so.
        ws.closed().await;
        let sends = (ws.try_send("late"), ws.ping(b""), ws.send("late").await);
        self.says.send(format!("open: {}, sends: {sends:?}", ws.is_open())).ok();
    }
}

impl WebSocketHandler for Waiter {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        if self.waits == Waiting::Open {
            self.wait(ws).await;
        }
        Ok(())
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        match message.as_str() {
            Some("wait") => self.wait(ws).await,
            text => drop(self.says.send(text.unwrap_or_default().to_owned())),
        }
        Ok(())
    }

    async fn on_ping(&mut self, ws: &WebSocket, _: Bytes) -> Result {
        self.wait(ws).await;
        Ok(())
    }

    async fn on_close(&mut self, _: &WebSocket, code: Option<u16>, _: &str) {
        self.says.send(format!("closed with {code:?}")).ok();
    }
}

/// How it looks to a handler whose peer has left.
const LEFT: &str = "open: false, sends: (Err(Closed), Err(Closed), Err(Closed))";

fn start(shards: usize) -> (TestServer, Events<String>) {
    let (says, hears) = events();
    let server = TestServer::start(shards, move || {
        let limits = Limits::default().ping_interval(Duration::ZERO);
        let options = WebSocketOptions::default().limits(limits);
        WAITS.into_iter().fold(Application::new(), |application, waits| {
            let (says, options) = (says.clone(), options.clone());
            application.websocket_with(&format!("/{waits:?}"), options, async move |_: &mut Context| {
                let says = says.clone();
                Ok(Waiter { waits, says })
            })
        })
    });
    (server, hears)
}

/// Opens a WebSocket.
fn open(server: &TestServer, transport: Transport, waits: Waiting) -> Peer {
    let mut peer = server.ask(transport, handshake(&format!("/{waits:?}"), ""));
    peer.read_until("\r\n\r\n");
    peer
}

fn first_frame(waits: Waiting) -> Vec<u8> {
    match waits {
        Waiting::Open => Vec::new(),
        Waiting::OnPing => frame(0x89, b""),
        Waiting::OnMessage | Waiting::ItsSends | Waiting::AnotherTask => frame(0x81, b"wait"),
    }
}

/// For each method that waits, each way of leaving, TCP and Unix, one shard and two.
#[test]
fn a_websocket_handler_that_waits_learns_that_its_peer_has_left() {
    for shards in [1, 2] {
        let (server, hears) = start(shards);
        for transport in TRANSPORTS {
            for leaving in LEAVINGS {
                for waits in WAITS {
                    let case = format!("{transport:?} {leaving:?} {waits:?} on {shards} shards");
                    let mut peer = open(&server, transport, waits);
                    peer.write_all(&first_frame(waits)).unwrap();
                    assert_eq!(hears.next(&case), "waits", "{case}");
                    let kept = leave(peer, leaving);
                    assert_eq!(hears.next(&case), LEFT, "{case}");
                    assert_eq!(hears.next(&case), "closed with None", "{case}");
                    drop(kept);
                }
            }
        }
    }
}

/// More messages than are received at once, which the client's kernel has delivered before its end.
#[test]
fn messages_that_came_before_the_peer_left_are_delivered() {
    let texts: Vec<_> = (0..40).map(|number| format!("{number:0500}")).collect();
    let frames: Vec<_> = texts.iter().map(|text| frame(0x81, text.as_bytes())).collect();
    let (server, hears) = start(1);
    for transport in TRANSPORTS {
        for leaving in LEAVINGS {
            for says_goodbye in [false, true] {
                let case = format!("{transport:?} {leaving:?} {says_goodbye}");
                let mut bytes = [frame(0x81, b"wait"), frames.concat()].concat();
                if says_goodbye {
                    bytes.extend(close(4000, ""));
                }
                let mut peer = open(&server, transport, Waiting::OnMessage);
                peer.write_all(&bytes).unwrap();
                assert_eq!(hears.next(&case), "waits", "{case}");
                let kept = leave(peer, leaving);
                assert_eq!(hears.next(&case), LEFT, "{case}");
                for text in &texts {
                    assert_eq!(&hears.next(&case), text, "{case}");
                }
                let code = says_goodbye.then_some(4000);
                assert_eq!(hears.next(&case), format!("closed with {code:?}"), "{case}");
                drop(kept);
            }
        }
    }
}

/// A close frame is answered although the handler was busy when the client closed its half behind it.
#[test]
fn a_close_frame_is_answered_to_a_client_that_closes_its_half() {
    let (server, hears) = start(1);
    for transport in TRANSPORTS {
        let mut peer = open(&server, transport, Waiting::OnMessage);
        peer.write_all(&[frame(0x81, b"wait"), close(1000, "done")].concat())
            .unwrap();
        assert_eq!(hears.next("the handler waits"), "waits");
        peer.half_close();
        assert_eq!(peer.read_all().unwrap(), b"\x88\x02\x03\xe8", "{transport:?}");
        for word in [LEFT, "closed with Some(1000)"] {
            assert_eq!(hears.next(word), word, "{transport:?}");
        }
    }
}

/// Waits until its peer has left, and then forever.
struct Stubborn(Sender<&'static str>);

impl WebSocketHandler for Stubborn {
    async fn on_message(&mut self, ws: &WebSocket, _: Message) -> Result {
        self.0.send("waits").ok();
        ws.closed().await;
        self.0.send("closed").ok();
        std::future::pending().await
    }
}

/// Without unread messages the server needs the socket no more, even if the handler goes on.
#[test]
fn the_socket_of_a_peer_that_has_gone_closes_while_its_handler_waits() {
    let (says, hears) = events();
    let server = TestServer::start(1, move || {
        let says = says.clone();
        Application::new().websocket("/", async move |_: &mut Context| Ok(Stubborn(says.clone())))
    });
    let shards = server.running.remote.shards();
    let streams = || {
        let count = || async { Shard::current().statistics().streams };
        shards.invoke_on_blocking(ShardId::FIRST, count).unwrap()
    };
    for (transport, leaving) in [
        (Transport::Tcp, Departure::Resets),
        (Transport::Unix, Departure::Closes),
    ] {
        let mut peer = server.ask(transport, handshake("/", ""));
        peer.read_until("\r\n\r\n");
        peer.write_all(&frame(0x81, b"go")).unwrap();
        assert_eq!(hears.next("the handler waits"), "waits");
        drop(leave(peer, leaving));
        assert_eq!(hears.next("the handler learns of it"), "closed");
        eventually("the socket closes", || streams() == 0);
    }
}

/// The kernel reports a closed half once, and the factory may have been told before the handshake was answered.
#[test]
fn a_peer_that_left_before_the_101_has_left_the_handler_too() {
    let (says, hears) = events();
    let server = TestServer::start(1, move || {
        let says = says.clone();
        Application::new().websocket("/", async move |cx: &mut Context| {
            says.send("the factory waits".to_owned()).ok();
            cx.closed().await;
            Ok(Waiter {
                waits: Waiting::Open,
                says: says.clone(),
            })
        })
    });
    // A closed Unix socket gets no 101 any more.
    for (transport, leaving) in [
        (Transport::Tcp, Departure::HalfCloses),
        (Transport::Unix, Departure::HalfCloses),
        (Transport::Tcp, Departure::Closes),
    ] {
        let case = format!("{transport:?} {leaving:?}");
        let peer = server.ask(transport, handshake("/", ""));
        assert_eq!(hears.next(&case), "the factory waits", "{case}");
        let kept = leave(peer, leaving);
        for word in ["waits", LEFT, "closed with None"] {
            assert_eq!(hears.next(&case), word, "{case}");
        }
        drop(kept);
    }
}

/// Subscribes, waits for its peer to leave, and subscribes once more.
struct Subscriber {
    says: Sender<String>,
    /// Names itself in the topic instead.
    names_itself: bool,
}

impl WebSocketHandler for Subscriber {
    async fn on_message(&mut self, ws: &WebSocket, _: Message) -> Result {
        ws.subscribe("news")?;
        self.says.send("subscribed".to_owned()).ok();
        ws.closed().await;
        self.says.send("left".to_owned()).ok();
        if self.names_itself {
            ws.set_presence("news", "late")?;
        } else {
            ws.subscribe("more news")?;
        }
        Ok(())
    }

    async fn on_close(&mut self, _: &WebSocket, code: Option<u16>, _: &str) {
        self.says.send(format!("closed with {code:?}")).ok();
    }
}

/// Nothing more is queued for it. Its handler's error means that the peer has gone, so the socket does not fail with
/// 1011.
#[test]
fn the_subscriptions_of_a_peer_that_has_left_end_while_its_handler_waits() {
    let (says, hears) = events();
    let server = TestServer::start(1, move || {
        [false, true]
            .into_iter()
            .fold(Application::new(), |application, names_itself| {
                let says = says.clone();
                application.websocket(&format!("/{names_itself}"), async move |_: &mut Context| {
                    let says = says.clone();
                    Ok(Subscriber { says, names_itself })
                })
            })
    });
    let subscribers = || {
        let publishing = server.running.publisher.publish("news", "x").confirm();
        publishing.blocking().unwrap().matched
    };
    for transport in TRANSPORTS {
        for leaving in LEAVINGS {
            for names_itself in [false, true] {
                let mut peer = server.ask(transport, handshake(&format!("/{names_itself}"), ""));
                peer.read_until("\r\n\r\n");
                peer.write_all(&frame(0x81, b"go")).unwrap();
                assert_eq!(hears.next("the handler subscribes"), "subscribed");
                assert_eq!(subscribers(), 1);
                let kept = leave(peer, leaving);
                for word in ["left", "closed with None"] {
                    assert_eq!(hears.next(word), word, "{transport:?} {leaving:?}");
                }
                assert_eq!(subscribers(), 0);
                drop(kept);
            }
        }
    }
}
