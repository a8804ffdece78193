//! Panics whose values panic when they are dropped, and panics in other application code: the text of an error, the
//! drop of a value. Each request gets a response, and the server goes on.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::panic::panic_any;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Poll};

use futures_util::Stream;
use squall::prelude::*;
use squall::shards::{Shard, invoke_on, spawn_blocking, spawn_detached, spawn_local, yield_now};
use squall::websocket::Message;
use support::app_client::AppClient;
use support::client::Connection;
use support::running::{Running, close_code, read};
use tungstenite::Message as Frame;
use tungstenite::protocol::frame::coding::CloseCode;

/// One level of nested panics is the common fault. The last number is deeper than the server follows, so the rest is
/// leaked.
const DEPTHS: [usize; 4] = [1, 2, 3, 20];

/// A panic value whose drop panics with another of one level less.
#[derive(Debug)]
struct Nested(usize);

impl Nested {
    /// The depth in the request's path.
    fn of(cx: &Context) -> Result<Self> {
        cx.param("depth").map(Self)
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Self(self.0 - 1));
        }
    }
}

/// An error that panics when it is displayed, dropped, or both.
#[derive(Debug)]
struct PanickingError {
    _held: Nested,
    is_written: bool,
}

impl fmt::Display for PanickingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(self.is_written, "an error that cannot be written");
        formatter.write_str("panicking_error")
    }
}

impl std::error::Error for PanickingError {}

/// A stream of one chunk, then an end, an error or a panic; its drop panics too.
struct OneChunk {
    end: String,
    is_over: bool,
    held: Nested,
}

impl Stream for OneChunk {
    type Item = Result<Bytes, PanickingError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        if !std::mem::replace(&mut self.is_over, true) {
            return Poll::Ready(Some(Ok(Bytes::from_static(b"one chunk"))));
        }
        let error = |is_written| PanickingError {
            _held: Nested(self.held.0),
            is_written,
        };
        match &*self.end {
            "end" => Poll::Ready(None),
            "error" => Poll::Ready(Some(Err(error(true)))),
            "unwritable" => Poll::Ready(Some(Err(PanickingError {
                _held: Nested(0),
                is_written: false,
            }))),
            _ => panic_any(Nested(self.held.0)),
        }
    }
}

async fn panics(cx: &mut Context) -> Result {
    panic_any(Nested::of(cx)?)
}

async fn panics_later(cx: &mut Context) -> Result {
    let value = Nested::of(cx)?;
    yield_now().await;
    panic_any(value)
}

async fn panicking(cx: &mut Context, next: Next<'_>) -> Result {
    let depth = cx.path().rsplit('/').next().unwrap().parse().unwrap();
    if cx.path().contains("before") {
        panic_any(Nested(depth));
    }
    next.run(cx).await;
    panic_any(Nested(depth))
}

/// Returns a second error after the handler's.
async fn failing(cx: &mut Context, next: Next<'_>) -> Result {
    next.run(cx).await;
    Err(Error::new(PanickingError {
        _held: Nested::of(cx)?,
        is_written: true,
    }))
}

fn panicking_error(cx: &Context, is_written: bool) -> Result {
    Err(Error::new(PanickingError {
        _held: Nested::of(cx)?,
        is_written,
    }))
}

fn application() -> Application {
    Application::new()
        .get("/", async |_: &mut Context| "alive")
        .get("/handler/{depth}", panics)
        .get("/later/{depth}", panics_later)
        .get("/held/{depth}", async |cx: &mut Context| {
            let _held = Nested::of(cx)?;
            Ok::<_, Error>("held")
        })
        .nest(
            "/middleware",
            Routes::new()
                .middleware(panicking)
                .get("/before/{depth}", async |_: &mut Context| "never")
                .get("/after/{depth}", async |_: &mut Context| "forgotten"),
        )
        .get("/error/unwritable/{depth}", async |cx: &mut Context| -> Result {
            panicking_error(cx, false)
        })
        .get("/error/undroppable/{depth}", async |cx: &mut Context| -> Result {
            panicking_error(cx, true)
        })
        .nest(
            "/twice",
            Routes::new()
                .middleware(failing)
                .get("/{depth}", async |cx: &mut Context| -> Result {
                    panicking_error(cx, true)
                }),
        )
}

/// The response to a request on a connection that stays usable.
fn ask(connection: &mut Connection, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nAccept: text/plain\r\n\r\n");
    let response = connection.exchange(request.as_bytes(), "GET").unwrap();
    (response.status, String::from_utf8(response.body).unwrap())
}

