//! The task of a WebSocket's handler. One boxed future for each connection hides the handler's type.

use core::fmt;
use core::task::{Context as Task, Poll};
use std::rc::Rc;

use super::socket_state::SocketState;
use crate::app::boxed::LocalBoxFuture;
use crate::app::catch_panic::catch_panic;
use crate::app::shared::Shared;
use crate::error::Error;
use crate::websocket::CloseCode;

/// A running handler.
///
/// The driver polls it when its task is woken, and when an event waits for it.
pub struct HandlerTask {
    shared: Rc<Shared>,
    state: Rc<SocketState>,
    future: Option<LocalBoxFuture<'static, ()>>,
}

impl HandlerTask {
    pub(super) fn new(state: &Rc<SocketState>, future: LocalBoxFuture<'static, ()>) -> Self {
        Self {
            shared: Rc::clone(&state.shared),
            state: Rc::clone(state),
            future: Some(future),
        }
    }

    /// Runs the handler until it waits; ready once it has ended.
    ///
    /// A panic ends it and closes the socket with 1011.
    pub fn poll(&mut self, task: &mut Task<'_>) -> Poll<()> {
        let Self { shared, state, future } = self;
        shared.set_active_route(state.route());
        let polled = catch_panic(shared, || {
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
            shared.discard(future.take());
            Poll::Ready(())
        })
    }
}

impl Drop for HandlerTask {
    /// The shard may drop the connection's task at any time. `discard` catches panics of the handler's destructors.
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.shared.set_active_route(self.state.route());
            self.shared.discard(future);
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

/// Logs a handler's error once and closes the socket with 1011.
pub(super) fn fail(state: &SocketState, error: &Error) {
    if error.is_peer_gone() {
        tracing::debug!(pattern = state.pattern(), "a WebSocket peer has gone");
        return;
    }
    tracing::error!(pattern = state.pattern(), "a WebSocket handler failed: {error:?}");
    if let Ok(runtime) = state.shared.runtime() {
        // If the socket is closed already, the peer has received another code.
        state
            .duplex()
            .close(CloseCode::INTERNAL_ERROR, "", runtime.now())
            .unwrap_or_default();
    }
}
