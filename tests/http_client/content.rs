//! Content in both directions: compressed, streamed, bounded.

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use futures_util::stream;
use squall::Bytes;
use squall::client::{Client, DecompressError, FetchFailure};
use squall::message::Body;
use squall::shards::{clock, timeout_at};

use crate::harness::{Origin, all_closed, error, ok, on_shard, read_request, streams_left, text, with_fields};

/// A text in every coding that the client asks for.
fn coded(content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(content).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(content).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::best());
    raw.write_all(content).unwrap();
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 18);
    brotli.write_all(content).unwrap();
    vec![
        ("gzip", gzip.finish().unwrap()),
        ("X-GZIP", {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(content).unwrap();
            gzip.finish().unwrap()
        }),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
        ("br", brotli.into_inner()),
        ("zstd", zstd::encode_all(content, 3).unwrap()),
    ]
}

/// A server whose path is an index into [`coded`].
fn coding(content: &'static [u8]) -> Origin {
    Origin::answering(move |seen| {
        assert_eq!(seen.field("accept-encoding"), Some("gzip, deflate, br, zstd"));
        let number: usize = seen.path().trim_start_matches('/').parse().unwrap();
        let (coding, bytes) = coded(content).swap_remove(number);
        (
            with_fields(&format!("Content-Encoding: {coding}\r\nVary: x\r\n"), &bytes),
            true,
        )
    })
}

#[test]
fn compressed_content_is_decompressed() {
    const TEXT: &[u8] = b"hello hello hello hello hello hello hello hello";
    let origin = coding(TEXT);
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            for number in 0..coded(TEXT).len() {
                let response = client.get(&format!("{url}/{number}")).send().await.unwrap();
                assert_eq!(response.header("content-encoding"), None);
                assert_eq!((response.header("vary"), response.content_length()), (Some("x"), None));
                assert_eq!(response.bytes().await.unwrap(), TEXT, "{number}");
            }
        }
    });
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_bomb_ends_at_the_limit() {
    const BOMB: &[u8] = &[0; 200_000];
    let origin = coding(BOMB);
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().max_inflated_bytes(100_000).build().unwrap();
            for number in 0..coded(BOMB).len() {
                let mut response = client.get(&format!("{url}/{number}")).send().await.unwrap();
                let mut read = 0;
                let failed = loop {
                    match response.next_chunk().await {
                        Ok(piece) => read += piece.unwrap().len(),
                        Err(failed) => break failed,
                    }
                };
                let is_bomb = matches!(failed.failure(), FetchFailure::Decompress(DecompressError::TooLarge));
                assert!(is_bomb && read <= 100_000, "{number}: {failed} after {read}");
                assert!(response.next_chunk().await.is_err(), "a failure is final");
            }
            all_closed().await;
        }
    });
}

#[test]
fn corrupt_and_cut_compressed_content_is_an_error() {
    let cut = coded(b"hello hello hello").swap_remove(0).1;
    let origin = Origin::answering(move |seen| match seen.path() {
        "/cut" => (with_fields("Content-Encoding: gzip\r\n", &cut[..cut.len() - 3]), true),
        "/corrupt" => (with_fields("Content-Encoding: gzip\r\n", b"hello"), true),
        "/empty" => (with_fields("Content-Encoding: gzip\r\n", b""), true),
        _ => (with_fields("Content-Encoding: rot13\r\n", b"uryyb"), true),
    });
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            let get = |path: &str| client.get(&format!("{url}{path}")).send();
            for (path, expected) in [("/cut", DecompressError::Cut), ("/corrupt", DecompressError::Corrupt)] {
                let failed = error(get(path)).await;
                assert!(
                    matches!(failed.failure(), FetchFailure::Decompress(found) if *found == expected),
                    "{failed}"
                );
            }
            assert_eq!(text(get("/empty")).await, "");
            let response = get("/unknown").await.unwrap();
            assert_eq!(response.header("content-encoding"), Some("rot13"));
            assert_eq!(response.text().await.unwrap(), "uryyb");
        }
    });
}

#[test]
fn content_read_whole_has_a_limit() {
    let origin = Origin::answering(|seen| match seen.path() {
        "/length" => (ok(&[b'x'; 11]), true),
        _ => (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nxxxxxx\r\n6\r\nxxxxxx\r\n0\r\n\r\n".to_vec(),
            true,
        ),
    });
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            for (bytes_max, fits) in [(10, false), (12, true)] {
                let client = Client::builder().max_body_bytes(bytes_max).build().unwrap();
                for path in ["/length", "/chunks"] {
                    let read = client.get(&format!("{url}{path}")).send().await.unwrap().bytes().await;
                    assert_eq!(read.is_ok(), fits, "{path} {bytes_max}");
                }
            }
        }
    });
}

/// How much the sockets of both ends, and the receive buffers of a shard, may hold for a reader that does not read.
const BUFFERED_BYTES_MAX: usize = 64 * 1024 * 1024;

