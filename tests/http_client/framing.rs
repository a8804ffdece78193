//! How a response ends (RFC 9112 §6.3), whole and byte by byte.

use std::io::Write;
use std::sync::Arc;

use squall::client::Client;

use crate::harness::{Origin, on_shard, read_request, send_in_pieces};

/// What a server sends, and the content or a part of the error that the client sees.
type Row = (&'static str, Result<&'static str, &'static str>);

/// Answers one request, whole and byte by byte, and then closes.
fn check(rows: &'static [Row]) {
    for (bytes, expected) in rows {
        for piece in [usize::MAX, 1] {
            let origin = Arc::new(Origin::start(move |mut stream, _| {
                if read_request(&mut stream).is_some() {
                    // The client may close at the first fault.
                    drop(send_in_pieces(&mut stream, bytes.as_bytes(), piece));
                    drop(stream.flush());
                }
            }));
            let url = origin.url("/");
            on_shard(move || {
                let url = url.clone();
                async move {
                    let read = match Client::new().get(&url).send().await {
                        Ok(response) => response.text().await,
                        Err(error) => Err(error),
                    };
                    match (read, expected) {
                        (Ok(text), Ok(expected)) => assert_eq!(text, *expected, "{bytes:?}"),
                        (Err(error), Err(expected)) => {
                            assert!(error.to_string().contains(expected), "{bytes:?}: {error}");
                        }
                        (read, expected) => panic!("{bytes:?} by {piece}: {read:?} instead of {expected:?}"),
                    }
                }
            });
        }
    }
}

#[test]
fn content_ends_where_its_framing_says() {
    check(&[
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok("hello")),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            Ok("hello"),
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", Ok("hello")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", Ok("he")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n",
            Ok("hello"),
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", Ok("hello")),
        ("HTTP/1.0 200 OK\r\n\r\n", Ok("")),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ok("")),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", Ok("")),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            Ok("x"),
        ),
    ]);
}

#[test]
fn a_faulty_or_truncated_response_is_an_error() {
    check(&[
        ("", Err("closed the connection")),
        ("HTTP/1.1 200 OK\r\nContent-Le", Err("closed the connection")),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            Err("closed the connection"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            Err("closed the connection"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!",
            Err("chunk"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            Err("Content-Length"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            Err("both"),
        ),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
            Err("without content"),
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            Err("protocol"),
        ),
        ("SSH-2.0-OpenSSH\r\n", Err("status line")),
        ("HTTP/1.1 200 OK\nA: b\n\n", Err("LF")),
    ]);
}

#[test]
fn a_response_to_head_has_no_content() {
    let origin = Origin::repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            for _ in 0..3 {
                let response = client.head(&url).send().await.unwrap();
                assert_eq!(response.header("Content-Length"), Some("5"));
                assert_eq!(response.content_length(), Some(0));
                assert_eq!(response.bytes().await.unwrap(), "");
            }
        }
    });
    assert_eq!(origin.connections(), 1);
}

#[test]
fn trailers_follow_the_content() {
    let origin =
        Origin::repeating(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n");
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let mut response = Client::new().get(&url).send().await.unwrap();
            assert_eq!(response.next_chunk().await.unwrap().unwrap(), "x");
            assert_eq!(response.next_chunk().await.unwrap(), None);
            assert_eq!(response.next_chunk().await.unwrap(), None);
            let lines: Vec<_> = response.trailers().iter().collect();
            assert_eq!((lines[0].0.as_str(), lines[0].1.as_bytes()), ("x-sum", &b"7"[..]));
        }
    });
}
