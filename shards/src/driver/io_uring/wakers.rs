//! Keeping the waker of a waiting task, and waking it.

use std::task::{Context, Waker};

/// Stores the waker of the waiting task, without cloning it again for the same task.
pub(super) fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Wakes outside every borrow, because a waker may run application code.
pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
