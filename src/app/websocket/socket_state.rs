//! A server's end of a WebSocket: its [`Duplex`], its application, and its subscriber id.

use core::cell::{Cell, OnceCell, RefCell};
use core::fmt;
use core::time::Duration;
use std::rc::Rc;
use std::time::Instant;

use super::connected::{Membership, SocketOwner};
use super::expiry::{Expiry, UNAUTHORIZED};
use crate::app::active_route::ActiveRoute;
use crate::app::shared::Shared;
use crate::pubsub::{SubscribeError, SubscriberId};
use crate::websocket::{CloseCode, Connection, Duplex, Message, ProtocolError};

/// One WebSocket between its handler and its driver.
pub struct SocketState {
    pub(super) shared: Rc<Shared>,
    route: ActiveRoute,
    duplex: Duplex,
    subscriber: Cell<Option<SubscriberId>>,
    has_deliveries: Cell<bool>,
    /// When the socket expires, once the handler has set it.
    expiry: OnceCell<Rc<Expiry>>,
    rare: OnceCell<Box<RareParts>>,
}

/// What few sockets have: an idle socket pays for one pointer.
#[derive(Default)]
struct RareParts {
    /// Over which time the peers of a stopping server come back; zero for no hint.
    reconnect_spread: Cell<Duration>,
    /// The socket's places among those of its user and of its session.
    memberships: RefCell<Vec<Membership>>,
}

impl SocketState {
    pub(super) fn new(shared: &Rc<Shared>, machine: Connection, route: ActiveRoute) -> Rc<Self> {
        Rc::new(Self {
            shared: Rc::clone(shared),
            route,
            duplex: Duplex::new(machine, &shared.sockets.deflaters),
            subscriber: Cell::new(None),
            has_deliveries: Cell::new(false),
            expiry: OnceCell::new(),
            rare: OnceCell::new(),
        })
    }

    /// Returns the machine, its queues and its wakers.
    #[must_use]
    pub fn duplex(&self) -> &Duplex {
        &self.duplex
    }

    /// The route that opened the socket.
    pub(super) fn route(&self) -> ActiveRoute {
        self.route
    }

    /// The pattern of that route, for the log.
    pub(super) fn pattern(&self) -> Option<&str> {
        Some(self.shared.pattern(self.route.index())?.text())
    }

    /// Logs that the connection ends because the peer broke the protocol, or because memory is short.
    pub fn log_failure(&self, error: ProtocolError) {
        let pattern = self.pattern();
        match error {
            ProtocolError::OutOfMemory => tracing::warn!(pattern, "closing a WebSocket with 1013: memory is short"),
            _ => tracing::debug!(pattern, %error, "a peer violated the WebSocket protocol"),
        }
    }

    /// The socket's subscriber id, from its first subscription until it leaves.
    pub(super) fn subscriber(&self) -> Option<SubscriberId> {
        self.subscriber.get()
    }

    /// The subscriber id, for a call that needs a subscription.
    pub(super) fn subscribed(&self) -> Result<SubscriberId, SubscribeError> {
        self.subscriber().ok_or_else(|| match self.duplex.is_closed() {
            true => SubscribeError::Left,
            false => SubscribeError::NotSubscribed,
        })
    }

    pub(super) fn set_subscriber(&self, subscriber: Option<SubscriberId>) {
        self.subscriber.set(subscriber);
    }

    pub(super) fn set_reconnect_spread(&self, spread: Duration) {
        self.rare().reconnect_spread.set(spread);
    }

    /// Tells the peer of a feed when to come back, before a stop closes the socket.
    ///
    /// The places of all sockets, of which this one has number `place`, spread over the time evenly.
    pub fn send_reconnect_hint(&self, place: usize, places: usize) {
        let spread = self
            .rare
            .get()
            .map_or(Duration::ZERO, |rare| rare.reconnect_spread.get());
        if !spread.is_zero() {
            let place = u64::try_from(place.min(places)).unwrap_or_default();
            let places = u64::try_from(places).unwrap_or(u64::MAX).max(1);
            let spread = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
            let after = spread.saturating_mul(place) / places;
            let hint = format!("{{\"reconnect\":{{\"after_ms\":{after}}}}}");
            // A peer that takes nothing comes back in its own time.
            self.duplex.try_send(&Message::from(hint)).unwrap_or_default();
        }
    }

    /// Sets whether publications wait for this socket; if they do, wakes its driver.
    pub(super) fn set_deliveries(&self, wait: bool) {
        self.has_deliveries.set(wait);
        if wait {
            self.duplex.wake();
        }
    }

    /// When the socket expires; `None` if it does not.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.expiry.get()?.at()
    }

    fn rare(&self) -> &RareParts {
        self.rare.get_or_init(Box::default)
    }

    /// Where the handler sets when the socket expires.
    pub(super) fn expiry(&self) -> &Rc<Expiry> {
        self.expiry.get_or_init(Rc::default)
    }

    /// Has the end of an owner, a user or a session, close this socket, in place of an earlier one of its kind.
    pub(super) fn belong_to(self: &Rc<Self>, owner: &SocketOwner) {
        let socket = Rc::downgrade(self);
        let close = move || {
            socket
                .upgrade()
                .is_some_and(|state| state.close(UNAUTHORIZED, "disconnected"))
        };
        let membership = self.shared.sockets.connected.join(owner, Box::new(close));
        let mut memberships = self.rare().memberships.borrow_mut();
        memberships.retain(|known| !known.is_of_kind(owner));
        memberships.push(membership);
    }

    /// Closes an open socket, and returns whether it was open.
    pub(super) fn close(&self, code: u16, reason: &str) -> bool {
        let is_open = self.duplex.is_open();
        if let Ok(runtime) = self.shared.runtime() {
            // A socket that is closed already keeps its code.
            let code = CloseCode::new(code).unwrap_or(CloseCode::POLICY_VIOLATION);
            self.duplex.close(code, reason, runtime.now()).unwrap_or_default();
        }
        is_open
    }

    /// Returns whether publications wait for this socket.
    #[must_use]
    pub fn has_deliveries(&self) -> bool {
        self.has_deliveries.get()
    }
}

impl Drop for SocketState {
    fn drop(&mut self) {
        // Ends the task that waits for it.
        if let Some(expiry) = self.expiry.get() {
            expiry.set(None);
        }
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
