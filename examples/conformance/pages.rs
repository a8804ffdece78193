//! Pages and their headers: templates, languages, compression, validators, redirects, downloads, errors.

mod language;
mod template;

use squall::middleware::{Compression, etag};
use squall::prelude::*;
use squall::routing::{get, redirect};

/// Most bytes that `/compress` answers with.
const COMPRESS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many pieces `/compress` flushes.
const FLUSHES: usize = 4;

/// Fields that frame the message or belong to its connection: a handler that sets them from a client's words would
/// contradict the server.
const FRAMING_FIELDS: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Answers `n` bytes of `x`, whole or in four flushed pieces.
async fn compress(cx: &mut Context) -> Result {
    let bytes: usize = cx.query_param("n")?;
    if bytes > COMPRESS_BYTES_MAX {
        return Err(HttpError::new(400).with_message("n is at most 67108864").into());
    }
    let media_type: Option<String> = cx.optional_query_param("type")?;
    cx.set_header("Content-Type", media_type.as_deref().unwrap_or("text/plain"))
        .or_status(400)?;
    for (parameter, name) in [("vary", "Vary"), ("encoding", "Content-Encoding")] {
        if let Some(value) = cx.optional_query_param::<String>(parameter)? {
            cx.set_header(name, value.as_str()).or_status(400)?;
        }
    }
    if cx.optional_query_param::<String>("flush")?.as_deref() != Some("1") {
        cx.write(vec![b'x'; bytes]);
        return Ok(());
    }
    let piece = vec![b'x'; bytes.div_ceil(FLUSHES)];
    let mut left = bytes;
    for _ in 0..FLUSHES {
        let piece = piece.get(..left.min(piece.len())).unwrap_or_default();
        left -= piece.len();
        cx.write(piece);
        cx.flush().await?;
    }
    Ok(())
}

async fn tagged(cx: &mut Context) -> Result<String> {
    cx.query_param("x")
}

/// Redirects to a place of the client's choice, as a service for tests may.
async fn redirect_to(cx: &mut Context) -> Result {
    let to: String = cx.query_param("to")?;
    let status = cx.optional_query_param("status")?.unwrap_or(302);
    let redirect = match status {
        301 => Redirect::moved(to),
        302 => Redirect::found(to),
        303 => Redirect::see_other(to),
        307 => Redirect::temporary(to),
        308 => Redirect::permanent(to),
        _ => {
            return Err(HttpError::new(400)
                .with_message("status is 301, 302, 303, 307 or 308")
                .into());
        }
    };
    redirect.respond(cx).or_status(400)
}

async fn header(cx: &mut Context) -> Result<&'static str> {
    let (name, value): (String, String) = (cx.query_param("name")?, cx.query_param("value")?);
    if FRAMING_FIELDS.iter().any(|framing| framing.eq_ignore_ascii_case(&name)) {
        return Err(HttpError::new(400)
            .with_message("the server sets this field itself")
            .into());
    }
    cx.set_header(name.as_str(), value.as_str()).or_status(400)?;
    Ok("ok")
}

async fn download(cx: &mut Context) -> Result<&'static str> {
    let name: String = cx.query_param("name")?;
    cx.attachment(&name).or_status(400)?;
    Ok("download")
}

async fn fail(cx: &mut Context) -> Result {
    let status: u16 = cx.query_param("code")?;
    if !(400..600).contains(&status) {
        return Err(HttpError::new(400).with_message("code is from 400 to 599").into());
    }
    let error = HttpError::new(status);
    Err(match cx.optional_query_param::<String>("reason")? {
        Some(reason) => error.with_reason(reason).into(),
        None => error.into(),
    })
}

async fn boom(_: &mut Context) -> Result {
    Err(Error::new("detail-7391"))
}

async fn boom_late(cx: &mut Context) -> Result {
    cx.write("part");
    cx.flush().await?;
    Err(Error::new("detail-7391"))
}

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application) -> Application {
    let application = template::add_to(application);
    let application = language::add_to(application);
    let compressed = get(compress).middleware(Compression::new()).middleware(etag);
    application
        .route("/compress", compressed)
        .route("/etag", get(tagged).middleware(etag))
        .get("/redirect", redirect_to)
        .route("/old/{*rest}", redirect("/{rest}"))
        .get("/header", header)
        .get("/download", download)
        .get("/error", fail)
        .get("/boom", boom)
        .get("/boom/late", boom_late)
}
