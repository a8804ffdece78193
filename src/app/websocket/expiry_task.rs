//! The end of what a socket was opened with, such as a token: the client is asked for another, and then cut.
//!
//! ```text
//!   expires_at ── {"expiring":5} ──▶ client ── {"refresh":"TOKEN"} ──▶ on_refresh ── expires_at, later
//!        └── 5 s later, unless a later time was set: closes with 4401
//! ```

use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use std::rc::{Rc, Weak};
use std::time::Instant;

use serde::Deserialize;

use super::expiry::{Expiry, UNAUTHORIZED};
use super::socket_state::SocketState;
use crate::app::runtime::Runtime;
use crate::websocket::Message;

/// How long the client has to refresh: 5 s, some round trips to a login server.
const GRACE: Duration = Duration::from_secs(5);

/// What a client answers to the notice.
#[derive(Deserialize)]
struct Refresh {
    refresh: String,
}

/// Sets when a socket expires, and starts the task that waits for it.
pub(super) fn set_expiry(state: &Rc<SocketState>, runtime: &dyn Runtime, at: Option<Instant>) {
    let expiry = state.expiry();
    expiry.set(at);
    if at.is_some() && !expiry.is_watched.replace(true) {
        runtime.spawn(Box::pin(watch(Rc::downgrade(state), Rc::clone(expiry))));
    }
}

/// The token of a message that refreshes the socket; `None` for any other message, and without an expiry.
pub(super) fn refresh_token(state: &SocketState, message: &Message) -> Option<String> {
    state.expires_at()?;
    let text = message.as_str()?;
    if !text.starts_with("{\"refresh\"") {
        return None;
    }
    let refresh: Refresh = serde_json::from_str(text).ok()?;
    Some(refresh.refresh)
}

/// Waits until a socket expires, asks its client, and closes it.
async fn watch(socket: Weak<SocketState>, expiry: Rc<Expiry>) {
    while let Some(at) = expiry.at() {
        wait_until(&socket, &expiry, at, at).await;
        if expiry.at() != Some(at) {
            continue;
        }
        let Some(state) = socket.upgrade() else { break };
        let notice = format!("{{\"expiring\":{}}}", GRACE.as_secs());
        // A peer that does not read is cut soon anyway.
        state.duplex().try_send(&Message::from(notice)).unwrap_or_default();
        drop(state);
        wait_until(&socket, &expiry, at, at + GRACE).await;
        if expiry.at() == Some(at) {
            if let Some(state) = socket.upgrade() {
                state.close(UNAUTHORIZED, "expired");
            }
            break;
        }
    }
    expiry.is_watched.set(false);
}

/// Waits until a moment, or until the expiry is another than `at`.
async fn wait_until(socket: &Weak<SocketState>, expiry: &Expiry, at: Instant, moment: Instant) {
    let sleep = socket.upgrade().and_then(|state| {
        let runtime = state.shared.runtime().ok()?;
        Some(runtime.sleep(moment.saturating_duration_since(runtime.now())))
    });
    let Some(mut sleep) = sleep else { return };
    poll_fn(|task| {
        if expiry.at() != Some(at) {
            return Poll::Ready(());
        }
        expiry.set_waker(task.waker());
        sleep.as_mut().poll(task)
    })
    .await;
}
