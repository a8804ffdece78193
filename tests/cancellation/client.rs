//! The WebSocket client: connecting, sending, receiving, closing.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, bounded};
use squall::prelude::*;
use squall::shards::{Shard, spawn_blocking, timeout_at};
use squall::websocket::Message;
use squall::{ClientOptions, connect};
use tungstenite::{Error as TheirError, Message as Frame, WebSocket as TheirServer};

use crate::harness::{
    Running, at_every_poll_here, deadline, dropped_after, dropped_after_telling, eventually_here, on_shard,
};

/// Echoes every message and counts the open sockets.
struct Echo {
    open: Arc<AtomicUsize>,
}

impl WebSocketHandler for Echo {
    async fn open(&mut self, _: &WebSocket) -> Result {
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        Ok(ws.send(message).await?)
    }

    async fn on_close(&mut self, _: &WebSocket, _: Option<u16>, _: &str) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn echo() -> (Running, Arc<AtomicUsize>) {
    let open = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&open);
    let server = Running::start(1, move || {
        let open = Arc::clone(&counted);
        Application::new().websocket("/", async move |_: &mut Context| {
            Ok(Echo {
                open: Arc::clone(&open),
            })
        })
    });
    (server, open)
}

/// A server that reads only after a signal. Returns the texts it received when the client has closed.
fn patient_server() -> (String, crossbeam::channel::Sender<()>, JoinHandle<Vec<String>>) {
    let (go, gone) = bounded(64);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let server = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        read_when_let(server, &gone)
    });
    (url, go, serving)
}

fn read_when_let(mut server: TheirServer<TcpStream>, gone: &Receiver<()>) -> Vec<String> {
    gone.recv().unwrap();
    let mut texts = Vec::new();
    loop {
        match server.read() {
            Ok(Frame::Text(text)) => texts.push(text.to_string()),
            Ok(Frame::Close(frame)) => texts.push(format!("closed {}", frame.map_or(0, |frame| frame.code.into()))),
            Ok(_) => {}
            Err(TheirError::ConnectionClosed) => return texts,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_dropped_connect_closes_the_connection_on_both_ends() {
    let (server, open) = echo();
    let url = server.url("/");
    on_shard(move || {
        let (url, open) = (url.clone(), Arc::clone(&open));
        async move {
            let with_options = async |polls| {
                let options = ClientOptions::default().subprotocol("any");
                dropped_after(polls, options.connect(&url)).await.is_some()
            };
            let plainly = async |polls| dropped_after(polls, connect(&url)).await.is_some();
            let nothing_is_left = || {
                eventually_here("both ends are closed", || {
                    Shard::current().statistics().streams == 0 && open.load(Ordering::Relaxed) == 0
                })
            };
            at_every_poll_here(async |polls| {
                let is_ready = plainly(polls).await;
                nothing_is_left().await;
                is_ready
            })
            .await;
            at_every_poll_here(async |polls| {
                let is_ready = with_options(polls).await;
                nothing_is_left().await;
                is_ready
            })
            .await;
        }
    });
}

#[test]
fn a_wait_for_a_message_that_is_dropped_leaves_it_to_the_next() {
    let (server, _) = echo();
    let url = server.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            at_every_poll_here(async |polls| {
                let mut sent = 0;
                let first = dropped_after_telling(polls, client.next(), |_| {
                    client.try_send(sent.to_string()).unwrap();
                    sent += 1;
                })
                .await;
                let is_ready = first.is_some();
                client.try_send(sent.to_string()).unwrap();
                let mut received: Vec<_> = first.into_iter().map(Option::unwrap).collect();
                while received.len() <= sent {
                    received.push(client.next().await.unwrap());
                }
                let expected: Vec<_> = (0..=sent).map(|number| Message::from(number.to_string())).collect();
                assert_eq!(received, expected, "dropped after {polls} polls");
                is_ready
            })
            .await;
        }
    });
}

#[test]
fn a_clients_message_whose_send_is_dropped_while_it_waits_is_lost_whole() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let (url, go, serving) = patient_server();
            let client = connect(&url).await.unwrap();
            let mut silent_turns = 0;
            while silent_turns < 3 {
                silent_turns += 1;
                while client.try_send("filling".repeat(1000)).is_ok() {
                    silent_turns = 0;
                }
                // No event tells that the kernel takes no more. If it does later, the send waits less, and loses nothing.
                squall::shards::sleep(std::time::Duration::from_millis(2)).await;
            }
            let sent = dropped_after_telling(polls, client.send("given up"), |_| go.try_send(()).unwrap_or_default());
            let is_ready = sent.await.is_some();
            go.try_send(()).unwrap_or_default();
            client.send("after").await.unwrap();
            client.close(1000, "").await.unwrap();
            let texts = spawn_blocking(|| serving.join().unwrap()).await.unwrap();
            let mut expected = vec!["after", "closed 1000"];
            if is_ready {
                expected.insert(0, "given up");
            }
            let last: Vec<_> = texts.iter().filter(|text| !text.starts_with("filling")).collect();
            assert_eq!(last, expected, "dropped after {polls} polls");
            is_ready
        })
        .await;
    });
}

#[test]
fn a_clients_wait_for_the_end_that_is_dropped_leaves_it_to_the_next() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let (go, gone) = bounded(64);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            let serving = thread::spawn(move || {
                let mut server = tungstenite::accept(listener.accept().unwrap().0).unwrap();
                server.send(Frame::text("stays untaken")).unwrap();
                gone.recv().unwrap_or_default();
            });
            let client = connect(&url).await.unwrap();
            let ended = dropped_after_telling(polls, client.closed(), |_| go.try_send(()).unwrap_or_default()).await;
            go.try_send(()).unwrap_or_default();
            let next = timeout_at(deadline(), client.closed()).await;
            assert_eq!(next, Some(()), "dropped after {polls} polls");
            spawn_blocking(|| serving.join().unwrap()).await.unwrap();
            ended.is_some()
        })
        .await;
    });
}

#[test]
fn a_dropped_close_still_closes_and_the_next_call_returns_the_end() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let (url, go, serving) = patient_server();
            let client = connect(&url).await.unwrap();
            let closed = dropped_after_telling(polls, client.close(4001, "done"), |_| {
                go.try_send(()).unwrap_or_default();
            })
            .await;
            go.try_send(()).unwrap_or_default();
            assert_eq!(
                client.is_open(),
                polls == 0,
                "before its first poll it has done nothing"
            );
            let end = timeout_at(deadline(), client.close(4002, "done again")).await;
            let code = if polls == 0 { 4002 } else { 4001 };
            assert_eq!(end.unwrap().unwrap().code, Some(code), "dropped after {polls} polls");
            let texts = spawn_blocking(|| serving.join().unwrap()).await.unwrap();
            assert_eq!(texts, [format!("closed {code}")], "dropped after {polls} polls");
            closed.is_some()
        })
        .await;
    });
}
