//! Every step of a fetch has a timeout. The silent servers of these tests say nothing until the client has gone.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use squall::Bytes;
use squall::client::{Client, FetchFailure, Step};
use squall::message::Body;

use crate::harness::{Origin, SOON, all_closed, error, on_shard, read_request};

/// A server that sends these bytes after a request, and then waits until the client has closed.
fn silent_after(bytes: &'static [u8]) -> Origin {
    Origin::start(move |mut stream, _| {
        read_request(&mut stream).unwrap();
        stream.write_all(bytes).unwrap();
        while read_request(&mut stream).is_some() {}
    })
}

/// Fetches from a silent server and checks which step took too long.
fn check(client: fn() -> squall::client::ClientBuilder, bytes: &'static [u8], expected: Step) {
    let origin = silent_after(bytes);
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = client().build().unwrap();
            let failed = error(client.get(&url).send()).await;
            let FetchFailure::Timeout { step, timeout } = failed.failure() else {
                panic!("{failed}");
            };
            assert_eq!((*step, *timeout), (expected, SOON));
            assert!(failed.is_timeout());
            all_closed().await;
        }
    });
}

#[test]
fn the_head_of_a_response_has_a_timeout() {
    check(|| Client::builder().head_timeout(SOON), b"", Step::Head);
    check(
        || Client::builder().head_timeout(SOON),
        b"HTTP/1.1 200 OK\r\nA: b",
        Step::Head,
    );
}

#[test]
fn a_pause_in_the_content_has_a_timeout() {
    check(
        || Client::builder().gap_timeout(SOON),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
        Step::Content,
    );
}

#[test]
fn a_whole_fetch_has_a_timeout_if_asked_for() {
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"] {
        check(|| Client::builder().timeout(SOON), bytes, Step::Whole);
    }
}

#[test]
fn a_request_that_the_server_does_not_take_has_a_timeout() {
    let (sender, receiver) = crossbeam::channel::bounded::<()>(1);
    let origin = Origin::start(move |_stream, _| {
        receiver.recv().unwrap();
    });
    let url = origin.url("/");
    on_shard(move || {
        let (url, sender) = (url.clone(), sender.clone());
        async move {
            let client = Client::builder()
                .gap_timeout(Duration::from_millis(300))
                .build()
                .unwrap();
            let content = vec![b'x'; 64 * 1024 * 1024];
            let failed = error(client.post(&url).body(content).send()).await;
            assert!(
                matches!(failed.failure(), FetchFailure::Timeout { step: Step::Send, .. }),
                "{failed}"
            );
            sender.send(()).unwrap();
        }
    });
}

/// The server is blameless while the application's own stream pauses.
#[test]
fn a_pause_of_the_application_has_no_timeout() {
    let origin = Origin::answering(|seen| (crate::harness::ok(&seen.content), true));
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().head_timeout(SOON).gap_timeout(SOON).build().unwrap();
            let slow = futures_util::stream::once(async {
                squall::shards::sleep(4 * SOON).await;
                Ok::<_, std::io::Error>(Bytes::from_static(b"late"))
            });
            let response = client.post(&url).body(Body::stream(slow)).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "late");
        }
    });
}

/// A listener whose queue is full answers no SYN.
#[test]
fn a_connection_has_a_timeout() {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        filling.push(stream);
    }
    let url = format!("http://{address}/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().connect_timeout(SOON).build().unwrap();
            let failed = error(client.get(&url).send()).await;
            assert!(failed.is_timeout() && failed.is_connect(), "{failed}");
            let failed = error(Client::new().get(&url).timeout(SOON).send()).await;
            assert!(
                matches!(failed.failure(), FetchFailure::Timeout { step: Step::Whole, .. }),
                "{failed}"
            );
            all_closed().await;
        }
    });
}
