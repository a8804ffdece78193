//! A fetch that waits for a connection, and what it is granted.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::address::Endpoint;
use super::connection::Connection;
use super::lease::Lease;

/// What a fetch may use.
#[allow(
    clippy::large_enum_variant,
    reason = "moved once for each fetch; a box would cost an allocation"
)]
#[derive(Debug)]
pub(super) enum Grant {
    /// A connection that has served before.
    Connection(Connection),
    /// A place for a new one.
    Place(Lease),
}

/// A fetch in the queue of a pool.
pub(super) struct Waiter {
    pub(super) endpoint: Rc<Endpoint>,
    /// Only a new connection will do.
    pub(super) is_fresh: bool,
    grant: RefCell<Option<Grant>>,
    waker: RefCell<Option<Waker>>,
    /// Whether the fetch has taken its grant.
    is_over: Cell<bool>,
}

impl Waiter {
    pub(super) fn new(endpoint: Rc<Endpoint>, is_fresh: bool) -> Self {
        Self {
            endpoint,
            is_fresh,
            grant: RefCell::default(),
            waker: RefCell::default(),
            is_over: Cell::new(false),
        }
    }

    /// Grants it something, once.
    pub(super) fn grant(&self, grant: Grant) {
        self.grant.replace(Some(grant));
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the grant and takes it.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Grant> {
        if let Some(grant) = self.take() {
            self.is_over.set(true);
            return Poll::Ready(grant);
        }
        let before = self.waker.replace(Some(cx.waker().clone()));
        drop(before);
        Poll::Pending
    }

    pub(super) fn take(&self) -> Option<Grant> {
        self.grant.take()
    }

    /// Whether the fetch has taken its grant.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }
}
