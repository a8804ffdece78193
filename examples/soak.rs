//! The application that `tests/soak/` disconnects from early, resets, stops and restarts; its routes serve that test.
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

use squall::Event;
use squall::prelude::*;
use squall::shards::{Shard, clock, invoke_on_all, sleep, timeout_at};
use squall::websocket::Message;

/// How many bytes of a response are written between two flushes: 64 KiB and 7, so that a flush ends inside a buffer.
const PIECE_BYTES: usize = 64 * 1024 + 7;

/// Numbered lines of eight bytes, built once; enough for the longest response.
static NUMBERS: LazyLock<Vec<String>> = LazyLock::new(|| (0..100_000).map(|line| format!("{line:07}\n")).collect());

/// Returns content in which every eight bytes are the number of their position.
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

/// Answers without reading the content.
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

/// Writes as many bytes as the query says, and drops every flush that exceeds its milliseconds.
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

/// Streams as many pieces as the query says, each in a turn of its own.
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

/// Streams one word and then stays pending until the client disconnects.
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

/// Waits until the client disconnects, whatever content is still to come.
async fn poll(cx: &mut Context) {
    cx.closed().await;
}

/// Drops its handler after 5 ms: the client gets a 503 or a response that breaks off.
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

/// Echoes messages, and publishes those that begin with `publish`. After `wait` and `flood` it is busy until its client
/// has left.
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
            Some("wait") => {
                ws.closed().await;
                Ok(())
            }
            Some("flood") => {
                while ws.send(vec![7; 8 * 1024]).await.is_ok() {}
                Ok(())
            }
            _ => Ok(ws.send(message).await?),
        }
    }
}

/// Returns how many tasks, sockets and timers all shards hold together.
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
