//! The active route: which route the application now serves, readable from other threads.
//!
//! The watchdog of the shards reads it, and names the route in its report when a handler blocks a shard. The shard clears
//! it before it polls a task, so the future of a request sets it at each poll.
//!
//! Loads and stores are relaxed, because no thread waits for the value. At worst, a report names the route of the
//! request before.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::cell::OnceCell;
use std::sync::Arc;

/// The place where the application stores its active route; empty until a server sets it.
#[derive(Debug, Default)]
pub(super) struct ActiveRouteSlot(OnceCell<Arc<AtomicUsize>>);

/// The index of a route's label in [`Shared::route_labels`](super::Shared::route_labels).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveRoute(usize);

impl ActiveRoute {
    pub(super) const fn new(index: usize) -> Self {
        Self(index)
    }

    /// Returns the index of the route; that of no route is the number of routes.
    pub(super) const fn index(self) -> usize {
        self.0
    }
}

impl ActiveRouteSlot {
    /// Sets the place; only the first call has an effect.
    pub(super) fn report_to(&self, place: Arc<AtomicUsize>) {
        self.0.get_or_init(|| place);
    }

    pub(super) fn get(&self) -> ActiveRoute {
        ActiveRoute(self.0.get().map_or(0, |place| place.load(Ordering::Relaxed)))
    }

    #[inline]
    pub(super) fn set(&self, route: ActiveRoute) {
        if let Some(place) = self.0.get() {
            place.store(route.0, Ordering::Relaxed);
        }
    }
}
