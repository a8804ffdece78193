//! Content that waits for the server's consent (RFC 9110 §10.1.1).

use std::io::{Read, Write};
use std::time::Duration;

use squall::Bytes;
use squall::client::Client;
use squall::message::Body;

use crate::harness::{Origin, SOON, all_closed, ok, on_shard, read_head, text};

/// Longer than any test: content that is sent after it would fail one.
const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn content_follows_the_servers_consent() {
    let origin = Origin::start(|mut stream, _| {
        for is_chunked in [false, true] {
            let head = read_head(&mut stream).unwrap();
            assert_eq!(head.field("expect"), Some("100-continue"));
            // An interim response of another kind does not count.
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").unwrap();
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            let expected: &[u8] = if is_chunked { b"4\r\nwait\r\n0\r\n\r\n" } else { b"wait" };
            let mut content = vec![0; expected.len()];
            stream.read_exact(&mut content).unwrap();
            assert_eq!(content, expected);
            stream.write_all(&ok(b"thanks")).unwrap();
        }
        // Without content there is nothing to wait for.
        let head = read_head(&mut stream).unwrap();
        assert_eq!(head.field("expect"), None);
        stream.write_all(&ok(b"thanks")).unwrap();
    });
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().continue_timeout(NEVER).build().unwrap();
            let stream = || {
                let pieces = [Ok::<_, std::io::Error>(Bytes::from_static(b"wait"))];
                Body::stream(futures_util::stream::iter(pieces))
            };
            for content in [Body::from("wait"), stream(), Body::Empty] {
                let request = client.post(&url).body(content).expect_continue();
                assert_eq!(text(request.send()).await, "thanks");
            }
        }
    });
    assert_eq!(origin.connections(), 1);
}

/// The connection closes, because the rest of the request is missing on it.
#[test]
fn a_final_response_in_place_of_consent_ends_the_request_without_its_content() {
    let origin = Origin::start(|mut stream, _| {
        read_head(&mut stream).unwrap();
        stream
            .write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much")
            .unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    });
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().continue_timeout(NEVER).build().unwrap();
            let request = client.post(&url).body("x".repeat(100_000)).expect_continue();
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), 413);
            assert_eq!(response.text().await.unwrap(), "too much");
            all_closed().await;
        }
    });
}

#[test]
fn content_is_sent_to_a_server_that_gives_no_consent() {
    let origin = Origin::answering(|seen| (ok(&seen.content), true));
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().continue_timeout(SOON).build().unwrap();
            for content in ["wait".to_owned(), "x".repeat(100_000)] {
                let request = client.post(&url).body(content.clone()).expect_continue();
                assert!(text(request.send()).await == content);
            }
        }
    });
}

#[test]
fn a_failed_expectation_is_given_up_and_the_request_repeated() {
    let origin = Origin::start(|mut stream, number| {
        let head = read_head(&mut stream).unwrap();
        assert_eq!(head.field("expect").is_some(), number == 0);
        let response: &[u8] = match number {
            0 => b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n",
            _ => {
                let mut content = [0; 4];
                stream.read_exact(&mut content).unwrap();
                assert_eq!(&content, b"wait");
                b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nthanks"
            }
        };
        stream.write_all(response).unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().continue_timeout(NEVER).build().unwrap();
            let request = client.post(&url).body("wait").expect_continue();
            assert_eq!(text(request.send()).await, "thanks");
        }
    });
    assert_eq!(origin.connections(), 2);
}