#[test]
fn a_response_that_is_not_read_slows_its_server_down() {
    let (sender, receiver) = crossbeam::channel::bounded(1);
    let origin = Origin::start(move |mut stream, _| {
        read_request(&mut stream).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (piece, mut written) = (vec![b'x'; 64 * 1024], 0);
        while let Ok(count) = stream.write(&piece) {
            written += count;
            if written > 4 * BUFFERED_BYTES_MAX {
                break;
            }
        }
        sender.send(written).unwrap();
        // The client reads the rest and then the end.
    });
    let url = origin.url("/");
    on_shard(move || {
        let (url, receiver) = (url.clone(), receiver.clone());
        async move {
            let mut response = Client::new().get(&url).send().await.unwrap();
            let first = response.next_chunk().await.unwrap().unwrap().len();
            let written = squall::shards::spawn_blocking(move || receiver.recv().unwrap())
                .await
                .unwrap();
            assert!(written < BUFFERED_BYTES_MAX, "{written} bytes were taken");
            let mut read = first;
            while let Some(piece) = response.next_chunk().await.unwrap() {
                read += piece.len();
            }
            assert_eq!(read, written);
        }
    });
}

/// A stream of pieces of 64 KiB, which counts those it gave.
fn counted(pieces: usize, given: &Rc<Cell<usize>>) -> Body {
    let given = Rc::clone(given);
    Body::stream(stream::iter((0..pieces).map(move |_| {
        given.set(given.get() + 1);
        Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 64 * 1024]))
    })))
}

#[test]
fn a_server_that_does_not_read_slows_the_stream_of_a_request_down() {
    const PIECES: usize = 4 * BUFFERED_BYTES_MAX / (64 * 1024);
    let (sender, receiver) = crossbeam::channel::bounded::<()>(1);
    let origin = Origin::start(move |mut stream, _| {
        receiver.recv().unwrap();
        let mut bytes = vec![0; 1 << 20];
        let mut read = 0;
        while !bytes[..read].ends_with(b"0\r\n\r\n") {
            read = stream.read(&mut bytes).unwrap();
        }
        stream.write_all(&ok(b"thanks")).unwrap();
    });
    let url = origin.url("/");
    on_shard(move || {
        let (url, sender) = (url.clone(), sender.clone());
        async move {
            let given = Rc::new(Cell::new(0));
            let mut sending = Box::pin(Client::new().post(&url).body(counted(PIECES, &given)).send());
            // As much as fits within this time; a slow machine sends less.
            assert!(
                timeout_at(clock::now() + Duration::from_millis(300), &mut sending)
                    .await
                    .is_none()
            );
            assert!(
                given.get() * 64 * 1024 < BUFFERED_BYTES_MAX,
                "{} pieces were taken",
                given.get()
            );
            sender.send(()).unwrap();
            assert_eq!(text(sending).await, "thanks");
            assert_eq!(given.get(), PIECES);
        }
    });
}

#[test]
fn a_request_and_its_response_stream_at_once() {
    let origin = Origin::start(|mut stream, _| {
        let mut head = [0; 4096];
        let mut read = stream.read(&mut head).unwrap();
        while !head[..read].windows(4).any(|end| end == b"\r\n\r\n") {
            read += stream.read(&mut head[read..]).unwrap();
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        // Each chunk goes back as it is, until the client has sent the last.
        let start = head[..read].windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let mut tail = head[start..read].to_vec();
        stream.write_all(&tail).unwrap();
        while !tail.ends_with(b"0\r\n\r\n") {
            let read = stream.read(&mut head).unwrap();
            stream.write_all(&head[..read]).unwrap();
            tail.extend_from_slice(&head[..read]);
        }
    });
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let (sender, receiver) = queue();
            let mut response = Client::new()
                .post(&url)
                .body(Body::stream(receiver))
                .send()
                .await
                .unwrap();
            for number in 0..5 {
                let piece = format!("piece {number}");
                sender.borrow_mut().push_back(Bytes::from(piece.clone()));
                assert_eq!(response.next_chunk().await.unwrap().unwrap(), piece);
            }
            drop(sender);
            assert_eq!(response.next_chunk().await.unwrap(), None);
            streams_left(0).await;
        }
    });
}

type Queue = Rc<std::cell::RefCell<std::collections::VecDeque<Bytes>>>;

/// A queue, and the stream of what is put into it. The stream ends with the queue's last handle.
fn queue() -> (Queue, impl stream::Stream<Item = Result<Bytes, std::io::Error>>) {
    let queue = Queue::default();
    let weak = Rc::downgrade(&queue);
    let taken = stream::poll_fn(move |cx| {
        let Some(queue) = weak.upgrade() else {
            return std::task::Poll::Ready(None);
        };
        let next = queue.borrow_mut().pop_front();
        match next {
            Some(piece) => std::task::Poll::Ready(Some(Ok(piece))),
            None => {
                // Polled again while the test reads: the shard has nothing else to do.
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        }
    });
    (queue, taken)
}

#[test]
fn a_response_may_come_before_the_request_is_whole() {
    let origin = Origin::start(|mut stream, _| {
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0);
        stream
            .write_all(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch")
            .unwrap();
        // Reads on, so that no reset overtakes the response.
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
    });
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 64 * 1024])));
            let response = Client::new()
                .post(&url)
                .body(Body::stream(endless))
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 413);
            assert_eq!(response.text().await.unwrap(), "much");
            all_closed().await;
        }
    });
}
