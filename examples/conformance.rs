//! The application that the wire tests run against; its routes are a contract with `tests/wire/`.
//!
//! ```text
//! cargo run --release --example conformance -- --listen 127.0.0.1:8080 --max-body-bytes 65536
//! curl -i --data-binary abc http://127.0.0.1:8080/echo
//! ```

mod sockets;

use std::fmt::Write as _;

use squall::prelude::*;
use squall::websocket::Message;

/// A topic whose history is limited only by the server's own bounds.
const HISTORY_TOPIC: &str = "kept";

/// How many bytes of a large body are written between two flushes.
const PIECE_BYTES: usize = 64 * 1024;

async fn root(_cx: &mut Context) -> &'static str {
    "ok"
}

async fn echo(cx: &mut Context) -> Result<Bytes> {
    cx.body().await
}

/// Echoes the parameter `x` in the field `X-Arg` too; answers 400 if a field cannot hold the value.
async fn arg(cx: &mut Context) -> Result {
    let value: String = cx.query_param("x")?;
    cx.set_header("X-Arg", value.as_str()).or_status(400)?;
    cx.write(&value);
    Ok(())
}

async fn query(cx: &mut Context) -> Result<String> {
    cx.query_param("x")
}

async fn segment(cx: &mut Context) -> Result<String> {
    cx.param("segment")
}

async fn headers(cx: &mut Context) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in cx.headers().iter() {
        lines.extend_from_slice(name.as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value);
        lines.push(b'\n');
    }
    lines
}

async fn no_content(_cx: &mut Context) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn not_modified(_cx: &mut Context) -> StatusCode {
    StatusCode::NOT_MODIFIED
}

/// Writes three words and flushes after each.
async fn stream(cx: &mut Context) -> Result {
    for word in ["one", "two", "three"] {
        cx.write(word);
        cx.flush().await?;
    }
    Ok(())
}

async fn big(cx: &mut Context) -> Result {
    let mut left: usize = cx.query_param("n")?;
    let mut length = String::new();
    write!(length, "{left}")?;
    cx.set_header("Content-Length", length.as_str())?;
    let piece = [b'x'; PIECE_BYTES];
    while left > 0 {
        let piece = piece.get(..left).unwrap_or(&piece);
        cx.write(piece);
        left -= piece.len();
        cx.flush().await?;
    }
    Ok(())
}

/// Publishes every message to a topic with a history.
struct HistoryPublisher;

impl WebSocketHandler for HistoryPublisher {
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        ws.publish(HISTORY_TOPIC, message).await
    }
}

fn application() -> Application {
    let application = Application::new()
        .automatic_options(false)
        .get("/", root)
        .post("/echo", echo)
        .get("/arg", arg)
        .get("/q", query)
        .get("/p/{segment}", segment)
        .get("/headers", headers)
        .get("/status/204", no_content)
        .get("/status/304", not_modified)
        .get("/stream", stream)
        .get("/big", big);
    sockets::add_to(application).websocket("/ws/keep", async |_: &mut Context| Ok(HistoryPublisher))
}

fn main() -> Result {
    let all = HistoryLimits::default().max_messages(usize::MAX).max_bytes(usize::MAX);
    Server::from_args(application)
        .topic(HISTORY_TOPIC, TopicOptions::default().history(all))
        .run()
}
