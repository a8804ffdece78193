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
pub(super) struct WorkNote(OnceCell<Arc<AtomicUsize>>);

/// Work that can be taken up again: the number of a name in [`App::work_names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work(usize);

impl App {
    /// The names of what this application can be at: its routes, and last what answers where there is none.
    #[must_use]
    pub fn work_names(&self) -> Arc<[String]> {
        let routes = self.router.patterns().map(|pattern| format!("the route {pattern}"));
        routes.chain(["a path without a route".to_owned()]).collect()
    }

    /// Has the application say what it is at: an index into [`work_names`](Self::work_names). The first place asked for stays.
    pub fn note_work_in(&self, place: Arc<AtomicUsize>) {
        self.work.0.get_or_init(|| place);
    }

    /// What it is at, for [`resume_work`](Self::resume_work).
    #[must_use]
    pub fn work(&self) -> Work {
        Work(self.work.0.get().map_or(0, |place| place.load(Ordering::Relaxed)))
    }

    /// Says that it goes on with this.
    pub fn resume_work(&self, work: Work) {
        if let Some(place) = self.work.0.get() {
            place.store(work.0, Ordering::Relaxed);
        }
    }

    /// Says that a route is at work; `None` where there is none for the request.
    pub(super) fn begin_work(&self, route: Option<usize>) {
        self.resume_work(Work(route.unwrap_or(self.router.len())));
    }
}
