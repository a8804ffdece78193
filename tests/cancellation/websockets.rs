//! The futures of a server's WebSocket, which a client's shares.

use std::cell::RefCell;
use std::rc::Rc;

use squall::prelude::*;
use squall::shards::clock;
use squall::websocket::Message;
use squall::websocket::{Connection, Limits};
use squall::websocket::{Duplex, ReceiveOutcome};
use tungstenite::Message as Frame;

use crate::harness::{Running, StateSender, at_every_poll, dropped_after_telling, line};
use crate::support::running::read;
use crate::support::websocket::frame;

/// Fills its output and drops a send at every poll.
struct Sender {
    says: StateSender,
}

impl WebSocketHandler for Sender {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let polls = message.as_str().unwrap_or_default().parse()?;
        // Until the kernel and the socket's own output are full.
        let mut silent_turns = 0;
        while silent_turns < 3 {
            silent_turns += 1;
            while ws.try_send("filling".repeat(1000)).is_ok() {
                silent_turns = 0;
            }
            // No event tells that the kernel takes no more. If it does later, the send waits less, and loses nothing.
            squall::shards::sleep(std::time::Duration::from_millis(2)).await;
        }
        self.says.dropped_after(polls, ws.send("given up")).await.transpose()?;
        Ok(ws.send("after").await?)
    }
}

#[test]
fn a_message_whose_send_is_dropped_while_it_waits_is_lost_whole() {
    let (says, hears) = line();
    let server = Running::start(1, move || {
        let says = says.clone();
        Application::new().websocket("/", async move |_: &mut Context| Ok(Sender { says: says.clone() }))
    });
    at_every_poll(|polls| {
        let mut client = server.connect("/");
        client.send(Frame::text(polls.to_string())).unwrap();
        let mut given_up = false;
        let mut is_after = false;
        let mut read_some = |count: usize| {
            for _ in 0..count {
                if is_after {
                    return;
                }
                match read(&mut client).to_text().unwrap() {
                    "given up" => given_up = true,
                    "after" => is_after = true,
                    filling => assert_eq!(filling.len(), 7000),
                }
            }
        };
        let is_ready = hears.until_over(|| read_some(200));
        read_some(usize::MAX);
        assert!(is_after);
        assert_eq!(given_up, is_ready, "dropped after {polls} polls");
        is_ready
    });
}

/// Drops a wait for its peer's end at every poll, and waits again.
struct Watcher {
    says: StateSender,
}

impl WebSocketHandler for Watcher {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let polls = message.as_str().unwrap_or_default().parse()?;
        self.says.dropped_after(polls, ws.closed()).await;
        self.says.dropped_after(usize::MAX, ws.closed()).await;
        Ok(())
    }
}

#[test]
fn a_wait_for_the_end_of_a_websocket_that_is_dropped_leaves_it_to_the_next() {
    let (says, hears) = line();
    let server = Running::start(1, move || {
        let says = says.clone();
        Application::new().websocket("/", async move |_: &mut Context| Ok(Watcher { says: says.clone() }))
    });
    at_every_poll(|polls| {
        let mut client = server.connect("/");
        client.send(Frame::text(polls.to_string())).unwrap();
        let mut client = Some(client);
        let is_ready = hears.until_over(|| drop(client.take()));
        drop(client.take());
        assert!(hears.until_over(|| {}), "dropped after {polls} polls");
        is_ready
    });
}

#[test]
fn a_wait_for_the_next_message_that_is_dropped_leaves_it_to_the_next() {
    let machine = Connection::server(Rc::new(Limits::default()), None, clock::now());
    let duplex = Duplex::new(machine, &Rc::new(RefCell::default()));
    let come = |bytes: &[u8]| {
        let mut rest = bytes;
        let outcome = duplex.receive(&mut rest, clock::now());
        (outcome, rest.is_empty())
    };
    // The driver polls again after it was handed an event, and needs no waker for it.
    at_every_poll(|polls| {
        let future = async {
            let mut next = Box::pin(duplex.next_message());
            std::future::poll_fn(|task| {
                let polled = next.as_mut().poll(task);
                task.waker().wake_by_ref();
                polled
            })
            .await
        };
        let message = pollster::block_on(dropped_after_telling(polls, future, |poll| {
            let (outcome, is_whole) = match poll {
                1 => come(&frame(0x89, b"a ping is passed over")),
                2 => come(&frame(0x81, b"once")),
                _ => panic!("a message is there"),
            };
            assert!(is_whole && outcome == ReceiveOutcome::Event);
        }));
        let is_ready = message.is_some();
        let message = message.unwrap_or_else(|| {
            pollster::block_on(async {
                let mut next = Box::pin(duplex.next_message());
                std::future::poll_fn(|task| {
                    let polled = next.as_mut().poll(task);
                    if polled.is_pending() {
                        come(&frame(0x81, b"once"));
                        task.waker().wake_by_ref();
                    }
                    polled
                })
                .await
            })
        });
        assert_eq!(message.unwrap(), Message::from("once"), "dropped after {polls} polls");
        is_ready
    });
}
