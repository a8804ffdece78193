//! The task of a WebSocket's handler. One boxed future for each connection hides the handler's type.

use core::fmt;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::rc::Rc;

use super::socket_state::SocketState;
use crate::app::boxed::LocalBoxFuture;
use crate::app::catch_panic::CatchPanic;
use crate::app::shared::Shared;
use crate::error::Error;
use crate::pubsub::SubscribeError;
use crate::websocket::{CloseCode, SendError};

/// A running handler.
///
/// The driver polls it when its task is woken, and when an event waits for it.
pub struct HandlerTask {
    state: Rc<SocketState>,
    future: CatchPanic<'static, Rc<Shared>, ()>,
}

impl HandlerTask {
    pub(super) fn new(state: &Rc<SocketState>, future: LocalBoxFuture<'static, ()>) -> Self {
        Self {
            state: Rc::clone(state),
            future: CatchPanic::new(Rc::clone(&state.shared), future),
        }
    }

    /// Runs the handler until it waits; ready once it has ended.
    ///
    /// A panic ends it and closes the socket with 1011.
    pub fn poll(&mut self, task: &mut Task<'_>) -> Poll<()> {
        let Self { state, future } = self;
        state.shared.set_active_route(state.route());
        Pin::new(future).poll(task).map(|ended| {
            if let Err(panic) = ended {
                fail(state, &panic);
            }
        })
    }
}

impl Drop for HandlerTask {
    /// The shard may drop the connection's task at any time. The guard of the future catches panics of the handler's
    /// destructors, which run after this.
    fn drop(&mut self) {
        if self.future.is_running() {
            self.state.shared.set_active_route(self.state.route());
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

/// Logs a handler's error once, and closes the socket with 1011 unless its peer has gone.
pub(super) fn fail(state: &SocketState, error: &Error) {
    if means_peer_gone(state, error) {
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

/// Whether a handler's error means that the peer of its own socket has gone.
///
/// A `SendError` or a `SubscribeError` names no socket. If this one is open, the handler has used another one, such as
/// a client's.
pub(super) fn means_peer_gone(state: &SocketState, error: &Error) -> bool {
    let is_closed = matches!(error.downcast_ref(), Some(SendError::Closed))
        || matches!(error.downcast_ref(), Some(SubscribeError::Left));
    error.is_peer_gone() || is_closed && !state.duplex().is_open()
}
