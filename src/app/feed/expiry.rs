//! The end of a client's token: a notice before, and a close with a code of its own after.

use core::cell::Cell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::rc::Rc;
use std::time::Instant;

use super::reply::Reply;
use crate::app::shared::Shared;
use crate::app::topics::{Notify, Recipient as _};
use crate::app::websocket::WebSocket;

/// How long after its time an expired socket closes, so that a refresh on its way still counts.
const GRACE: Duration = Duration::from_secs(5);

/// The code of an expired socket: 4401, after the status 401.
const EXPIRED: u16 = 4401;

/// When a socket expires.
pub(super) struct Expiry {
    expires_at: Cell<Option<Instant>>,
    /// How long before its end the client is asked for another token.
    notice_before: Duration,
    is_watched: Cell<bool>,
    is_over: Cell<bool>,
    /// Wakes the task that watches.
    changed: Notify,
}

impl Expiry {
    pub(super) fn new(notice_before: Duration) -> Rc<Self> {
        Rc::new(Self {
            expires_at: Cell::new(None),
            notice_before,
            is_watched: Cell::new(false),
            is_over: Cell::new(false),
            changed: Notify::default(),
        })
    }

    /// Sets the end of the socket; the first call starts the task that watches it.
    pub(super) fn set(self: &Rc<Self>, lifetime: Duration, ws: &WebSocket, shared: &Rc<Shared>) {
        let Ok(runtime) = shared.runtime() else { return };
        self.expires_at.set(runtime.now().checked_add(lifetime));
        self.changed.notify();
        if !self.is_watched.replace(true) {
            runtime.spawn(Box::pin(watch(Rc::clone(self), ws.clone(), Rc::clone(shared))));
        }
    }

    /// Ends the watch: the socket is over.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        self.changed.notify();
    }

    /// Does what is due, and returns the wait for the next step; `None` at the end.
    fn step(
        &self,
        notified: &mut Option<Instant>,
        ws: &WebSocket,
        shared: &Shared,
    ) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
        if self.is_over.get() || !ws.is_open() {
            return None;
        }
        let runtime = shared.runtime().ok()?;
        let (now, expires_at) = (runtime.now(), self.expires_at.get()?);
        if *notified != Some(expires_at) {
            let notice_at = expires_at.checked_sub(self.notice_before).unwrap_or(now);
            if now < notice_at {
                return Some(runtime.sleep(notice_at - now));
            }
            *notified = Some(expires_at);
            let notice = Reply::expiring(expires_at.saturating_duration_since(now));
            // A client that takes nothing is closed all the same.
            ws.try_send(notice.text()).unwrap_or_default();
        }
        let closes_at = expires_at + GRACE;
        if now < closes_at {
            return Some(runtime.sleep(closes_at - now));
        }
        ws.close(EXPIRED, "expired").unwrap_or_default();
        None
    }
}

/// Watches the expiry of one socket until it ends.
async fn watch(expiry: Rc<Expiry>, ws: WebSocket, shared: Rc<Shared>) {
    // The expiry that the client was notified of.
    let mut notified = None;
    while let Some(mut sleep) = expiry.step(&mut notified, &ws, &shared) {
        poll_fn(|task| {
            let is_due = sleep.as_mut().poll(task).is_ready();
            if is_due || expiry.changed.poll_notified(task).is_ready() {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Expiry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Expiry")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
