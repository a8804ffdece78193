//! Timers for tasks: precise sleeps, and coarse deadlines that cost one store to postpone.
//!
//! They rest on two pure structures, the [`wheel`] and the [`sleeps`]. The driver asks [`Timers::next_deadline`] when to
//! wake, and the turn calls [`Timers::expire`].

mod deadline;
mod expiry;
mod sleep;
pub(crate) mod sleeps;
mod timeout;
mod timers;
pub(crate) mod wheel;

pub use deadline::Deadline;
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::timeout_at;
pub(crate) use timers::Timers;
