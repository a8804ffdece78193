//! Timers for tasks: precise sleeps, and coarse deadlines that cost one store to postpone.
//!
//! Both rest on a pure structure, the [`schedule`]. The driver asks [`Timers::next_deadline`] when to wake, and the turn
//! calls [`Timers::expire`].

mod deadline;
pub(crate) mod schedule;
mod sleep;
mod timeout;
mod timers;

pub use deadline::Deadline;
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::timeout_at;
pub(crate) use timers::Timers;
