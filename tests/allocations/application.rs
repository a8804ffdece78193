//! An application in which every route allocates.

use squall::prelude::*;
use squall::websocket::DeflateConfig;
use squall::websocket::Message;

/// How many bytes are written at once.
static PIECE: [u8; 50_000] = [b'x'; 50_000];

/// Echoes every message.
struct Echo;

impl WebSocketHandler for Echo {
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        Ok(ws.send(message).await?)
    }
}

/// Receives what it publishes.
struct Member;

impl WebSocketHandler for Member {
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.subscribe("room").map(drop)
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        ws.publish("room", message).await
    }
}

async fn echo(cx: &mut Context) -> Result<Bytes> {
    cx.body().await
}

/// Echoes piece by piece, each of them flushed.
async fn pieces(cx: &mut Context) -> Result {
    while let Some(piece) = cx.next_chunk().await? {
        cx.write_body(piece);
        cx.flush().await?;
    }
    Ok(())
}

/// Writes the requested number of pieces; nothing is sent before the last.
async fn written(cx: &mut Context) -> Result {
    let count: usize = cx.query_param("pieces")?;
    for _ in 0..count {
        cx.write(&PIECE);
    }
    Ok(())
}

async fn json(cx: &mut Context) -> Result {
    let count: usize = cx.query_param("pieces")?;
    let text = str::from_utf8(&PIECE)?;
    cx.write_json(&vec![text; count])
}

/// Sends the content as a message to this server through a WebSocket client, and answers with the echo.
async fn relay(cx: &mut Context) -> Result<Bytes> {
    let content = cx.body().await?;
    let url = format!("ws://{}/ws", cx.header("host").or_status(400)?);
    let came_back = async {
        let client = squall::connect(&url).await.ok()?;
        client.send(content).await.ok()?;
        client.next().await
    };
    match came_back.await {
        Some(Message::Binary(content)) => Ok(content),
        _ => Err(HttpError::new(503)
            .with_header(header::CONNECTION, HeaderValue::from_static("close"))
            .into()),
    }
}

pub(crate) fn application() -> Application {
    let deflate = DeflateConfig::default()
        .server_context_takeover(true)
        .client_context_takeover(true);
    Application::new()
        .get("/", async |_: &mut Context| "ok")
        .post("/echo", echo)
        .post("/pieces", pieces)
        .post("/relay", relay)
        .get("/written", written)
        .get("/json", json)
        .websocket("/room", async |_: &mut Context| Ok(Member))
        .websocket_with(
            "/ws",
            WebSocketOptions::default().deflate(deflate),
            async |_: &mut Context| Ok(Echo),
        )
}

/// The response content of `/written`.
pub(crate) fn pieces_written(count: usize) -> Vec<u8> {
    PIECE.repeat(count)
}

/// The response content of `/json`.
pub(crate) fn pieces_as_json(count: usize) -> Vec<u8> {
    let text = [&b"\""[..], &PIECE, b"\""].concat();
    [b"[", vec![text; count].join(&b","[..]).as_slice(), b"]"].concat()
}
