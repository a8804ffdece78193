//! What can be said of a WebSocket's route, and what all WebSockets of a shard share.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

use crate::app::App;
use crate::websocket::{DeflateConfig, Deflaters, Limits};

/// How hard messages are compressed. 1, zlib's fastest: the messages of live feeds are small, and gain little from more.
const DEFLATE_LEVEL: u32 = 1;

/// How much all connections of a shard may keep for context takeover. 64 MiB: a thousand connections with the largest windows both ways.
const CONTEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

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
pub(in crate::app) struct Sockets {
    pub(super) deflaters: RefCell<Deflaters>,
    pub(super) limits: RefCell<Rc<Limits>>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            deflaters: RefCell::new(Deflaters::new(DEFLATE_LEVEL, CONTEXT_BYTES_MAX)),
            limits: RefCell::default(),
        }
    }
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
