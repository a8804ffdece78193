//! What a 101, or a 200 over HTTP/2, turns a connection into: the WebSocket whose handler is ready to start.

use core::fmt;
use std::rc::Rc;
use std::time::Instant;

use super::handler_task::HandlerTask;
use super::socket_state::SocketState;
use crate::app::active_route::ActiveRoute;
use crate::app::boxed::LocalBoxFuture;
use crate::app::shared::Shared;
use crate::websocket::{Connection, Deflate, Limits};

/// A connection, or a stream of HTTP/2, that becomes a WebSocket once its head is written.
pub struct Upgrade {
    pub(super) limits: Rc<Limits>,
    pub(super) deflate: Option<Deflate>,
    pub(super) active_route: ActiveRoute,
    pub(super) start_handler: StartHandler,
}

/// Starts a handler and hides its type.
pub(super) type StartHandler = Box<dyn FnOnce(Rc<SocketState>) -> LocalBoxFuture<'static, ()>>;

impl Upgrade {
    /// Opens the WebSocket: the driver moves bytes through the state and polls the task.
    #[must_use]
    pub fn open(self, shared: &Rc<Shared>, now: Instant) -> (Rc<SocketState>, HandlerTask) {
        let state = SocketState::new(
            shared,
            Connection::server(self.limits, self.deflate, now),
            self.active_route,
        );
        let future = (self.start_handler)(Rc::clone(&state));
        let task = HandlerTask::new(&state, future);
        (state, task)
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Upgrade")
            .field("limits", &self.limits)
            .field("deflate", &self.deflate)
            .finish_non_exhaustive()
    }
}
