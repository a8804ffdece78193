//! Connections are used again, counted, and closed in time.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use squall::client::{Client, FetchFailure};
use squall::shards::Shard;

use crate::harness::{
    Origin, Running, SOON, all_closed, error, eventually_here, ok, on_shard, read_request, streams_left, text,
    with_fields,
};

#[test]
fn requests_in_turn_share_one_connection() {
    let origin = Origin::answering(|seen| (ok(seen.path().as_bytes()), true));
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            for number in 0..10 {
                let path = format!("/{number}");
                assert_eq!(text(client.get(&format!("{url}{path}")).send()).await, path);
            }
            streams_left(1).await;
            drop(client);
            all_closed().await;
        }
    });
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_connection_that_either_side_closes_is_not_used_again() {
    let origin = Origin::answering(|seen| {
        let fields = if seen.path() == "/close" {
            "Connection: close\r\n"
        } else {
            ""
        };
        (with_fields(fields, b"x"), true)
    });
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            for _ in 0..2 {
                text(client.get(&format!("{url}/close")).send()).await;
                all_closed().await;
            }
        }
    });
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_response_that_is_dropped_closes_its_connection() {
    let origin = Origin::repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nx");
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            drop(client.get(&url).send().await.unwrap());
            all_closed().await;
        }
    });
}

#[test]
fn an_unused_connection_closes_after_its_time() {
    let origin = Origin::repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().idle_timeout(SOON).build().unwrap();
            text(client.get(&url).send()).await;
            all_closed().await;
            // The task that closes starts anew.
            text(client.get(&url).send()).await;
            all_closed().await;
        }
    });
    assert_eq!(origin.connections(), 2);
}

#[test]
fn an_unused_connection_that_its_server_ends_or_writes_to_is_closed() {
    for behind in [&b""[..], b"HTTP/1.1 408 Request Timeout\r\n\r\n"] {
        let (sender, receiver) = crossbeam::channel::bounded::<()>(1);
        let origin = Origin::start(move |mut stream, _| {
            while read_request(&mut stream).is_some() {
                stream.write_all(&ok(b"x")).unwrap();
                receiver.recv().unwrap();
                stream.write_all(behind).unwrap();
                if behind.is_empty() {
                    return;
                }
            }
        });
        let url = origin.url("/");
        on_shard(move || {
            let (url, sender) = (url.clone(), sender.clone());
            async move {
                let client = Client::new();
                for _ in 0..2 {
                    assert_eq!(text(client.get(&url).send()).await, "x");
                    streams_left(1).await;
                    sender.send(()).unwrap();
                    all_closed().await;
                }
            }
        });
        assert_eq!(origin.connections(), 2);
    }
}

/// A server that counts the requests which it serves at once.
fn counting(most: &Arc<AtomicUsize>) -> Origin {
    let (now, most) = (AtomicUsize::new(0), Arc::clone(most));
    Origin::answering(move |_| {
        let count = now.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(count, Ordering::SeqCst);
        std::thread::yield_now();
        now.fetch_sub(1, Ordering::SeqCst);
        (ok(b"x"), true)
    })
}

#[test]
fn a_host_gets_at_most_its_connections_and_the_other_fetches_wait() {
    let most = Arc::new(AtomicUsize::new(0));
    let origin = counting(&most);
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().max_connections_per_host(3).build().unwrap();
            let fetches = (0..50).map(|_| text(client.get(&url).send()));
            assert_eq!(join_all(fetches).await.concat(), "x".repeat(50));
            streams_left(3).await;
        }
    });
    assert_eq!(origin.connections(), 3);
    assert!(most.load(Ordering::SeqCst) <= 3);
}

#[test]
fn the_limit_of_the_process_closes_unused_connections_of_other_hosts() {
    let origins = [(); 3].map(|()| Origin::repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"));
    let urls: Vec<_> = origins.iter().map(|origin| origin.url("/")).collect();
    on_shard(move || {
        let urls = urls.clone();
        async move {
            let client = Client::builder().max_connections(2).build().unwrap();
            for _ in 0..3 {
                let fetches = urls.iter().map(|url| text(client.get(url).send()));
                assert_eq!(join_all(fetches).await, ["x", "x", "x"]);
                assert!(Shard::current().statistics().streams <= 2);
            }
        }
    });
}

#[test]
fn more_fetches_than_may_wait_fail_at_once() {
    let (sender, receiver) = crossbeam::channel::unbounded::<()>();
    let origin = Origin::answering(move |_| {
        receiver.recv().unwrap();
        (ok(b"x"), true)
    });
    let url = origin.url("/");
    on_shard(move || {
        let (url, sender) = (url.clone(), sender.clone());
        async move {
            let client = Client::builder()
                .max_connections_per_host(1)
                .max_waiting(1)
                .build()
                .unwrap();
            let fetches = (0..3).map(|_| async {
                let response = client.get(&url).send().await;
                if response.is_err() {
                    sender.send(()).unwrap();
                    sender.send(()).unwrap();
                }
                response?.text().await
            });
            let ended = join_all(fetches).await;
            let failures: Vec<_> = ended.iter().filter_map(|ended| ended.as_ref().err()).collect();
            assert_eq!(failures.len(), 1);
            assert!(matches!(failures[0].failure(), FetchFailure::Busy { waiting: 1 }));
        }
    });
}

#[test]
fn a_fetch_that_gives_up_leaves_its_place_to_the_next() {
    let origin = Origin::answering(|seen| (ok(b"x"), seen.path() != "/never"));
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().max_connections_per_host(1).build().unwrap();
            let first = client.get(&url).send().await.unwrap();
            // The only connection is in use until the first response is dropped.
            let late = client.get(&url).timeout(SOON).send();
            assert!(error(late).await.is_timeout());
            drop(first);
            assert_eq!(text(client.get(&url).send()).await, "x");
            eventually_here("one stream is left", || Shard::current().statistics().streams <= 1).await;
        }
    });
}

#[test]
fn a_thousand_fetches_run_at_once_on_a_shard() {
    let origin = Running::start(1, || {
        squall::Application::new().get("/", async |_: &mut squall::Context| "hello")
    });
    let url = format!("http://{}/", origin.address);
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            let fetches = (0..1000).map(|_| text(client.get(&url).send()));
            let texts = join_all(fetches).await;
            assert!(texts.len() == 1000 && texts.iter().all(|text| text == "hello"));
            assert!(Shard::current().statistics().streams <= 64);
        }
    });
}
