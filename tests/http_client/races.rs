//! The race of a pooled connection: the server closes it while the client sends the next request.

#![expect(
    clippy::disallowed_types,
    reason = "servers on threads of their own count what they receive"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall::client::Client;
use squall::shards::clock;

use crate::harness::{Origin, ok, on_shard, read_request, text};

/// Requests of one run: enough that many meet the end of their connection.
const REQUESTS: usize = 400;

/// How often the server has received each path.
type Received = Arc<Mutex<BTreeMap<String, usize>>>;

/// A server that answers one to three requests of a connection, and closes it a random number of microseconds later.
fn closing(received: &Received) -> Origin {
    let received = Arc::clone(received);
    Origin::start(move |mut stream, number| {
        let mut state = number as u64 + 1;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..=random(3) {
            let Some(seen) = read_request(&mut stream) else { return };
            *received.lock().unwrap().entry(seen.line().to_owned()).or_default() += 1;
            if stream.write_all(&ok(seen.path().as_bytes())).is_err() {
                return;
            }
        }
        let until = clock::now() + Duration::from_micros(random(300));
        while clock::now() < until {
            std::hint::spin_loop();
        }
    })
}

#[test]
fn no_get_fails_because_its_server_closes_at_a_random_microsecond() {
    let received = Received::default();
    let origin = closing(&received);
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            for number in 0..REQUESTS {
                let path = format!("/{number}");
                assert_eq!(text(client.get(&format!("{url}{path}")).send()).await, path);
            }
        }
    });
    assert!(origin.connections() > REQUESTS / 4, "the server has closed connections");
    assert_eq!(received.lock().unwrap().len(), REQUESTS);
}

#[test]
fn no_post_is_sent_twice_although_its_server_closes_at_a_random_microsecond() {
    let received = Received::default();
    let origin = closing(&received);
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            for number in 0..REQUESTS {
                let path = format!("/{number}");
                // An error is honest: the client cannot know whether the server ran the request.
                if let Ok(response) = client.post(&format!("{url}{path}")).body("x").send().await {
                    assert_eq!(response.text().await.unwrap(), path);
                }
            }
        }
    });
    let received = received.lock().unwrap();
    assert!(received.values().all(|count| *count == 1), "{received:?}");
    assert!(received.len() > REQUESTS / 2);
}

/// A stream was read for the first attempt, so it cannot be sent again.
#[test]
fn a_request_with_a_stream_is_sent_once() {
    let received = Received::default();
    let origin = closing(&received);
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            for number in 0..REQUESTS / 4 {
                let content = squall::message::Body::stream(futures_util::stream::iter([Ok::<_, std::io::Error>(
                    squall::Bytes::from_static(b"x"),
                )]));
                let sent = client.put(&format!("{url}/{number}")).body(content).send().await;
                drop(sent);
            }
        }
    });
    let received = received.lock().unwrap();
    assert!(received.values().all(|count| *count == 1), "{received:?}");
}
