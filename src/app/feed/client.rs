//! One client of a feed, as the application's functions see it.

use core::any::{Any, TypeId};
use core::cell::RefCell;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::rc::Rc;
use std::time::Instant;

use super::expiry::Expiry;
use crate::app::shared::Shared;
use crate::app::topics::Publish;
use crate::app::websocket::WebSocket;
use crate::error::Result;
use crate::websocket::Message;

/// A client of a [`Feed`](crate::Feed): its socket, and what middleware knew about it.
///
/// Clones are the same client.
#[derive(Clone)]
pub struct FeedClient {
    inner: Rc<Inner>,
}

struct Inner {
    ws: WebSocket,
    shared: Rc<Shared>,
    remote_ip: Option<IpAddr>,
    extensions: Vec<(TypeId, Box<dyn Any>)>,
    user: Option<Rc<dyn Any>>,
    topics: RefCell<Vec<String>>,
    expiry: Rc<Expiry>,
}

/// What a socket inherits from the request that opened it.
pub(super) struct Inherited {
    pub(super) shared: Rc<Shared>,
    pub(super) remote_ip: Option<IpAddr>,
    pub(super) extensions: Vec<(TypeId, Box<dyn Any>)>,
    pub(super) user: Option<Rc<dyn Any>>,
}

impl FeedClient {
    pub(super) fn new(ws: &WebSocket, inherited: Inherited, expiring_before: Duration) -> Self {
        Self {
            inner: Rc::new(Inner {
                ws: ws.clone(),
                shared: inherited.shared,
                remote_ip: inherited.remote_ip,
                extensions: inherited.extensions,
                user: inherited.user,
                topics: RefCell::default(),
                expiry: Expiry::new(expiring_before),
            }),
        }
    }

    /// Returns the socket.
    #[must_use]
    pub fn ws(&self) -> &WebSocket {
        &self.inner.ws
    }

    /// Returns the client's address, as [`Context::remote_ip`](crate::Context::remote_ip) did when the socket opened.
    #[must_use]
    pub fn remote_ip(&self) -> Option<IpAddr> {
        self.inner.remote_ip
    }

    /// Returns the value of type `T` that middleware has stored for the request that opened the socket, such as the user.
    #[must_use]
    pub fn extension<T: 'static>(&self) -> Option<&T> {
        let mut values = self.inner.extensions.iter();
        let (_, value) = values.find(|(kind, _)| *kind == TypeId::of::<T>())?;
        value.downcast_ref()
    }

    /// Returns the user of the request that opened the socket, if middleware such as
    /// [`authenticated`](crate::middleware::authenticated) has asked for it.
    ///
    /// `None` also if users of the application have another type.
    #[must_use]
    pub fn user<U: 'static>(&self) -> Option<Rc<U>> {
        Rc::clone(self.inner.user.as_ref()?).downcast().ok()
    }

    /// Returns the application's state of type `T`.
    ///
    /// # Errors
    ///
    /// 500 if the application has no state of this type.
    pub fn state<T: 'static>(&self) -> Result<Rc<T>> {
        self.inner.shared.state()
    }

    /// Returns the topics that the client is subscribed to, in the order of its requests.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.inner.topics.borrow().clone()
    }

    /// Publishes a message, as [`WebSocket::publish`] does.
    pub fn publish(&self, topic: &str, message: impl Into<Message>) -> Publish<'_> {
        self.inner.ws.publish(topic, message)
    }

    /// Sets how long the socket may stay open from now on, unless its client refreshes.
    ///
    /// The client gets the notice `expiring` before, 30 s by default. 5 s after the time has passed, the socket closes
    /// with 4401. A later call replaces the time.
    pub fn expires_in(&self, lifetime: Duration) {
        let Inner { expiry, ws, shared, .. } = &*self.inner;
        expiry.set(lifetime, ws, shared);
    }

    /// The time of this turn.
    pub(super) fn now(&self) -> Result<Instant> {
        Ok(self.inner.shared.runtime()?.now())
    }

    /// Notes a subscription, and returns whether it is new.
    pub(super) fn note_topic(&self, topic: &str) -> bool {
        let is_new = !self.is_subscribed(topic);
        if is_new {
            self.inner.topics.borrow_mut().push(topic.to_owned());
        }
        is_new
    }

    pub(super) fn forget_topic(&self, topic: &str) {
        self.inner.topics.borrow_mut().retain(|known| known != topic);
    }

    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        self.inner.topics.borrow().iter().any(|known| known == topic)
    }
}

impl Drop for Inner {
    /// Ends the task that watches the expiry.
    fn drop(&mut self) {
        self.expiry.end();
        for (_, value) in self.extensions.drain(..) {
            self.shared.discard(value);
        }
        if let Some(user) = self.user.take() {
            self.shared.discard(user);
        }
    }
}

impl fmt::Debug for FeedClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FeedClient")
            .field("remote_ip", &self.inner.remote_ip)
            .field("topics", &self.inner.topics)
            .finish_non_exhaustive()
    }
}
