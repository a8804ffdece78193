//! The application that `tests/soak/` leaves early, resets, stops and starts again; its routes are that test's.
//!
//! ```text
//! cargo run --release --example soak -- --listen 127.0.0.1:8080
//! curl -i 'http://127.0.0.1:8080/stall?bytes=200000&milliseconds=5'
//! ```

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use squall::prelude::*;
use squall::shards::{Shard, clock, invoke_on_all, sleep, timeout_at};

/// How much of a response is written before it is flushed. 64 KiB and a bit, so that no flush ends where a buffer does.
const PIECE_BYTES: usize = 64 * 1024 + 7;

/// Lines of eight bytes with their numbers, as many as the longest response has, so that it takes no time to make one.
static NUMBERS: LazyLock<Vec<String>> = LazyLock::new(|| (0..100_000).map(|line| format!("{line:07}\n")).collect());

/// Content that tells its own position.
fn numbered(from: usize, bytes: usize) -> Vec<u8> {
    let mut content = String::with_capacity(bytes + 16);
    for line in from / 8..=(from + bytes) / 8 {
        content += NUMBERS.get(line % NUMBERS.len()).map_or("", String::as_str);
    }
    let mut content = content.into_bytes();
    content.drain(..from % 8);
    content.truncate(bytes);
    content
}

async fn echo(cx: &mut Context) -> Result<Bytes> {
    cx.body().await
}

async fn count(cx: &mut Context) -> Result<String> {
    let mut bytes = 0;
    while let Some(piece) = cx.next_chunk().await? {
        bytes += piece.len();
    }
    Ok(bytes.to_string())
}

/// Answers without a look at the content.
async fn ignore(_cx: &mut Context) -> &'static str {
    "ignored"
}

async fn part(cx: &mut Context) -> Result<String> {
    cx.param("number")
}

async fn slow(cx: &mut Context) -> Result<&'static str> {
    sleep(Duration::from_millis(cx.query_param("milliseconds")?)).await;
    Ok("slow")
}

/// Writes the bytes its query asks for, and gives up every flush that takes longer than its milliseconds.
async fn stall(cx: &mut Context) -> Result {
    let bytes: usize = cx.query_param("bytes")?;
    let patience = Duration::from_millis(cx.query_param("milliseconds")?);
    cx.set_header("X-Bytes", bytes.to_string().as_str())?;
    for from in (0..bytes).step_by(PIECE_BYTES) {
        cx.write(numbered(from, PIECE_BYTES.min(bytes - from)));
        timeout_at(clock::after(patience), cx.flush()).await.transpose()?;
    }
    Ok(())
}

/// A stream of the pieces its query asks for, each in a turn of its own.
async fn stream(cx: &mut Context) -> Result {
    let pieces = cx.query_param("pieces")?;
    cx.stream(Pieces {
        left: pieces,
        is_due: false,
    });
    Ok(())
}

struct Pieces {
    left: usize,
    is_due: bool,
}

impl futures_core::Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.is_due = !self.is_due;
        if self.is_due {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Bytes::from_static(b"piece"))))
    }
}

/// Says one word, and then nothing more: only the client ends it.
async fn silent(cx: &mut Context) {
    cx.stream(Silent { has_spoken: false });
}

struct Silent {
    has_spoken: bool,
}

impl futures_core::Stream for Silent {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        if self.has_spoken {
            return Poll::Pending;
        }
        self.has_spoken = true;
        Poll::Ready(Some(Ok(Bytes::from_static(b"word"))))
    }
}

/// Waits for the client to go, whatever it has still to send.
async fn poll(cx: &mut Context) {
    cx.closed().await;
}

/// Gives its handler up after a moment: the client gets a 503, or sees the response break off.
async fn impatient(cx: &mut Context, next: Next<'_>) -> Result {
    timeout_at(clock::after(Duration::from_millis(5)), next.run(cx)).await;
    Ok(())
}

async fn events(cx: &mut Context) -> Result {
    let mut events = cx.event_stream()?;
    events.subscribe("news")?;
    events.send(Event::new("first")).await?;
    events.run().await
}

/// Echoes, and publishes the messages that begin with `publish`.
struct Echo;

impl WebSocketHandler for Echo {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.subscribe("news").map(drop)
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        match message.as_str() {
            Some(text) if text.starts_with("publish") => {
                let patience = clock::after(Duration::from_millis(5));
                timeout_at(patience, ws.publish("news", message))
                    .await
                    .transpose()
                    .map(drop)
            }
            _ => ws.send(message).await,
        }
    }
}

/// What all shards hold together: tasks, sockets and timers.
async fn held(_cx: &mut Context) -> Result<String> {
    let shards = invoke_on_all(|| async { Shard::current().statistics() }).await?;
    let sum = |of: fn(&squall::shards::Statistics) -> usize| shards.iter().map(of).sum::<usize>();
    Ok(format!(
        "{} {} {}",
        sum(|shard| shard.tasks),
        sum(|shard| shard.streams),
        sum(|shard| shard.timers)
    ))
}

fn application() -> Application {
    Application::new()
        .get("/", async |_: &mut Context| "ok")
        .post("/echo", echo)
        .post("/count", count)
        .post("/ignore", ignore)
        .get("/part/{number}", part)
        .get("/slow", slow)
        .get("/stall", stall)
        .get("/stream", stream)
        .get("/silent", silent)
        .get("/poll", poll)
        .post("/poll", poll)
        .nest(
            "/impatient",
            Routes::new()
                .middleware(impatient)
                .get("/slow", slow)
                .get("/stall", stall),
        )
        .get("/events", events)
        .websocket("/ws", async |_: &mut Context| Ok(Echo))
        .get("/held", held)
}

fn main() -> Result {
    LazyLock::force(&NUMBERS);
    Server::from_args(application).run()
}
