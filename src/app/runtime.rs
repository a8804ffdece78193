//! The time, the tasks, the stop and the temporary files of the shard, as futures of the application need them.

use core::fmt;
use core::time::Duration;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use super::boxed::LocalBoxFuture;

/// The clock, the tasks, the stop and the temporary files of a shard; the server implements it.
pub trait Runtime {
    /// Returns the time of this turn.
    fn now(&self) -> Instant;

    /// Waits for this long.
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()>;

    /// Runs a future beside the current task.
    fn spawn(&self, future: LocalBoxFuture<'static, ()>);

    /// Waits until a stop of the server begins.
    fn stopping(&self) -> LocalBoxFuture<'static, ()>;

    /// Creates a temporary file.
    fn temporary_file(&self) -> LocalBoxFuture<'static, io::Result<Rc<dyn TemporaryFile>>>;
}

/// A file without a name, which its drop frees; its methods wait for the disk off the shard's thread.
pub trait TemporaryFile {
    /// Appends bytes.
    ///
    /// A future that is dropped may have appended them; await one before the next.
    fn append(&self, bytes: Bytes) -> LocalBoxFuture<'static, io::Result<()>>;

    /// Reads at most `bytes_max` bytes from an offset; none behind the end.
    fn read(&self, offset: u64, bytes_max: usize) -> LocalBoxFuture<'static, io::Result<Bytes>>;
}

impl fmt::Debug for dyn Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Runtime")
    }
}

impl fmt::Debug for dyn TemporaryFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TemporaryFile")
    }
}
