//! Plain requests and responses: echoes, parameters, fields, statuses without content, streams.

use std::fmt::Write as _;

use squall::prelude::*;

/// How many bytes of a large body are written between two flushes.
const PIECE_BYTES: usize = 64 * 1024;

/// Most bytes of the field that `/bighead` answers with.
const FIELD_BYTES_MAX: usize = 60_000;

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

/// Answers with a field of `n` bytes, up to [`FIELD_BYTES_MAX`].
async fn bighead(cx: &mut Context) -> Result<&'static str> {
    let bytes: usize = cx.query_param("n")?;
    if bytes > FIELD_BYTES_MAX {
        return Err(HttpError::new(400).with_message("n is at most 60000").into());
    }
    cx.set_header("X-Big", "x".repeat(bytes))?;
    Ok("ok")
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

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application) -> Application {
    application
        .get("/", root)
        .post("/echo", echo)
        .get("/arg", arg)
        .get("/q", query)
        .get("/p/{segment}", segment)
        .get("/headers", headers)
        .get("/status/204", no_content)
        .get("/status/304", not_modified)
        .get("/stream", stream)
        .get("/big", big)
        .get("/bighead", bighead)
}
