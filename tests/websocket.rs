//! WebSocket handlers that no example has, on a server in this process, with tungstenite's client. They are slow, fail,
//! refuse, or write more than a peer reads. Publishers outside the shards are here too.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use squall::SendError;
use squall::prelude::*;
use squall::websocket::Message;
use support::running::{Running, SILENCE_MAX, close_code, read};
use support::websocket::{Client as RawClient, close, frame, handshake};
use tungstenite::Message as Frame;
use tungstenite::protocol::frame::coding::CloseCode;

/// The value of a deadline under test.
const SOON: Duration = Duration::from_millis(200);

/// Longer than any test.
const LATE: Duration = Duration::from_secs(600);

/// Runs the command in each message, and reports its end.
struct CommandHandler {
    name: String,
    ended: Sender<(Option<u16>, String)>,
}

impl WebSocketHandler for CommandHandler {
    fn select_subprotocol<'o>(&self, offered: &[&'o str]) -> Option<&'o str> {
        match &*self.name {
            "inventor" => Some("squall.3"),
            _ => offered.iter().copied().find(|name| *name == "squall.2"),
        }
    }

    async fn open(&mut self, ws: &WebSocket) -> Result {
        match &*self.name {
            "broken" => Err(Error::new("told not to open")),
            "late" => {
                // The messages behind the handshake arrive long before this ends.
                for _ in 0..10 {
                    squall::shards::yield_now().await;
                }
                Ok(ws.send("open at last").await?)
            }
            _ => Ok(()),
        }
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        match message.as_str().unwrap() {
            "fail" => Err(Error::new("told to fail")),
            "panic" => panic!("told to panic"),
            "close" => Ok(ws.close(4000, "told to close")?),
            "wrong code" => Ok(ws.close(1005, "")?),
            "subscribe" => {
                ws.subscribe_pattern("rooms/*")?;
                Ok(ws.send("subscribed").await?)
            }
            "ping" => Ok(ws.ping(b"are you there?")?),
            "ping without end" => {
                while ws.ping(&[7; 125]).is_ok() {}
                Ok(ws.send("that is enough").await?)
            }
            "fill" => {
                let piece = vec![7; 8 * 1024];
                while ws.try_send(piece.clone()) == Ok(()) {}
                assert_eq!(ws.try_send("one more"), Err(SendError::Full));
                // Waits until the peer has read enough.
                Ok(ws.send("there is room again").await?)
            }
            "fill as far as it goes" => {
                while ws.try_send(vec![7; 8 * 1024]) == Ok(()) {}
                Ok(())
            }
            "fill and do something else" => {
                // More than the kernels of both ends hold.
                for _ in 0..64 {
                    if ws.send(vec![7; 64 * 1024]).await.is_err() {
                        squall::shards::sleep(LATE).await;
                    }
                }
                Ok(())
            }
            _ => Ok(ws.send(self.name.as_str()).await?),
        }
    }

    async fn on_ping(&mut self, ws: &WebSocket, payload: Bytes) -> Result {
        Ok(ws
            .send(format!("pinged: {}", String::from_utf8_lossy(&payload)))
            .await?)
    }

    async fn on_pong(&mut self, ws: &WebSocket, payload: Bytes) -> Result {
        Ok(ws
            .send(format!("ponged: {}", String::from_utf8_lossy(&payload)))
            .await?)
    }

    async fn on_close(&mut self, _: &WebSocket, code: Option<u16>, reason: &str) {
        self.ended.send((code, reason.to_owned())).unwrap_or_default();
    }
}

fn controlled(shards: usize) -> (Running, Receiver<(Option<u16>, String)>) {
    controlled_with(shards, |server| server)
}

