//! The deadline of a handler: a 503 in its place, or a response that visibly breaks off.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use futures_util::Stream;
use squall::middleware::timeout;
use squall::prelude::*;
use squall::routing::{get, post};

use crate::support::running::Running;

/// The deadline of the routes whose handlers never end.
const SHORT: Duration = Duration::from_millis(20);

/// The deadline that no test reaches.
const LONG: Duration = Duration::from_secs(600);

/// A stream of one chunk that then waits for ever.
struct OneChunk(bool);

impl Stream for OneChunk {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Result<Bytes>>> {
        if core::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Bytes::from_static(b"part"))))
    }
}

async fn never(cx: &mut Context) -> Result {
    cx.set_header("x-half", "done")?;
    cx.write("half");
    std::future::pending().await
}

async fn never_after_a_flush(cx: &mut Context) -> Result {
    cx.write("part");
    cx.flush().await?;
    std::future::pending().await
}

async fn upload(cx: &mut Context) -> Result<Bytes> {
    cx.body().await
}

async fn stream(cx: &mut Context) -> Result {
    cx.stream(OneChunk(false));
    Ok(())
}

fn application() -> Application {
    let late = Routes::new()
        .middleware(timeout(SHORT))
        .get("/never", never)
        .get("/flushed", never_after_a_flush)
        .get("/stream", stream)
        .route("/upload", post(upload));
    Application::new()
        .nest("/late", late)
        .route(
            "/in-time",
            get(async |_: &mut Context| "in time").middleware(timeout(LONG)),
        )
        .route(
            "/whole",
            get(async |cx: &mut Context| {
                cx.stream(futures_util::stream::iter([Ok::<_, Error>(Bytes::from_static(
                    b"whole",
                ))]));
            })
            .middleware(timeout(LONG)),
        )
}

#[test]
fn a_handler_that_takes_too_long_is_dropped_and_its_client_gets_503() {
    let server = Running::start(1, application);
    let mut connection = server.connection();
    let request = b"GET /late/never HTTP/1.1\r\nHost: a\r\n\r\n";
    for _ in 0..2 {
        let response = connection.exchange(request, "GET").unwrap();
        response.expect_status(503).unwrap();
        assert_eq!(response.field("retry-after"), Some(&b"1"[..]));
        assert_eq!(response.field("x-half"), None);
        assert!(!response.body.windows(4).any(|bytes| bytes == b"half"), "{response:?}");
    }
}

#[test]
fn content_that_a_handler_waits_for_counts_too() {
    let server = Running::start(1, application);
    let mut connection = server.connection();
    connection
        .send(b"POST /late/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        .unwrap();
    connection.response("POST").unwrap().expect_status(503).unwrap();
}

#[test]
fn a_body_under_way_breaks_off_so_that_its_client_sees_it() {
    let server = Running::start(1, application);
    for target in ["/late/flushed", "/late/stream"] {
        let mut connection = server.connection();
        connection
            .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .unwrap();
        let broken = connection.response("GET").unwrap_err();
        assert!(!broken.contains("timed out"), "{target}: {broken}");
    }
}

#[test]
fn responses_in_time_are_whole() {
    let server = Running::start(1, application);
    server.get("/in-time").expect(200, b"in time").unwrap();
    server.get("/whole").expect(200, b"whole").unwrap();
}

/// The handler's values are dropped at its deadline, not at its connection's end.
#[test]
fn a_dropped_handler_frees_what_it_holds() {
    let held = std::sync::Arc::new(());
    let watched = std::sync::Arc::downgrade(&held);
    let server = Running::start(1, {
        let held = std::sync::Arc::downgrade(&held);
        move || {
            let held = held.clone();
            Application::new()
                .middleware(timeout(SHORT))
                .get("/", async move |_: &mut Context| -> Result {
                    let _held = (held.upgrade(), Rc::new(()));
                    std::future::pending().await
                })
        }
    });
    drop(server.get("/"));
    drop(held);
    assert!(watched.upgrade().is_none());
}

#[test]
fn a_timeout_of_zero_is_a_mistake_of_the_application() {
    let error = Application::new()
        .middleware(timeout(Duration::ZERO))
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("a timeout is zero"), "{error}");
}
