//! The life of a handler: `open`, one call for each event, `on_close`.

use std::future::poll_fn;
use std::rc::Rc;

use super::expiry_task::refresh_token;
use super::handler::WebSocketHandler;
use super::handler_task::{fail, means_peer_gone};
use super::socket::WebSocket;
use super::socket_state::SocketState;
use crate::app::boxed::LocalBoxFuture;
use crate::error::Result;
use crate::websocket::{CloseCode, Event};
use crate::websocket::{End, SocketEvent};

/// Runs a handler from `open` to `on_close`.
pub(super) async fn run_handler<H: WebSocketHandler>(mut handler: H, state: Rc<SocketState>) {
    let ws = WebSocket::new(&state);
    let end = match dispatch_events(&mut handler, &ws, &state).await {
        Ok(end) => end,
        Err(error) => {
            let is_peer_gone = means_peer_gone(&state, &error);
            fail(&state, &error);
            next_end(&state, is_peer_gone).await
        }
    };
    handler.on_close(&ws, end.code, &end.reason).await;
}

/// Calls the handler for each event, until the end or its first error.
///
/// Each call is boxed, so that its state is freed when it returns, and so that no event lives on in this future. Most
/// sockets wait for an event most of the time; unboxed, each would keep room for the largest method.
async fn dispatch_events<H: WebSocketHandler>(
    handler: &mut H,
    ws: &WebSocket,
    state: &SocketState,
) -> Result<Box<End>> {
    Box::pin(handler.open(ws)).await?;
    loop {
        let called = match poll_fn(|_| state.duplex().poll_event()).await {
            SocketEvent::Event(event) => call(handler, ws, state, event),
            SocketEvent::End(end) => return Ok(end),
        };
        if let Some(called) = called {
            called.await?;
        }
    }
}

/// Calls the handler's method for an event, if there is one.
fn call<'a, H: WebSocketHandler>(
    handler: &'a mut H,
    ws: &'a WebSocket,
    state: &SocketState,
    event: Event,
) -> Option<LocalBoxFuture<'a>> {
    Some(match event {
        Event::Message(message) => match refresh_token(state, &message) {
            Some(token) => Box::pin(async move { handler.on_refresh(ws, &token).await }),
            None => Box::pin(handler.on_message(ws, message)),
        },
        Event::Ping(payload) => Box::pin(handler.on_ping(ws, payload)),
        Event::Pong(payload) => Box::pin(handler.on_pong(ws, payload)),
        Event::NeedData | Event::Close(_) | Event::Closed => return None,
    })
}

/// How the connection ended after the handler's error: with 1011, or as the peer closed it if the error means that the
/// peer has gone.
async fn next_end(state: &SocketState, is_peer_gone: bool) -> Box<End> {
    if !is_peer_gone {
        return Box::new(End {
            code: Some(CloseCode::INTERNAL_ERROR.number()),
            reason: String::new(),
        });
    }
    loop {
        if let SocketEvent::End(end) = poll_fn(|_| state.duplex().poll_event()).await {
            return end;
        }
    }
}