#[test]
fn a_panic_whose_value_panics_when_it_is_dropped_is_a_500_and_its_connection_goes_on() {
    let server = Running::start(1, application);
    for depth in DEPTHS {
        let mut connection = Connection::open(server.address);
        for path in [
            "/handler",
            "/later",
            "/held",
            "/middleware/before",
            "/middleware/after",
            "/error/unwritable",
            "/error/undroppable",
            "/twice",
        ] {
            let (status, text) = ask(&mut connection, &format!("{path}/{depth}"));
            assert_eq!((status, &*text), (500, "500 Internal Server Error\n"), "{path} {depth}");
            assert_eq!(
                ask(&mut connection, "/"),
                (200, "alive".to_owned()),
                "after {path} {depth}"
            );
        }
    }
}

#[test]
fn the_application_layer_alone_does_the_same_and_each_request_is_a_panic() {
    let client = AppClient::new(application()).unwrap();
    for depth in DEPTHS {
        for path in [
            "/handler",
            "/middleware/before",
            "/middleware/after",
            "/error/undroppable",
        ] {
            let before = client.app().shared().panic_count();
            let response = client.get(&format!("{path}/{depth}")).send().unwrap();
            assert_eq!(response.status(), 500, "{path} {depth}");
            assert_eq!(client.app().shared().panic_count(), before + 1, "{path} {depth}");
        }
    }
}

/// Error pages and their errors are application code too.
/// The texts are those of tokio 1.54, in a shard of io_uring and in one of epoll.
#[test]
fn a_panic_of_a_library_made_for_another_runtime_names_the_driver_that_it_needs() {
    let application = Application::new()
        .get("/{text}", async |cx: &mut Context| -> Result {
            panic_any(cx.param::<String>("text")?)
        })
        .error_page(|_: &mut Context, error: &Error| error.to_string());
    let client = AppClient::new(application).unwrap();
    let answer = |text: &str| client.get(text).send().unwrap().text();
    for text in [
        "from the context of a Tokio 1.x runtime",
        "A Tokio 1.x context was found",
    ] {
        let answer = answer(&format!("/{}", text.replace(' ', "%20")));
        assert!(
            answer.starts_with(&format!("panicked: {text}; start with --driver epoll ")),
            "{answer}"
        );
    }
    assert_eq!(answer("/other"), "panicked: other");
}

#[test]
fn a_panicking_error_page_is_replaced_by_the_plain_one() {
    let server = Running::start(1, || {
        Application::new()
            .get("/", async |_: &mut Context| "alive")
            .error_page(|_: &mut Context, error: &Error| -> Result {
                match error.message() {
                    Some("panic") => panic_any(Nested(2)),
                    _ => Err(Error::new(PanickingError {
                        _held: Nested(2),
                        is_written: error.message() == Some("undroppable"),
                    })),
                }
            })
            .get("/{how}", async |cx: &mut Context| -> Result {
                let how: String = cx.param("how")?;
                Err(HttpError::new(404).with_message(how).into())
            })
    });
    let mut connection = Connection::open(server.address);
    // Without "unwritable" and a drop that panics too: a second panic during unwinding ends any program.
    for how in ["panic", "undroppable"] {
        let (status, text) = ask(&mut connection, &format!("/{how}"));
        assert_eq!((status, text), (404, format!("404 Not Found: {how}\n")));
        assert_eq!(ask(&mut connection, "/"), (200, "alive".to_owned()));
    }
}

fn streams() -> Application {
    Application::new().get("/", async |_: &mut Context| "alive").get(
        "/{end}/{depth}",
        async |cx: &mut Context| -> Result {
            cx.stream(OneChunk {
                end: cx.param("end")?,
                is_over: false,
                held: Nested::of(cx)?,
            });
            Ok(())
        },
    )
}