/// A server with its own settings.
fn controlled_with(shards: usize, change: impl FnOnce(Server) -> Server) -> (Running, Receiver<(Option<u16>, String)>) {
    let (ended, ends) = channel();
    let application = move || {
        let ended = ended.clone();
        Application::new()
            .websocket("/ws/{name}", async move |cx: &mut Context| {
                let name: String = cx.param("name")?;
                if name == "missing" {
                    return Err(HttpError::new(404).into());
                }
                let name = cx.cookies().get("name")?.map_or(name, Cow::into_owned);
                cx.set_header("X-Name", name.as_str())?;
                let ended = ended.clone();
                Ok(CommandHandler { name, ended })
            })
            .post("/publish", async |cx: &mut Context| {
                let text = String::from_utf8(cx.body().await?.to_vec())?;
                cx.publish("rooms/1", text).await
            })
    };
    let server = Running::serve(change(Server::new(application).shards(shards)));
    (server, ends)
}

#[test]
fn the_factory_sees_the_request_and_may_refuse_it() {
    let (server, _ends) = controlled(1);
    assert_eq!(server.open("/ws/missing", &[]).unwrap_err().status(), 404);
    let mut client = server.connect("/ws/ada");
    client.send(Frame::from("who?")).unwrap();
    assert_eq!(read(&mut client), Frame::from("ada"));
    let mut client = server.open("/ws/ada", &[("Cookie", "a=1; name=\"grace\"")]).unwrap();
    client.send(Frame::from("who?")).unwrap();
    assert_eq!(read(&mut client), Frame::from("grace"));
}

#[test]
fn a_failing_open_closes_with_1011_and_a_slow_open_runs_before_every_message() {
    let (server, _ends) = controlled(1);
    let mut broken = server.connect("/ws/broken");
    assert_eq!(close_code(&mut broken), CloseCode::Error);
    let early = [frame(0x81, b"one"), frame(0x81, b"two")].concat();
    let (mut late, head) = RawClient::open_with(server.address, &handshake("/ws/late", ""), &early);
    assert!(head.contains("x-name: late") || head.contains("X-Name: late"), "{head}");
    for text in ["open at last", "late", "late"] {
        late.expect(0x81, text.as_bytes());
    }
}

#[test]
fn a_subprotocol_that_was_not_offered_cannot_be_chosen() {
    let (server, _ends) = controlled(1);
    let refused = server.open("/ws/inventor", &[("Sec-WebSocket-Protocol", "squall.1")]);
    assert_eq!(refused.unwrap_err().status(), 500);
}

/// tungstenite's client answers pings by itself.
#[test]
fn a_handler_sends_pings_and_receives_pings_and_pongs() {
    let (server, _ends) = controlled(1);
    let mut client = server.connect("/ws/a");
    client.send(Frame::Ping("hello?".into())).unwrap();
    assert_eq!(read(&mut client), Frame::Pong("hello?".into()));
    assert_eq!(read(&mut client), Frame::from("pinged: hello?"));
    client.send(Frame::from("ping")).unwrap();
    assert_eq!(read(&mut client), Frame::Ping("are you there?".into()));
    client.flush().unwrap();
    assert_eq!(read(&mut client), Frame::from("ponged: are you there?"));
    client.send(Frame::Pong("unasked".into())).unwrap();
    assert_eq!(read(&mut client), Frame::from("ponged: unasked"));
}

/// The queue for a peer that does not read is bounded, for pings too.
#[test]
fn a_ping_too_many_is_an_error() {
    let (server, _ends) = controlled(1);
    let mut client = server.connect("/ws/a");
    client.send(Frame::from("ping without end")).unwrap();
    let mut pings = 0;
    while let Frame::Ping(_) = read(&mut client) {
        pings += 1;
    }
    assert_eq!(pings, (64 * 1024_usize).div_ceil(127));
}

#[test]
fn a_page_of_another_origin_is_refused_with_403_and_one_of_the_same_is_not() {
    let (server, _ends) = controlled(1);
    let refused = server.open("/ws/a", &[("Origin", "http://elsewhere.example")]);
    assert_eq!(refused.unwrap_err().status(), 403);
    let own = format!("http://{}", server.address);
    assert!(server.open("/ws/a", &[("Origin", &own)]).is_ok());
}

