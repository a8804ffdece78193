//! The active route: which route the application now serves, readable from other threads.
//!
//! The watchdog of the shards reads it, and names the route in its report when a handler blocks a shard.
//!
//! Loads and stores are relaxed, because no thread waits for the value. At worst, a report names the route of the
//! request before.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::cell::OnceCell;
use std::sync::Arc;

use super::dispatch::App;

/// The place where the application stores its active route; empty until a server sets it.
#[derive(Debug, Default)]
pub(super) struct ActiveRouteSlot(OnceCell<Arc<AtomicUsize>>);

/// The index of a route's label in [`App::route_labels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveRoute(usize);

impl App {
    /// Returns the label of each route, and last the label of requests without a route.
    #[must_use]
    pub fn route_labels(&self) -> Arc<[String]> {
        let routes = self.router.patterns().map(|pattern| format!("the route {pattern}"));
        routes.chain(["a path without a route".to_owned()]).collect()
    }

    /// Sets where the application stores its active route, as an index into [`route_labels`](Self::route_labels).
    ///
    /// Only the first call has an effect.
    pub fn report_active_route_to(&self, place: Arc<AtomicUsize>) {
        self.active_route.0.get_or_init(|| place);
    }

    /// Returns the active route, for a later [`set_active_route`](Self::set_active_route).
    #[must_use]
    pub fn active_route(&self) -> ActiveRoute {
        ActiveRoute(
            self.active_route
                .0
                .get()
                .map_or(0, |place| place.load(Ordering::Relaxed)),
        )
    }

    /// Sets the active route, before a handler is polled again.
    pub fn set_active_route(&self, route: ActiveRoute) {
        if let Some(place) = self.active_route.0.get() {
            place.store(route.0, Ordering::Relaxed);
        }
    }

    /// Sets the active route by its index; `None` for a request without a route.
    pub(super) fn enter_route(&self, route: Option<usize>) {
        self.set_active_route(ActiveRoute(route.unwrap_or(self.router.len())));
    }
}
