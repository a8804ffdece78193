//! While code blocks its shard, the log names that code: the route of a request, or the place that started a task. When the
//! block has ended, the log has its whole length (`docs/threats.md#stalled-shard`).
//!
//! Every case first calls `/healthz`, which must not be blamed.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};
use squall::prelude::*;
use squall::shards::{ShardId, invoke_on, sleep, spawn_detached, spawn_local, yield_now};
use squall::websocket::Message;
use support::running::{Running, SILENCE_MAX};
use tungstenite::Message as Frame;

/// A report of the watchdog.
#[derive(Debug, Clone)]
struct Report {
    work: String,
    took: String,
    is_end: bool,
}

/// The reports of this process.
static REPORTS: LazyLock<(Sender<Report>, Receiver<Report>)> = LazyLock::new(unbounded);

/// What the code that blocked was called by the report, with the place where the test expects it to start.
static BLAMED: LazyLock<(Sender<String>, Receiver<String>)> = LazyLock::new(unbounded);

/// Passes on reports of stalls.
struct Watch;

impl tracing::Subscriber for Watch {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().ends_with("watchdog")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(Report);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                let value = format!("{value:?}");
                match field.name() {
                    "work" => self.0.work = value,
                    "took" => self.0.took = value,
                    "message" => self.0.is_end = value.contains("serves its sockets again"),
                    _ => {}
                }
            }
        }
        let mut fields = Fields(Report {
            work: String::new(),
            took: String::new(),
            is_end: false,
        });
        event.record(&mut fields);
        REPORTS.0.send(fields.0).unwrap_or_default();
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Blocks the shard until the watchdog has reported it, and passes on what the report blamed.
fn block() {
    while REPORTS.1.try_recv().is_ok() {}
    let report = loop {
        let report = REPORTS.1.recv_timeout(SILENCE_MAX).expect("the block is reported");
        if !report.is_end {
            break report;
        }
    };
    BLAMED.0.send(report.work).unwrap();
}

/// Blocks the shard when it is dropped.
struct BlocksInDrop;

impl Drop for BlocksInDrop {
    fn drop(&mut self) {
        block();
    }
}

/// Blocks in its `on_finish`, after a wait.
struct Finishing;

impl RequestHandler for Finishing {
    async fn get(&self, cx: &mut Context) -> Result {
        cx.write("answered");
        Ok(())
    }

    async fn on_finish(&self, _: &mut Context) {
        yield_now().await;
        block();
    }
}

/// Blocks in `on_message`.
struct Socket;

impl WebSocketHandler for Socket {
    async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
        yield_now().await;
        block();
        Ok(())
    }
}

struct State;

// The lines of the calls that start what blocks.

const DETACHED: u32 = line!() + 2;
fn detached() {
    spawn_detached(async { block() });
}

const LOCAL: u32 = line!() + 2;
fn local() {
    drop(spawn_local(async { block() }));
}

const INVOKED: u32 = line!() + 2;
async fn invoked() {
    invoke_on(ShardId::FIRST, || async { block() }).await.unwrap();
}

const STATE: u32 = line!() + 2;
async fn of_state(cx: &mut Context) -> Result {
    cx.on_shard(ShardId::FIRST, |_: &State| block()).await
}

const DROPPED: u32 = line!() + 3;
fn dropped() {
    let value = BlocksInDrop;
    spawn_detached(async move {
        yield_now().await;
        drop(value);
    });
}

fn application() -> Application {
    Application::new()
        .state(State)
        .get("/healthz", async |_: &mut Context| "ok")
        .get("/detached", async |_: &mut Context| detached())
        .get("/local", async |_: &mut Context| local())
        .get("/invoked", async |_: &mut Context| invoked().await)
        .get("/state", of_state)
        .get("/dropped", async |_: &mut Context| dropped())
        .get("/handler", async |_: &mut Context| {
            yield_now().await;
            block();
        })
        .get("/timer", async |_: &mut Context| {
            // A timer wakes the handler.
            sleep(Duration::from_millis(1)).await;
            block();
        })
        .get("/stream", async |cx: &mut Context| {
            cx.stream(futures_util::stream::once(async {
                yield_now().await;
                block();
                Ok::<_, Error>(Bytes::from_static(b"end"))
            }));
        })
        .route("/finish", Finishing)
        .websocket("/socket", async |_: &mut Context| Ok(Socket))
}

#[test]
fn a_report_names_the_code_that_blocks_its_shard() {
    tracing::subscriber::set_global_default(Watch).unwrap();
    let running = Running::start(1, application);
    let blamed = || BLAMED.1.recv_timeout(SILENCE_MAX).expect("the code has blocked");
    for (path, line) in [
        ("/detached", DETACHED),
        ("/local", LOCAL),
        ("/invoked", INVOKED),
        ("/state", STATE),
        ("/dropped", DROPPED),
    ] {
        running.get("/healthz");
        running.get(path);
        let (work, started) = (blamed(), format!("code started at {}:{line}:", file!()));
        assert!(work.starts_with(&started), "{path}: {work}, instead of {started}");
    }
    for path in ["/handler", "/timer", "/stream", "/finish"] {
        running.get("/healthz");
        running.get(path);
        assert_eq!(blamed(), format!("the route {path}"));
    }
    running.get("/healthz");
    let mut socket = running.connect("/socket");
    socket.send(Frame::text("block")).unwrap();
    running.get("/healthz");
    assert_eq!(blamed(), "the route /socket");

    // The whole length is logged at the end.
    let long = Duration::from_millis(300);
    let remote = running.remote.clone();
    let blocked = remote.shards().invoke_on(ShardId::FIRST, move || async move {
        block();
        // The blocking code under test.
        #[expect(clippy::disallowed_methods, reason = "it blocks its shard on purpose")]
        std::thread::sleep(long);
    });
    pollster::block_on(blocked).unwrap();
    let work = blamed();
    let end = loop {
        let report = REPORTS.1.recv_timeout(SILENCE_MAX).expect("the end is reported");
        if report.is_end {
            break report;
        }
    };
    assert_eq!(end.work, work);
    let took = end.took.strip_suffix("ms").map(|took| took.parse::<f64>().unwrap());
    assert!(took.is_none_or(|took| took >= 300.0), "{end:?}");
}
