//! Options of a WebSocket route, and the state that all WebSockets of a shard share.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

use super::coalesce::Coalescer;
use crate::websocket::{DeflateConfig, Deflaters, Limits};

/// Options of the WebSockets of one route.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
#[must_use = "options do nothing until they are given to a route"]
pub struct WebSocketOptions {
    /// Limits on what the peer sends; `None` uses the server's.
    pub limits: Option<Limits>,
    /// Compression, if the client supports it (permessage-deflate, RFC 7692).
    ///
    /// `None`, the default, never compresses: most messages of live feeds are too small to gain.
    pub deflate: Option<DeflateConfig>,
}

impl WebSocketOptions {
    /// Sets limits on what the peer sends.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Enables compression for clients that support it.
    #[must_use]
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        self.deflate = Some(config);
        self
    }
}

/// The state that all WebSockets of a shard share.
#[derive(Default)]
pub(in crate::app) struct Sockets {
    pub(super) deflaters: Rc<RefCell<Deflaters>>,
    pub(in crate::app) limits: RefCell<Rc<Limits>>,
    pub(super) coalescer: RefCell<Coalescer>,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sockets")
            .field("deflaters", &self.deflaters)
            .finish_non_exhaustive()
    }
}
