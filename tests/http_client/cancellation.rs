//! Drops every public future of the HTTP client at each of its polls. The loss must be what the table "What is lost when
//! a future is dropped" in `ARCHITECTURE.md` says.

use std::io::Write;

use squall::client::{Client, Request};
use squall::prelude::*;

use crate::harness::{Origin, Running, all_closed, ok, on_shard, read_request};
use crate::polls::{at_every_poll, at_every_poll_here, dropped_after, dropped_after_telling};

#[test]
fn a_fetch_that_is_dropped_closes_its_connection() {
    let origin = Origin::repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            at_every_poll_here(async |polls| {
                let client = Client::new();
                let is_ready = dropped_after(polls, client.get(&url).send()).await.is_some();
                drop(client);
                all_closed().await;
                is_ready
            })
            .await;
            at_every_poll_here(async |polls| {
                let client = Client::new();
                let fetched = dropped_after(polls, client.fetch(Request::get(&url))).await;
                let is_ready = fetched.is_some();
                drop(fetched);
                // The place of the dropped fetch is free again.
                drop(client);
                all_closed().await;
                is_ready
            })
            .await;
        }
    });
}

#[test]
fn a_fetch_of_a_handler_that_is_dropped_closes_its_connection() {
    let origin = Origin::repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let url = origin.url("/");
    let server = Running::start(1, move || {
        let url = url.clone();
        Application::new()
            .state(Client::builder().max_connections_per_host(1).build().unwrap())
            .get("/{polls}", async move |cx: &mut Context| {
                let polls = cx.param::<usize>("polls")?;
                let fetched = dropped_after(polls, cx.fetch(Request::get(&url))).await;
                let is_ready = fetched.is_some();
                drop(fetched);
                // The one place is free for the next fetch.
                let again = cx.fetch(Request::get(&url)).await?.text().await?;
                assert_eq!(again, "hello");
                Ok::<_, Error>(is_ready.to_string())
            })
    });
    at_every_poll(|polls| {
        let response = server.get(&format!("/{polls}"));
        assert_eq!(response.status, 200, "{polls}");
        response.body == b"true"
    });
}

/// A server that sends one byte of content for each signal.
fn by_signal() -> (Origin, crossbeam::channel::Sender<u8>) {
    let (sender, receiver) = crossbeam::channel::unbounded::<u8>();
    let origin = Origin::start(move |mut stream, _| {
        while read_request(&mut stream).is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            while let Ok(byte) = receiver.recv() {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
            }
        }
    });
    (origin, sender)
}

#[test]
fn a_next_chunk_of_a_response_that_is_dropped_leaves_its_piece_to_the_next() {
    let (origin, sender) = by_signal();
    let url = origin.url("/");
    on_shard(move || {
        let (url, sender) = (url.clone(), sender.clone());
        async move {
            let mut response = Client::new().get(&url).send().await.unwrap();
            at_every_poll_here(async |polls| {
                let mut sent = 0_u8;
                let first = dropped_after_telling(polls, response.next_chunk(), |_| {
                    sender.send(sent).unwrap();
                    sent += 1;
                })
                .await;
                let is_ready = first.is_some();
                sender.send(sent).unwrap();
                let mut received = match first {
                    Some(piece) => piece.unwrap().unwrap().to_vec(),
                    None => Vec::new(),
                };
                while received.len() <= usize::from(sent) {
                    received.extend_from_slice(&response.next_chunk().await.unwrap().unwrap());
                }
                assert_eq!(received, (0..=sent).collect::<Vec<_>>(), "dropped after {polls} polls");
                is_ready
            })
            .await;
        }
    });
}

/// A server that sends the end of its content after a signal.
fn in_two_parts() -> (Origin, crossbeam::channel::Sender<()>) {
    let (sender, receiver) = crossbeam::channel::unbounded::<()>();
    let origin = Origin::start(move |mut stream, _| {
        read_request(&mut stream).unwrap();
        let response = ok(b"{\"a\": 1}");
        let (first, second) = response.split_at(response.len() - 3);
        stream.write_all(first).unwrap();
        // The client may have gone, and the test with it.
        drop(receiver.recv().map(|()| stream.write_all(second)));
    });
    (origin, sender)
}

#[test]
fn content_read_whole_that_is_dropped_closes_its_connection() {
    on_shard(|| async {
        for reader in 0..3 {
            at_every_poll_here(async |polls| {
                let (origin, sender) = in_two_parts();
                let client = Client::new();
                let response = client.get(&origin.url("/")).send().await.unwrap();
                let signal = |_| sender.send(()).unwrap();
                let is_ready = match reader {
                    0 => dropped_after_telling(polls, response.bytes(), signal).await.is_some(),
                    1 => dropped_after_telling(polls, response.text(), signal).await.is_some(),
                    _ => {
                        let json = response.json::<serde_json::Value>();
                        dropped_after_telling(polls, json, signal).await.is_some()
                    }
                };
                drop((client, sender));
                all_closed().await;
                is_ready
            })
            .await;
        }
    });
}
