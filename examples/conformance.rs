//! The application that wire tests of any origin run against; its routes are a contract, listed in `tests/wire/`.
//!
//! ```text
//! cargo run --release --example conformance -- --listen 127.0.0.1:8080 --max-body-bytes 65536
//! curl -i --data-binary abc http://127.0.0.1:8080/echo
//! ```

mod sockets;

use std::fmt::Write as _;

use squall::prelude::*;

/// A topic whose history only the server's own bounds end.
const KEPT_TOPIC: &str = "kept";

/// How much of a big body is written before it is flushed.
const PIECE_BYTES: usize = 64 * 1024;

async fn root(_cx: &mut Context) -> &'static str {
    "ok"
}

async fn echo(cx: &mut Context) -> Result<Bytes> {
    cx.body().await
}

/// Echoes an argument in a field as well; a value that cannot be one is the client's fault.
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

/// Three writes, each on the wire before the next is made.
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
struct Keeper;

impl WebSocketHandler for Keeper {
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        ws.publish(KEPT_TOPIC, message).await
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
    sockets::add_to(application).websocket("/ws/keep", async |_: &mut Context| Ok(Keeper))
}

fn main() -> Result {
    let all = HistoryLimits::default().messages(usize::MAX).bytes(usize::MAX);
    Server::from_args(application)
        .topic(KEPT_TOPIC, TopicOptions::new().history(all))
        .run()
}
