//! Waiting for the peer to go: Tornado's `on_connection_close` as a future.

use core::fmt;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::rc::Rc;

use super::Channel;
use super::waker::store;

/// A future that ends when the peer has gone, or when its request is over.
///
/// It borrows nothing, so a handler can select between it and its own work.
///
/// # Cancel safety
///
/// Cancel safe: another [`Closed`] of the request ends at the same time.
#[must_use = "it waits only when awaited"]
pub struct Closed {
    channel: Rc<Channel>,
    request: u64,
    place: Option<usize>,
}

impl Channel {
    /// A future that ends when the peer has gone.
    pub(in crate::app) fn closed(self: &Rc<Self>) -> Closed {
        Closed::new(self)
    }
}

impl Closed {
    pub(super) fn new(channel: &Rc<Channel>) -> Self {
        Self {
            channel: Rc::clone(channel),
            request: channel.presence.borrow().request,
            place: None,
        }
    }
}

impl Future for Closed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut presence = this.channel.presence.borrow_mut();
        if presence.is_gone || presence.request != this.request {
            return Poll::Ready(());
        }
        let wakers = &mut presence.wakers;
        let place = *this.place.get_or_insert_with(|| {
            wakers.iter().position(Option::is_none).unwrap_or_else(|| {
                wakers.push(None);
                wakers.len() - 1
            })
        });
        if let Some(stored) = wakers.get_mut(place) {
            store(stored, task.waker());
        }
        Poll::Pending
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let mut presence = self.channel.presence.borrow_mut();
        if presence.request == self.request
            && let Some(stored) = self.place.and_then(|place| presence.wakers.get_mut(place))
        {
            let waker = stored.take();
            drop(presence);
            drop(waker);
        }
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Closed").finish_non_exhaustive()
    }
}
