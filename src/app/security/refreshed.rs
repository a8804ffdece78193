//! A value that another server publishes, such as its keys: fetched when a request needs it, and again when it is old.
//!
//! One fetch runs at a time, in a task of its own, so a request that ends does not end the fetch of the others. After a
//! fetch, another one begins at the earliest after a pause. So neither many requests nor many unknown keys make many
//! fetches. While the other server is down, an old value serves for a day.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use crate::app::boxed::LocalBoxFuture;
use crate::app::context::Context;
use crate::error::{Error, HttpError, Result};

/// How old a value may be before it is fetched again: an hour. It bounds how long a key serves that was withdrawn.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// How old a value may be while it cannot be fetched: a day.
const USABLE: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest time between two fetches by default.
const PAUSE: Duration = Duration::from_secs(30);

/// A value that is fetched when it is needed.
pub(crate) struct Refreshed<T> {
    state: Rc<RefCell<State<T>>>,
    pause: Duration,
}

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A value that is not too old.
    Current,
    /// A newer value, because the known one lacks a key.
    Newer,
}

struct State<T> {
    value: Option<Rc<T>>,
    /// When the fetch of the value began.
    fetched: Option<Instant>,
    /// When the last fetch began.
    attempted: Option<Instant>,
    /// Why the last fetch failed.
    failure: Option<String>,
    /// The requests that wait for the fetch under way; `None` without one.
    waiting: Option<Vec<oneshot::Sender<()>>>,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It takes what there is.
    Take,
    /// It takes what there is, and begins a fetch for later requests.
    TakeAndFetch,
    /// It begins a fetch and waits for its end.
    Fetch,
    /// It waits for the end of the fetch under way.
    Wait,
}

impl<T: 'static> Refreshed<T> {
    pub(crate) fn new() -> Self {
        Self {
            state: Rc::new(RefCell::new(State {
                value: None,
                fetched: None,
                attempted: None,
                failure: None,
                waiting: None,
            })),
            pause: PAUSE,
        }
    }

    pub(crate) fn set_pause(&mut self, pause: Duration) {
        self.pause = pause;
    }

    /// Returns the value, which `fetch` fetches if need be.
    ///
    /// # Errors
    ///
    /// 503 without a usable value.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the fetch goes on for later requests.
    pub(crate) async fn get<F>(&self, cx: &Context, need: Need, fetch: impl FnOnce() -> F) -> Result<Rc<T>>
    where
        F: Future<Output = Result<T>> + 'static,
    {
        let runtime = cx.shared.runtime()?;
        let now = runtime.now();
        let step = self.state.borrow().step(need, now, self.pause);
        if matches!(step, Step::Fetch | Step::TakeAndFetch) {
            self.state.borrow_mut().begin(now);
            let (flight, fetched) = (Flight(Rc::clone(&self.state)), fetch());
            runtime.spawn(Box::pin(async move {
                let result = fetched.await;
                flight.0.borrow_mut().keep(result, now);
            }) as LocalBoxFuture<'static, ()>);
        }
        if matches!(step, Step::Fetch | Step::Wait) {
            let end = self.state.borrow_mut().end_of_fetch();
            if let Some(end) = end {
                // The sender is dropped at the end, which is an error here.
                end.await.unwrap_or_default();
            }
        }
        self.state.borrow().usable(runtime.now())
    }
}

impl<T> State<T> {
    fn step(&self, need: Need, now: Instant, pause: Duration) -> Step {
        let is_current = need == Need::Current;
        if is_current && self.is_younger(FRESH, now) {
            return Step::Take;
        }
        let has_one = is_current && self.is_younger(USABLE, now);
        let is_paused = self.attempted.is_some_and(|last| now.duration_since(last) < pause);
        match (self.waiting.is_some(), has_one) {
            (true, true) => Step::Take,
            (true, false) => Step::Wait,
            (false, _) if is_paused => Step::Take,
            (false, true) => Step::TakeAndFetch,
            (false, false) => Step::Fetch,
        }
    }

    fn is_younger(&self, age_max: Duration, now: Instant) -> bool {
        self.fetched
            .is_some_and(|fetched| now.duration_since(fetched) < age_max)
    }

    fn begin(&mut self, now: Instant) {
        self.attempted = Some(now);
        self.waiting = Some(Vec::new());
    }

