//! A server's end of a WebSocket: its [`Duplex`], the application it belongs to, and who it is among the subscribers of its shard.

use core::cell::Cell;
use core::fmt;
use core::ops::Deref;
use std::rc::Rc;

use super::duplex::Duplex;
use crate::app::App;
use crate::pubsub::SubscriberId;
use crate::websocket::Connection;

/// One WebSocket between its handler and its driver.
pub struct SocketState {
    pub(super) app: Rc<App>,
    duplex: Duplex,
    subscriber: Cell<Option<SubscriberId>>,
    has_deliveries: Cell<bool>,
}

impl SocketState {
    pub(super) fn new(app: &Rc<App>, machine: Connection) -> Rc<Self> {
        Rc::new(Self {
            app: Rc::clone(app),
            duplex: Duplex::new(machine, &app.sockets.deflaters),
            subscriber: Cell::new(None),
            has_deliveries: Cell::new(false),
        })
    }

    /// Who this socket is among the subscribers of its shard, once it is one.
    pub(super) fn subscriber(&self) -> Option<SubscriberId> {
        self.subscriber.get()
    }

    /// Says who it is; `None` once it has left.
    pub(super) fn set_subscriber(&self, subscriber: Option<SubscriberId>) {
        self.subscriber.set(subscriber);
    }

    /// Says whether publications wait for this socket, and wakes its driver if they do.
    pub(super) fn set_deliveries(&self, wait: bool) {
        self.has_deliveries.set(wait);
        if wait {
            self.duplex.wake();
        }
    }

    /// Whether publications wait for this socket.
    #[must_use]
    pub fn has_deliveries(&self) -> bool {
        self.has_deliveries.get()
    }
}

impl Deref for SocketState {
    type Target = Duplex;

    fn deref(&self) -> &Duplex {
        &self.duplex
    }
}

impl fmt::Debug for SocketState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SocketState")
            .field("duplex", &self.duplex)
            .finish_non_exhaustive()
    }
}