/// tungstenite refuses a response with a subprotocol that was not offered, or without one if some were.
#[test]
fn the_handler_chooses_among_the_subprotocols_offered() {
    let (server, _ends) = controlled(1);
    assert!(
        server
            .open("/ws/a", &[("Sec-WebSocket-Protocol", "squall.1, squall.2")])
            .is_ok()
    );
}

#[test]
fn a_handler_that_fails_or_panics_closes_its_socket_with_1011_and_no_other() {
    let (server, ends) = controlled(1);
    let mut other = server.connect("/ws/other");
    for (word, told) in [("fail", true), ("panic", false), ("wrong code", true)] {
        let mut client = server.connect("/ws/a");
        client.send(Frame::from(word)).unwrap();
        assert_eq!(close_code(&mut client), CloseCode::Error, "{word}");
        if told {
            assert_eq!(
                ends.recv_timeout(SILENCE_MAX).unwrap(),
                (Some(1011), String::new()),
                "{word}"
            );
        }
        other.send(Frame::from("still there?")).unwrap();
        assert_eq!(read(&mut other), Frame::from("other"));
    }
}

#[test]
fn on_close_gets_the_peers_code_and_reason_or_none_without_a_close_frame() {
    let (server, ends) = controlled(1);
    let mut client = server.connect("/ws/a");
    client.send(Frame::from("close")).unwrap();
    assert_eq!(close_code(&mut client), CloseCode::Library(4000));
    // Sends the response to the close.
    client.read().unwrap_err();
    assert_eq!(ends.recv_timeout(SILENCE_MAX).unwrap().0, Some(4000));
    drop(server.connect("/ws/a"));
    assert_eq!(ends.recv_timeout(SILENCE_MAX).unwrap(), (None, String::new()));
}

#[test]
fn a_sender_waits_for_a_peer_that_does_not_read_and_goes_on_when_it_does() {
    let (server, _ends) = controlled(1);
    let mut slow = server.connect("/ws/slow");
    let mut other = server.connect("/ws/other");
    slow.send(Frame::from("fill")).unwrap();
    other.send(Frame::from("are you served?")).unwrap();
    assert_eq!(read(&mut other), Frame::from("other"));
    let pieces = std::iter::from_fn(|| Some(read(&mut slow))).take_while(Frame::is_binary);
    assert_eq!(
        pieces.count(),
        squall::websocket::OUTGOING_BYTES_MAX.div_ceil(8 * 1024 + 4)
    );
}

/// Unread bytes are dropped after the write timeout, even while the handler is busy.
#[test]
fn a_peer_that_reads_nothing_is_reset_while_its_handler_is_busy() {
    let (server, _ends) = controlled_with(1, |server| server.write_timeout(SOON));
    let mut client = RawClient::open_with_little_room(server.address, "/ws/a");
    client.send(&frame(0x81, b"fill and do something else"));
    client.await_reset();
}

/// Everything was sent and the kernel has taken it, but the peer does not read it within the linger timeout.
#[test]
fn a_peer_that_does_not_take_its_last_messages_is_reset() {
    let (server, ends) = controlled_with(1, |server| server.linger_timeout(SOON));
    let mut client = RawClient::open_with_little_room(server.address, "/ws/a");
    client.send(&[frame(0x81, b"fill as far as it goes"), close(1000, "")].concat());
    assert_eq!(ends.recv_timeout(SILENCE_MAX).unwrap().0, Some(1000));
    client.await_reset();
}

/// The same for a peer that has closed its half.
#[test]
fn a_peer_that_closes_its_half_and_does_not_take_its_last_messages_is_reset() {
    let (server, ends) = controlled_with(1, |server| server.linger_timeout(SOON));
    let mut client = RawClient::open_with_little_room(server.address, "/ws/a");
    client.send(&[frame(0x81, b"fill as far as it goes"), close(1000, "")].concat());
    client.half_close();
    assert_eq!(ends.recv_timeout(SILENCE_MAX).unwrap().0, Some(1000));
    client.await_reset();
}

