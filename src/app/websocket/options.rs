//! What can be said of a WebSocket's route, and what all WebSockets of a shard share.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

use super::coalesce::Coalescer;
use crate::app::App;
use crate::websocket::{DeflateConfig, Deflaters, Limits};

/// What holds for the WebSockets of one route.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WebSocketOptions {
    /// Bounds on what comes in; `None` for the server's.
    pub limits: Option<Limits>,
    /// How to compress, if the client can (permessage-deflate, RFC 7692). `None` never: most messages of live feeds are too small to gain.
    pub deflate: Option<DeflateConfig>,
}

impl WebSocketOptions {
    /// Sets bounds on what comes in.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Has messages compressed where the client can.
    #[must_use]
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        self.deflate = Some(config);
        self
    }
}

/// What all WebSockets of a shard share.
#[derive(Default)]
pub(in crate::app) struct Sockets {
    pub(super) deflaters: Rc<RefCell<Deflaters>>,
    pub(super) limits: RefCell<Rc<Limits>>,
    /// What was last sent together.
    pub(super) coalescer: RefCell<Coalescer>,
}

impl App {
    /// Sets the bounds of WebSockets whose routes have none of their own.
    pub fn set_websocket_limits(&self, limits: Limits) {
        *self.sockets.limits.borrow_mut() = Rc::new(limits);
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sockets")
            .field("deflaters", &self.deflaters)
            .finish_non_exhaustive()
    }
}
