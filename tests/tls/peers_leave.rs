//! Over TLS a handler that waits, of a request or of a WebSocket, learns that its peer has left.

use std::net::Shutdown;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use squall::prelude::*;
use squall::websocket::{Limits, Message};

use crate::authority::Authority;
use crate::client::{Client, Options, SILENCE_MAX};
use crate::support::running::Running;
use crate::support::websocket::{close, frame, handshake};

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Departure {
    /// With a `close_notify`, then the end of its half.
    ClosesItsHalf,
    /// The end of its half alone.
    IsCutOff,
    Closes,
    Resets,
}

const DEPARTURES: [Departure; 4] = [
    Departure::ClosesItsHalf,
    Departure::IsCutOff,
    Departure::Closes,
    Departure::Resets,
];

struct Waiter(Sender<String>);

impl WebSocketHandler for Waiter {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        if message.as_str() == Some("wait") {
            self.0.send("waits".to_owned()).ok();
            ws.closed().await;
            self.0.send(format!("open: {}", ws.is_open())).ok();
        } else {
            self.0.send(message.as_str().unwrap_or_default().to_owned()).ok();
        }
        Ok(())
    }

    async fn on_close(&mut self, _: &WebSocket, code: Option<u16>, _: &str) {
        self.0.send(format!("closed with {code:?}")).ok();
    }
}

fn start(shards: usize) -> (Authority, Running, Receiver<String>) {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let (says, hears) = channel();
    let server = Server::new(move || {
        let says = says.clone();
        // Without pings only the kernel's report can tell the handler.
        let limits = Limits::default().ping_interval(Duration::ZERO);
        let options = WebSocketOptions::default().limits(limits);
        let waiting = says.clone();
        Application::new()
            .websocket_with("/", options, async move |_: &mut Context| Ok(Waiter(says.clone())))
            .get("/wait", async move |cx: &mut Context| {
                waiting.send("waits".to_owned()).ok();
                cx.closed().await;
                waiting.send("closed".to_owned()).ok();
            })
    });
    let running = Running::serve(server.shards(shards).tls(own.tls()));
    (authority, running, hears)
}

fn leave(mut client: Client, leaving: Departure) -> Option<Client> {
    match leaving {
        Departure::ClosesItsHalf => {
            client.close().unwrap();
            client.cut().unwrap();
            Some(client)
        }
        Departure::IsCutOff => {
            client.stream.shutdown(Shutdown::Write).unwrap();
            Some(client)
        }
        Departure::Closes => None,
        Departure::Resets => {
            let linger = Some(Duration::ZERO);
            socket2::SockRef::from(&client.stream).set_linger(linger).unwrap();
            None
        }
    }
}

#[test]
fn a_handler_over_tls_that_waits_learns_that_its_peer_has_left() {
    let (authority, running, hears) = start(1);
    for leaving in DEPARTURES {
        let mut client = Options::trusting(&authority).connect(running.address).unwrap();
        client.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let next = || hears.recv_timeout(SILENCE_MAX).expect("the handler reports");
        assert_eq!(next(), "waits", "{leaving:?}");
        let kept = leave(client, leaving);
        assert_eq!(next(), "closed", "{leaving:?}");
        drop(kept);
    }
}

#[test]
fn a_websocket_handler_over_tls_that_waits_learns_that_its_peer_has_left() {
    for shards in [1, 2] {
        let (authority, running, hears) = start(shards);
        for leaving in DEPARTURES {
            for says_goodbye in [false, true] {
                let case = format!("{leaving:?} {says_goodbye} on {shards} shards");
                let mut client = Options::trusting(&authority).connect(running.address).unwrap();
                client.send(&handshake("/", "")).unwrap();
                assert!(client.response().unwrap().starts_with("HTTP/1.1 101 "), "{case}");
                let mut bytes = [frame(0x81, b"wait"), frame(0x81, b"second")].concat();
                if says_goodbye {
                    bytes.extend(close(4000, ""));
                }
                client.send(&bytes).unwrap();
                let next = || hears.recv_timeout(SILENCE_MAX).expect(&case);
                assert_eq!(next(), "waits", "{case}");
                let kept = leave(client, leaving);
                let code = says_goodbye.then_some(4000);
                for word in ["open: false", "second", &format!("closed with {code:?}")] {
                    assert_eq!(next(), word, "{case}");
                }
                drop(kept);
            }
        }
    }
}