    /// Keeps what a fetch brought that began at `began`.
    fn keep(&mut self, result: Result<T>, began: Instant) {
        match result {
            Ok(value) => {
                self.value = Some(Rc::new(value));
                self.fetched = Some(began);
                self.failure = None;
            }
            Err(error) => {
                tracing::warn!("{error}");
                self.failure = Some(error.to_string());
            }
        }
    }

    /// What completes at the end of the fetch under way.
    fn end_of_fetch(&mut self) -> Option<oneshot::Receiver<()>> {
        let waiting = self.waiting.as_mut()?;
        let (sender, end) = oneshot::channel();
        waiting.push(sender);
        Some(end)
    }

    fn usable(&self, now: Instant) -> Result<Rc<T>> {
        match &self.value {
            Some(value) if self.is_younger(USABLE, now) => Ok(Rc::clone(value)),
            _ => {
                let reason = self
                    .failure
                    .clone()
                    .unwrap_or_else(|| "its fetch ended early".to_owned());
                Err(Error::from(HttpError::new(503).with_source(reason)))
            }
        }
    }
}

/// A fetch under way: its end, also by a panic, wakes the requests that wait.
struct Flight<T>(Rc<RefCell<State<T>>>);

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        self.0.borrow_mut().waiting = None;
    }
}

impl<T> fmt::Debug for Refreshed<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Refreshed")
            .field("pause", &self.pause)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn empty() -> State<u32> {
        State {
            value: None,
            fetched: None,
            attempted: None,
            failure: None,
            waiting: None,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the start of a made-up time")]
    fn start() -> Instant {
        Instant::now()
    }

    /// A state whose fetch began at `now` and brought a value.
    fn fetched(now: Instant) -> State<u32> {
        let mut state = empty();
        state.begin(now);
        state.keep(Ok(7), now);
        state.waiting = None;
        state
    }

    #[test]
    fn the_first_request_fetches_and_the_others_wait_for_it() {
        let now = start();
        let mut state = empty();
        assert_eq!(state.step(Need::Current, now, PAUSE), Step::Fetch);
        state.begin(now);
        assert_eq!(state.step(Need::Current, now, PAUSE), Step::Wait);
        assert_eq!(state.step(Need::Newer, now, PAUSE), Step::Wait);
        assert!(state.end_of_fetch().is_some());
        state.usable(now).unwrap_err();
    }

    #[test]
    fn an_old_value_serves_while_a_newer_one_is_fetched() {
        let now = start();
        let mut state = fetched(now);
        assert_eq!(state.step(Need::Current, now + FRESH - SECOND, PAUSE), Step::Take);
        let later = now + FRESH;
        assert_eq!(state.step(Need::Current, later, PAUSE), Step::TakeAndFetch);
        state.begin(later);
        assert_eq!(state.step(Need::Current, later, PAUSE), Step::Take);
        state.keep(Err(Error::new("down")), later);
        state.waiting = None;
        assert_eq!(*state.usable(later).unwrap(), 7);
        let last = now + USABLE;
        assert_eq!(state.step(Need::Current, last, PAUSE), Step::Fetch);
        assert_eq!(state.usable(last).unwrap_err().status(), 503);
    }

    #[test]
    fn unknown_keys_make_at_most_one_fetch_in_a_pause() {
        let now = start();
        let state = fetched(now);
        assert_eq!(state.step(Need::Newer, now + PAUSE - SECOND, PAUSE), Step::Take);
        assert_eq!(state.step(Need::Newer, now + PAUSE, PAUSE), Step::Fetch);
    }

    #[test]
    fn a_failed_fetch_is_repeated_after_a_pause() {
        let now = start();
        let mut state = empty();
        state.begin(now);
        state.keep(Err(Error::new("down")), now);
        state.waiting = None;
        assert_eq!(state.step(Need::Current, now + PAUSE - SECOND, PAUSE), Step::Take);
        assert!(
            state
                .usable(now)
                .unwrap_err()
                .source()
                .unwrap()
                .to_string()
                .contains("down")
        );
        assert_eq!(state.step(Need::Current, now + PAUSE, PAUSE), Step::Fetch);
    }

    #[test]
    fn the_end_of_a_fetch_wakes_the_requests_that_wait_even_by_a_panic() {
        let state = Rc::new(RefCell::new(empty()));
        state.borrow_mut().begin(start());
        let mut end = state.borrow_mut().end_of_fetch().unwrap();
        drop(Flight(Rc::clone(&state)));
        end.try_recv().unwrap_err();
        assert!(state.borrow().waiting.is_none());
    }
}
