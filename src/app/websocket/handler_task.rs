//! The life of a handler: `open`, one call for each event, `on_close`. One boxed future for each connection hides the
//! handler's type.

use core::fmt;
use core::task::{Context as Task, Poll};
use std::future::poll_fn;
use std::rc::Rc;

use super::duplex::{End, SocketEvent};
use super::handler::WebSocketHandler;
use super::socket::WebSocket;
use super::socket_state::SocketState;
use crate::app::catch_panic::catch_panic;
use crate::app::handler::request_handler::LocalBoxFuture;
use crate::app::{ActiveRoute, App};
use crate::error::{Error, Result};
use crate::websocket::{CloseCode, Event};

/// A running handler.
///
/// The driver polls it when its task is woken, and when an event waits for it.
pub struct HandlerTask {
    app: Rc<App>,
    state: Rc<SocketState>,
    active_route: ActiveRoute,
    future: Option<LocalBoxFuture<'static, ()>>,
}

impl HandlerTask {
    pub(super) fn new(state: &Rc<SocketState>, active_route: ActiveRoute, future: LocalBoxFuture<'static, ()>) -> Self {
        Self {
            app: Rc::clone(&state.app),
            state: Rc::clone(state),
            active_route,
            future: Some(future),
        }
    }

    /// Runs the handler until it waits; ready once it has ended.
    ///
    /// A panic ends it and closes the socket with 1011.
    pub fn poll(&mut self, task: &mut Task<'_>) -> Poll<()> {
        let Self {
            app,
            state,
            active_route,
            future,
        } = self;
        app.set_active_route(*active_route);
        let polled = catch_panic(app, || {
            let Some(running) = future else {
                return Poll::Ready(());
            };
            let polled = running.as_mut().poll(task);
            if polled.is_ready() {
                *future = None;
            }
            polled
        });
        polled.unwrap_or_else(|error| {
            fail(state, &error);
            app.discard(future.take());
            Poll::Ready(())
        })
    }
}

impl Drop for HandlerTask {
    /// The shard may drop the connection's task at any time. `discard` catches panics of the handler's destructors.
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.app.discard(future);
        }
    }
}

impl fmt::Debug for HandlerTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HandlerTask")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Runs a handler from `open` to `on_close`.
pub(super) async fn run_handler<H: WebSocketHandler>(mut handler: H, state: Rc<SocketState>) {
    let ws = WebSocket::new(&state);
    let end = match dispatch_events(&mut handler, &ws, &state).await {
        Ok(end) => end,
        Err(error) => {
            fail(&state, &error);
            next_end(&state, error.is_peer_gone()).await
        }
    };
    handler.on_close(&ws, end.code, &end.reason).await;
}

/// Calls the handler for each event, until the end or its first error.
///
/// Each call is boxed, so that its state is freed when it returns. Most sockets wait for an event most of the time;
/// unboxed, each would keep room for the largest method.
async fn dispatch_events<H: WebSocketHandler>(
    handler: &mut H,
    ws: &WebSocket,
    state: &SocketState,
) -> Result<Box<End>> {
    Box::pin(handler.open(ws)).await?;
    loop {
        match poll_fn(|_| state.poll_event()).await {
            SocketEvent::Event(Event::Message(message)) => Box::pin(handler.on_message(ws, message)).await?,
            SocketEvent::Event(Event::Ping(payload)) => Box::pin(handler.on_ping(ws, payload)).await?,
            SocketEvent::Event(Event::Pong(payload)) => Box::pin(handler.on_pong(ws, payload)).await?,
            SocketEvent::Event(Event::NeedData | Event::Close(_) | Event::Closed) => {}
            SocketEvent::End(end) => return Ok(end),
        }
    }
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
        if let SocketEvent::End(end) = poll_fn(|_| state.poll_event()).await {
            return end;
        }
    }
}

/// Logs a handler's error once and closes the socket with 1011.
fn fail(state: &SocketState, error: &Error) {
    if error.is_peer_gone() {
        tracing::debug!("a WebSocket peer has gone");
        return;
    }
    tracing::error!("a WebSocket handler failed: {error:?}");
    if let Ok(server) = state.app.server() {
        // If the socket is closed already, the peer has received another code.
        state
            .close(CloseCode::INTERNAL_ERROR, "", server.now())
            .unwrap_or_default();
    }
}