#[test]
fn a_stream_whose_drop_panics_after_its_end_is_sent_whole_and_one_that_panics_breaks_off() {
    let server = Running::start(1, streams);
    for depth in DEPTHS {
        let mut connection = Connection::open(server.address);
        let whole = ask(&mut connection, &format!("/end/{depth}"));
        assert_eq!(whole, (200, "one chunk".to_owned()));
        assert_eq!(
            ask(&mut connection, "/"),
            (200, "alive".to_owned()),
            "on the same connection"
        );
        let head = format!("HEAD /end/{depth} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(connection.exchange(head.as_bytes(), "HEAD").unwrap().status, 200);
        assert_eq!(
            ask(&mut connection, "/"),
            (200, "alive".to_owned()),
            "on the same connection"
        );
        for end in ["error", "unwritable", "panic"] {
            let mut connection = Connection::open(server.address);
            connection.tolerate_reset();
            let request = format!("GET /{end}/{depth} HTTP/1.1\r\nHost: h\r\n\r\n");
            let broken = connection.exchange(request.as_bytes(), "GET").unwrap_err();
            assert!(!broken.contains("time"), "{end}: {broken}");
            assert_eq!(
                ask(&mut Connection::open(server.address), "/"),
                (200, "alive".to_owned())
            );
        }
    }
    let client = AppClient::new(streams()).unwrap();
    for (end, is_aborted) in [("end", false), ("error", true), ("unwritable", true), ("panic", true)] {
        let response = client.get(&format!("/{end}/2")).send().unwrap();
        assert_eq!(
            (response.text().as_str(), response.is_aborted()),
            ("one chunk", is_aborted),
            "{end}"
        );
    }
}

/// Two values whose drops panic lie side by side. A second panic during unwinding would end the process.
#[test]
fn attached_values_a_stream_and_bytes_whose_drops_panic_do_not_end_the_connection() {
    struct Owner(Nested);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            let _ = &self.0;
            b"owned"
        }
    }
    let server = Running::start(1, || {
        Application::new()
            .get("/", async |_: &mut Context| "alive")
            .get("/attached/{depth}", async |cx: &mut Context| {
                let depth: usize = cx.param("depth")?;
                cx.insert_extension(Nested(depth));
                cx.insert_extension((Nested(depth), ()));
                Ok::<_, Error>("attached")
            })
            .get("/owned/{depth}", async |cx: &mut Context| {
                Ok::<_, Error>(Bytes::from_owner(Owner(Nested::of(cx)?)))
            })
    });
    for depth in DEPTHS {
        let mut connection = Connection::open(server.address);
        for (path, text) in [("attached", "attached"), ("owned", "owned")] {
            let answer = ask(&mut connection, &format!("/{path}/{depth}"));
            assert_eq!(answer, (200, text.to_owned()));
            assert_eq!(
                ask(&mut connection, "/"),
                (200, "alive".to_owned()),
                "after {path} {depth}"
            );
        }
    }
}

#[test]
fn a_panicking_on_finish_keeps_the_response_and_the_connection() {
    struct Finishes;
    impl RequestHandler for Finishes {
        async fn get(&self, _: &mut Context) -> Result {
            Ok(())
        }

        async fn on_finish(&self, cx: &mut Context) {
            panic_any(Nested::of(cx).unwrap())
        }
    }
    let server = Running::start(1, || {
        Application::new()
            .get("/", async |_: &mut Context| "alive")
            .route("/{depth}", Finishes)
    });
    for depth in DEPTHS {
        let mut connection = Connection::open(server.address);
        assert_eq!(ask(&mut connection, &format!("/{depth}")).0, 200);
        assert_eq!(ask(&mut connection, "/"), (200, "alive".to_owned()));
    }
}

/// Panics in each of its methods, or holds a value whose drop panics.
struct Socket {
    depth: usize,
    held: Option<Nested>,
}

impl WebSocketHandler for Socket {
    async fn open(&mut self, _: &WebSocket) -> Result {
        if self.depth == 0 {
            panic_any(Nested(3));
        }
        Ok(())
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        match message.as_str().unwrap() {
            "panic" => panic_any(Nested(self.depth)),
            "later" => {
                yield_now().await;
                panic_any(Nested(self.depth))
            }
            "hold" => {
                self.held = Some(Nested(self.depth));
                Ok(ws.send("held").await?)
            }
            "error" => Err(Error::new(PanickingError {
                _held: Nested(self.depth),
                is_written: true,
            })),
            "unwritable" => Err(Error::new(PanickingError {
                _held: Nested(0),
                is_written: false,
            })),
            _ => Ok(ws.send("alive").await?),
        }
    }

    async fn on_close(&mut self, _: &WebSocket, _: Option<u16>, _: &str) {
        if self.held.is_none() {
            panic_any(Nested(self.depth));
        }
    }
}

#[test]
fn a_panicking_websocket_handler_closes_only_its_socket_with_1011() {
    let server = Running::start(1, || {
        Application::new().websocket("/{depth}", async |cx: &mut Context| {
            let depth = cx.param("depth")?;
            if depth == 404 {
                panic_any(Nested(3));
            }
            Ok(Socket { depth, held: None })
        })
    });
    let mut other = server.connect("/1");
    let mut is_alive = || {
        other.send(Frame::from("still there?")).unwrap();
        assert_eq!(read(&mut other), Frame::from("alive"));
    };
    assert_eq!(close_code(&mut server.connect("/0")), CloseCode::Error, "in open");
    is_alive();
    assert_eq!(server.open("/404", &[]).unwrap_err().status(), 500, "in the factory");
    is_alive();
    for depth in DEPTHS {
        for word in ["panic", "later", "error", "unwritable"] {
            let mut client = server.connect(&format!("/{depth}"));
            client.send(Frame::from(word)).unwrap();
            assert_eq!(close_code(&mut client), CloseCode::Error, "{word} {depth}");
            is_alive();
        }
        // The handler is dropped when its peer has left.
        let mut client = server.connect(&format!("/{depth}"));
        client.send(Frame::from("hold")).unwrap();
        assert_eq!(read(&mut client), Frame::from("held"));
        client.close(None).unwrap();
        while client.read().is_ok() {}
        is_alive();
    }
}

