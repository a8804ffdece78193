//! Which route the application works for, said where another thread can read it: what watches over shards names it when a handler
//! keeps one from its connections.
//!
//! Nobody waits for these numbers, so they are stored and read without any order: at worst a report names the request before.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::cell::OnceCell;
use std::sync::Arc;

use super::dispatch::App;

/// Where the application says what it is at; nowhere until somebody asks for it.
#[derive(Debug, Default)]
pub(super) struct ActiveRouteSlot(OnceCell<Arc<AtomicUsize>>);

/// ActiveRoute that can be taken up again: the number of a name in [`App::route_labels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveRoute(usize);

impl App {
    /// The names of what this application can be at: its routes, and last what answers where there is none.
    #[must_use]
    pub fn route_labels(&self) -> Arc<[String]> {
        let routes = self.router.patterns().map(|pattern| format!("the route {pattern}"));
        routes.chain(["a path without a route".to_owned()]).collect()
    }

    /// Has the application say what it is at: an index into [`route_labels`](Self::route_labels). The first place asked for stays.
    pub fn report_active_route_to(&self, place: Arc<AtomicUsize>) {
        self.active_route.0.get_or_init(|| place);
    }

    /// What it is at, for [`set_active_route`](Self::set_active_route).
    #[must_use]
    pub fn active_route(&self) -> ActiveRoute {
        ActiveRoute(
            self.active_route
                .0
                .get()
                .map_or(0, |place| place.load(Ordering::Relaxed)),
        )
    }

    /// Says that it goes on with this.
    pub fn set_active_route(&self, work: ActiveRoute) {
        if let Some(place) = self.active_route.0.get() {
            place.store(work.0, Ordering::Relaxed);
        }
    }

    /// Says that a route is at work; `None` where there is none for the request.
    pub(super) fn enter_route(&self, route: Option<usize>) {
        self.set_active_route(ActiveRoute(route.unwrap_or(self.router.len())));
    }
}
