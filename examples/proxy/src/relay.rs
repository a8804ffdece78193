//! Relays a WebSocket: message by message, so that a slow side slows the other down.

use std::rc::Rc;

use squall::client::ClientTls;
use squall::prelude::*;
use squall::shards::spawn_detached;
use squall::websocket::Message;
use squall::{ClientOptions, WebSocketClient};

use crate::forward::{request_fields, target};
use crate::upstreams::Upstreams;

/// The code for an upstream whose connection broke (RFC 6455 §7.4.1).
const BROKEN: u16 = 1011;

/// The code that says goodbye to an upstream whose client left without one.
const GOING_AWAY: u16 = 1001;

/// Fields of the handshake that the client of the upstream makes itself.
const OF_HANDSHAKE: &str = "sec-websocket-";

/// One relayed WebSocket.
pub(crate) struct Relay {
    upstream: WebSocketClient,
}

/// Opens the WebSocket of the upstream first, so that its refusal is the answer to the client.
pub(crate) async fn open(cx: &mut Context) -> Result<Relay> {
    let upstreams = cx.state::<Rc<Upstreams>>()?;
    let tls = cx.state::<ClientTls>()?;
    let mut options = ClientOptions::default().tls((*tls).clone());
    let offered = cx.header("sec-websocket-protocol").unwrap_or_default();
    for name in offered.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        options = options.subprotocol(name);
    }
    for (name, value) in request_fields(cx)?.iter() {
        if !name.as_str().starts_with(OF_HANDSHAKE) {
            options = options.header(name.clone(), value.clone());
        }
    }
    let target = target(cx);
    for upstream in upstreams.in_turn() {
        // `https` becomes `wss`.
        let url = upstream.url.replacen("http", "ws", 1);
        match options.connect(&format!("{url}{target}")).await {
            Ok(upstream) => return Ok(Relay { upstream }),
            Err(error) => match error.status() {
                Some(status) => return Err(HttpError::new(status).with_source(error).into()),
                None => tracing::warn!(upstream = upstream.url, %error, "could not reach an upstream"),
            },
        }
    }
    Err(HttpError::new(502).with_message("no upstream could be reached").into())
}

impl WebSocketHandler for Relay {
    /// The upstream has seen `Origin`, and has accepted it.
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    fn select_subprotocol<'o>(&self, offered: &[&'o str]) -> Option<&'o str> {
        let chosen = self.upstream.subprotocol()?;
        offered.iter().copied().find(|name| *name == chosen)
    }

    async fn open(&mut self, ws: &WebSocket) -> Result {
        spawn_detached(pass_on(self.upstream.clone(), ws.clone()));
        Ok(())
    }

    async fn on_message(&mut self, _: &WebSocket, message: Message) -> Result {
        // An upstream that has closed is closing the client too.
        self.upstream.send(message).await.unwrap_or_default();
        Ok(())
    }

    async fn on_close(&mut self, _: &WebSocket, code: Option<u16>, reason: &str) {
        let closed = self.upstream.close(code.unwrap_or(GOING_AWAY), reason).await;
        if closed.is_err() {
            // A code that only a protocol may send, such as 1006.
            self.upstream.close(GOING_AWAY, "").await.map(drop).unwrap_or_default();
        }
    }
}

/// Passes the messages of the upstream on to the client, and then its end.
async fn pass_on(upstream: WebSocketClient, ws: WebSocket) {
    while let Some(message) = upstream.next().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
    let end = upstream.end().cloned().unwrap_or_default();
    let closed = ws.close(end.code.unwrap_or(BROKEN), &end.reason);
    if closed.is_err() {
        ws.close(BROKEN, "").unwrap_or_default();
    }
}