/// The tasks of a handler, started in every way.
#[test]
fn tasks_that_panic_end_alone_and_report_to_their_waiters() {
    let server = Running::start(1, || {
        Application::new()
            .get("/", async |_: &mut Context| "alive")
            .get("/{way}/{depth}", async |cx: &mut Context| {
                let (way, depth): (String, usize) = (cx.param("way")?, cx.param("depth")?);
                let told = match &*way {
                    "local" => spawn_local(async move { panic_any(Nested(depth)) })
                        .await
                        .is_err_and(|_: _| true),
                    "detached" => {
                        spawn_detached(async move { panic_any(Nested(depth)) });
                        yield_now().await;
                        true
                    }
                    "blocking" => spawn_blocking(move || panic_any(Nested(depth)))
                        .await
                        .is_err_and(|error| error.to_string().contains("panicked")),
                    _ => {
                        let here = Shard::current().id();
                        let answer: Result<(), _> =
                            invoke_on(here, move || async move { panic_any(Nested(depth)) }).await;
                        answer.is_err()
                    }
                };
                Ok::<_, Error>(told.to_string())
            })
    });
    let mut connection = Connection::open(server.address);
    for depth in DEPTHS {
        for way in ["local", "detached", "blocking", "invoked"] {
            let told = ask(&mut connection, &format!("/{way}/{depth}"));
            assert_eq!(told, (200, "true".to_owned()), "{way} {depth}");
            assert_eq!(ask(&mut connection, "/"), (200, "alive".to_owned()));
        }
    }
}

/// Counts its drops, each of which panics.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic_any(Nested(2));
    }
}

/// `Running` asserts in its drop that the server ended without an error.
#[test]
fn a_server_ends_well_although_handlers_middleware_and_state_panic_in_their_drops() {
    let drops = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&drops);
    let server = Running::start(2, move || {
        let counted = || Counted(Arc::clone(&counter));
        let held = [(); 6].map(|()| Rc::new(counted()));
        let [first, second, fallback, page, group_fallback, group_page] = held;
        let (middle, outer) = (Rc::new(counted()), Rc::new(counted()));
        Application::new()
            .state(counted())
            .state(Cell::new(Some(counted())))
            .middleware(async move |cx: &mut Context, next: Next<'_>| -> Result {
                let _ = &outer;
                next.run(cx).await;
                Ok(())
            })
            .get("/first", async move |_: &mut Context| drop(Rc::clone(&first)))
            .get("/second", async move |_: &mut Context| drop(Rc::clone(&second)))
            .nest(
                "/inner",
                Routes::new()
                    .middleware(async move |cx: &mut Context, next: Next<'_>| -> Result {
                        let _ = &middle;
                        next.run(cx).await;
                        Ok(())
                    })
                    .get("/", async |_: &mut Context| "inside")
                    .fallback(async move |_: &mut Context| drop(Rc::clone(&group_fallback)))
                    .error_page(move |_: &mut Context, _: &Error| -> Result {
                        let _ = &group_page;
                        Ok(())
                    }),
            )
            .fallback(async move |_: &mut Context| drop(Rc::clone(&fallback)))
            .error_page(move |_: &mut Context, _: &Error| -> Result {
                let _ = &page;
                Ok(())
            })
    });
    let mut connection = Connection::open(server.address);
    assert_eq!(ask(&mut connection, "/first").0, 200);
    drop(connection);
    drop(server);
    assert_eq!(drops.load(Ordering::Relaxed), 2 * 10, "all of both shards are dropped");
}

/// A request that waits when its server stops is dropped with everything it holds.
#[test]
fn a_request_that_is_dropped_half_way_may_panic_in_its_drops() {
    let drops = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&drops);
    let server = Running::start(1, move || {
        let counter = Arc::clone(&counter);
        Application::new().get("/waits", async move |cx: &mut Context| -> Result {
            cx.insert_extension(Counted(Arc::clone(&counter)));
            cx.insert_extension((Counted(Arc::clone(&counter)), ()));
            let _held = Counted(Arc::clone(&counter));
            cx.flush().await?;
            poll_fn(|_| Poll::<()>::Pending).await;
            Ok(())
        })
    });
    let mut connection = Connection::open(server.address);
    connection.send(b"GET /waits HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(!connection.is_at_end().unwrap(), "the head has been flushed");
    drop(server);
    assert_eq!(drops.load(Ordering::Relaxed), 3);
}
