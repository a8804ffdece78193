//! The time, the randomness, the tasks, the stop and the temporary files of the shard, as futures of the application need them.

use core::any::{Any, TypeId};
use core::fmt;
use core::time::Duration;
use std::io;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;

use super::boxed::LocalBoxFuture;
use super::websocket::SocketOwner;
use crate::error::Result;

/// The clocks, the randomness, the tasks, the stop and the temporary files of a shard; the server implements it.
pub trait Runtime {
    /// Returns the time of this turn.
    fn now(&self) -> Instant;

    /// Returns the wall-clock time, for dates that leave this process.
    fn wall(&self) -> SystemTime;

    /// Fills a buffer with random bytes that no client can predict.
    ///
    /// # Errors
    ///
    /// The kernel gives none.
    fn fill_random(&self, bytes: &mut [u8]) -> io::Result<()>;

    /// Waits for this long.
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()>;

    /// Runs a future beside the current task.
    fn spawn(&self, future: LocalBoxFuture<'static, ()>);

    /// Returns the index of this shard.
    fn shard(&self) -> usize;

    /// Returns the number of shards.
    fn shard_count(&self) -> usize;

    /// Runs work on a shard, with the state of that shard's application; the future waits for room in its queue.
    ///
    /// # Errors
    ///
    /// The shard does not exist, does not serve or has ended.
    fn on_shard(&self, shard: usize, work: ShardWork) -> LocalBoxFuture<'static, Result>;

    /// Runs a long computation off the shards; the future waits for its end.
    ///
    /// # Errors
    ///
    /// 503 if that memory is short, or if too many computations wait; 500 if it panicked.
    fn compute(&self, memory_bytes: usize, work: Box<dyn FnOnce() + Send>) -> LocalBoxFuture<'static, Result>;

    /// Waits until a stop of the server begins.
    fn stopping(&self) -> LocalBoxFuture<'static, ()>;

    /// Creates a temporary file.
    fn temporary_file(&self) -> LocalBoxFuture<'static, io::Result<Rc<dyn TemporaryFile>>>;
}

/// Work for another shard.
pub type ShardWork = Box<dyn FnOnce(&dyn LocalState) + Send>;

/// The state of a shard's application, and its sockets.
pub trait LocalState {
    /// Returns the state of a type, if the application has some.
    fn find(&self, kind: TypeId) -> Option<Rc<dyn Any>>;

    /// Closes the WebSockets of an owner, and returns how many were open.
    fn close_sockets(&self, owner: &SocketOwner) -> usize;
}

/// The state of type `T` of a shard's application.
pub(super) fn find_state<T: 'static>(state: &dyn LocalState) -> Option<Rc<T>> {
    state.find(TypeId::of::<T>())?.downcast().ok()
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
