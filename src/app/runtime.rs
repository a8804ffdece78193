//! The time, the tasks and the stop of the shard, as futures of the application need them.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use super::boxed::LocalBoxFuture;

/// The clock, the tasks and the stop of a shard; the server implements it.
pub trait Runtime {
    /// Returns the time of this turn.
    fn now(&self) -> Instant;

    /// Waits for this long.
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()>;

    /// Runs a future beside the current task.
    fn spawn(&self, future: LocalBoxFuture<'static, ()>);

    /// Waits until a stop of the server begins.
    fn stopping(&self) -> LocalBoxFuture<'static, ()>;
}

impl fmt::Debug for dyn Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Runtime")
    }
}