/// A peer that has read everything and does not close its half reads a normal end.
#[test]
fn a_peer_that_has_taken_everything_is_not_reset() {
    let (server, ends) = controlled_with(1, |server| server.linger_timeout(SOON));
    let mut client = RawClient::open(server.address, "/ws/a");
    client.send(&[frame(0x81, b"who?"), close(1000, "")].concat());
    assert_eq!(ends.recv_timeout(SILENCE_MAX).unwrap().0, Some(1000));
    client.expect(0x81, b"a");
    client.expect_close(1000);
    client.expect_end();
}

#[test]
fn publications_of_handlers_and_threads_reach_every_shard() {
    let (server, _ends) = controlled(2);
    let mut subscribers: Vec<_> = (0..8).map(|_| server.connect("/ws/s")).collect();
    for subscriber in &mut subscribers {
        subscriber.send(Frame::from("subscribe")).unwrap();
        assert_eq!(read(subscriber), Frame::from("subscribed"));
    }
    let mut connection = support::client::Connection::open(server.address);
    let request = b"POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHello";
    connection
        .exchange(request, "POST")
        .unwrap()
        .expect_status(200)
        .unwrap();
    for subscriber in &mut subscribers {
        assert_eq!(read(subscriber), Frame::from("Hello"));
    }
    for number in 0..100_u8 {
        server.publisher.publish("rooms/2", vec![number]).try_now().unwrap();
    }
    for subscriber in &mut subscribers {
        for number in 0..100_u8 {
            assert_eq!(read(subscriber), Frame::binary(vec![number]));
        }
    }
}

/// Keeps its own socket for others on "keep", and passes other messages to the kept one.
struct Relay(Rc<RefCell<Option<WebSocket>>>);

impl WebSocketHandler for Relay {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        if message.as_str() == Some("keep") {
            self.0.replace(Some(ws.clone()));
            ws.send("kept").await?;
            return Ok(());
        }
        let kept = self.0.borrow().clone().or_status(404)?;
        kept.send(message).await?;
        Ok(())
    }
}

/// A `SendError` of another socket is an ordinary error: it neither passes for the own peer's end nor for the client's.
#[test]
fn a_handler_that_sends_on_another_closed_socket_fails_as_with_any_error() {
    let server = Running::start(1, || {
        Application::new()
            .state(Rc::new(RefCell::new(None::<WebSocket>)))
            .websocket("/relay", async |cx: &mut Context| {
                Ok(Relay(Rc::clone(&*cx.state::<Rc<RefCell<Option<WebSocket>>>>()?)))
            })
            .get("/send", async |cx: &mut Context| -> Result {
                let kept = cx.state::<Rc<RefCell<Option<WebSocket>>>>()?.borrow().clone();
                kept.or_status(404)?.send("from a request").await?;
                Ok(())
            })
    });
    let status = || {
        let request = b"GET /send HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut connection = support::client::Connection::open(server.address);
        connection.exchange(request, "GET").unwrap().status
    };
    let mut kept = server.connect("/relay");
    kept.send(Frame::from("keep")).unwrap();
    assert_eq!(read(&mut kept), Frame::from("kept"));
    assert_eq!(status(), 200);
    assert_eq!(read(&mut kept), Frame::from("from a request"));
    let mut other = server.connect("/relay");
    other.send(Frame::from("hello")).unwrap();
    assert_eq!(read(&mut kept), Frame::from("hello"));
    kept.close(None).unwrap();
    while kept.read().is_ok() {}
    other.send(Frame::from("hello")).unwrap();
    assert_eq!(close_code(&mut other), CloseCode::Error);
    assert_eq!(status(), 500);
}
