//! Tasks of a shard: futures that stay on its thread and are polled when woken.

pub(crate) mod blocking;
mod join;
mod panicked;
mod queue;
mod remote_wakes;
mod spawn;
mod tasks;
mod waker;

pub use join::JoinHandle;
pub use panicked::TaskPanicked;
pub(crate) use spawn::{caught, spawn_from};
pub use spawn::{spawn_blocking, spawn_detached, spawn_local, yield_now};
pub(crate) use tasks::Tasks;
