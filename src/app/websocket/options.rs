//! Options of a WebSocket route, and the state that all WebSockets of a shard share.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

use super::coalesce::Coalescer;
use super::connected::Connected;
use crate::settings::settings;
use crate::websocket::{DeflateConfig, Deflaters, Limits};

settings! {
    /// Options of the WebSockets of one route.
    #[derive(Debug, Clone)]
    #[must_use = "options do nothing until they are given to a route"]
    pub struct WebSocketOptions {
        /// Sets limits on what the peer sends, in place of the server's.
        limits: Limits,
        /// Enables compression for clients that support it (permessage-deflate, RFC 7692).
        ///
        /// Off by default: most messages of live feeds are too small to gain.
        deflate: DeflateConfig,
    }
}

/// The state that all WebSockets of a shard share.
#[derive(Default)]
pub(in crate::app) struct Sockets {
    pub(super) deflaters: Rc<RefCell<Deflaters>>,
    pub(in crate::app) limits: RefCell<Rc<Limits>>,
    pub(super) coalescer: RefCell<Coalescer>,
    pub(in crate::app) connected: Rc<Connected>,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sockets")
            .field("deflaters", &self.deflaters)
            .finish_non_exhaustive()
    }
}
