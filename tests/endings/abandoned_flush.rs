//! Flushed bytes reach the client in order, also if the handler abandons the flush; otherwise the response visibly
//! breaks off.

use std::future::poll_fn;
use std::io::{ErrorKind, Read as _};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::Poll;

use squall::prelude::*;
use squall::shards::yield_now;

use crate::harness::*;

/// More than the kernel holds of a response that the client does not read.
const CONTENT_BYTES: usize = 8 * 1024 * 1024;

/// Content in which each position differs from its neighbours. It is made once, because that takes an unoptimized
/// build a second.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..CONTENT_BYTES / 8)
        .flat_map(|number| format!("{number:08x}").into_bytes())
        .collect()
});

/// Starts a server of one shard. No handler of it is the first to make the content.
fn start(application: impl Fn() -> Application + Send + Sync + 'static) -> TestServer {
    LazyLock::force(&CONTENT);
    TestServer::start(1, application)
}

/// Flushes, and drops the flush after the server has polled it `polls` times.
async fn give_up_flush(cx: &mut Context, polls: u32) {
    let mut flush = pin!(cx.flush());
    for _ in 0..polls {
        let is_done = poll_fn(|task| Poll::Ready(flush.as_mut().poll(task).is_ready())).await;
        assert!(!is_done, "the client reads nothing yet");
        yield_now().await;
    }
}

/// The content of a chunked response, and whether its last chunk arrived.
fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    loop {
        let Some(line_end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return (content, false);
        };
        let size = std::str::from_utf8(&rest[..line_end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[line_end + 2..];
        if size == 0 {
            return (content, rest == b"\r\n");
        }
        content.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            return (content, false);
        }
        rest = &rest[size + 2..];
    }
}

fn split_head(response: &[u8]) -> (&[u8], &[u8]) {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    response.split_at(end)
}

/// The client gets all 8 MiB, framed as announced, at whichever poll the handler dropped its flush.
#[test]
fn an_abandoned_flush_is_still_sent() {
    let (given_up, told) = events();
    let server = start(move || {
        let given_up = given_up.clone();
        let flush = async move |cx: &mut Context| -> Result {
            let polls = cx.query_param("polls")?;
            if cx.optional_query_param::<u8>("length")?.is_some() {
                cx.set_header("Content-Length", CONTENT_BYTES.to_string())?;
            }
            cx.write(CONTENT.as_slice());
            give_up_flush(cx, polls).await;
            given_up.send(()).ok();
            Ok(())
        };
        Application::new().get("/", flush)
    });
    for transport in TRANSPORTS {
        for polls in [1, 2, 3, 10] {
            for (query, version) in [("", "1.1"), ("&length=1", "1.1"), ("", "1.0")] {
                let case = format!("{transport:?}, {polls} polls, {query}, HTTP/{version}");
                let request =
                    format!("GET /?polls={polls}{query} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n");
                let peer = server.ask(transport, request);
                told.next(&case);
                let response = peer.read_all().unwrap();
                let (head, body) = split_head(&response);
                let is_chunked = String::from_utf8_lossy(head).contains("chunked");
                assert_eq!(is_chunked, query.is_empty() && version == "1.1", "{case}");
                if is_chunked {
                    let (content, is_whole) = dechunked(body);
                    assert!(is_whole && content == *CONTENT, "{case}: {} bytes", content.len());
                } else {
                    assert!(body == *CONTENT, "{case}: {} bytes", body.len());
                }
            }
        }
    }
}

/// A second flush, and bytes written without a flush, follow the abandoned one.
#[test]
fn writes_after_an_abandoned_flush_follow_it() {
    let (given_up, told) = events();
    let server = start(move || {
        let given_up = given_up.clone();
        let flush = async move |cx: &mut Context| -> Result {
            let polls = cx.query_param("polls")?;
            cx.write(CONTENT.as_slice());
            give_up_flush(cx, polls).await;
            given_up.send(()).ok();
            cx.write("second");
            cx.flush().await?;
            cx.write("third");
            give_up_flush_or_finish(cx).await;
            cx.write("fourth");
            Ok(())
        };
        Application::new().get("/", flush)
    });
    let expected = [CONTENT.as_slice(), b"secondthirdfourth"].concat();
    for transport in TRANSPORTS {
        for polls in [0, 1, 2, 10] {
            let request = format!("GET /?polls={polls} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let peer = server.ask(transport, request);
            told.next("the flush is given up");
            let response = peer.read_all().unwrap();
            let (content, is_whole) = dechunked(split_head(&response).1);
            assert!(
                is_whole && content == expected,
                "{transport:?} {polls}: {} bytes",
                content.len()
            );
        }
    }
}

/// Polls a flush once and drops it, done or not.
async fn give_up_flush_or_finish(cx: &mut Context) {
    let mut flush = pin!(cx.flush());
    poll_fn(|task| Poll::Ready(flush.as_mut().poll(task).map_ok(drop)))
        .await
        .is_ready();
}

/// If the handler fails after an abandoned flush, the client sees that the response is incomplete.
#[test]
fn a_handler_that_fails_after_an_abandoned_flush_breaks_its_response() {
    let (given_up, told) = events();
    let server = start(move || {
        let given_up = given_up.clone();
        let flush = async move |cx: &mut Context| -> Result {
            cx.write(CONTENT.as_slice());
            give_up_flush(cx, 2).await;
            given_up.send(()).ok();
            Err(HttpError::new(500).into())
        };
        Application::new().get("/", flush)
    });
    for transport in TRANSPORTS {
        let mut peer = server.ask(transport, get("/"));
        told.next("the flush is given up");
        let mut response = Vec::new();
        let ended = peer.read_to_end(&mut response);
        let has_ended = ended
            .as_ref()
            .map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |_| true);
        assert!(has_ended, "{transport:?}: {ended:?}");
        assert!(!response.ends_with(b"0\r\n\r\n"), "{transport:?}");
    }
    // An HTTP/1.0 client detects the end by the close, so it gets a reset.
    let peer = server.ask(Transport::Tcp, "GET / HTTP/1.0\r\n\r\n");
    told.next("the flush is given up");
    let ended = peer.read_all();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// An abandoned flush is sent while the handler waits for something else.
#[test]
fn an_abandoned_flush_is_sent_while_its_handler_waits() {
    let server = start(|| {
        let flush = async |cx: &mut Context| -> Result {
            cx.write(CONTENT.as_slice());
            give_up_flush(cx, 1).await;
            cx.closed().await;
            Ok(())
        };
        Application::new().get("/", flush)
    });
    for transport in TRANSPORTS {
        let mut peer = server.ask(transport, get("/"));
        let last = &CONTENT[CONTENT_BYTES - 64..];
        peer.read_until(std::str::from_utf8(last).unwrap());
    }
}
