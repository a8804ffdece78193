//! A thread-per-core runtime: one pinned executor and one io_uring a core, and nothing shared between them.
//!
//! Each core is a *shard*. A shard owns its listeners, connections, tasks and timers; nothing of it is `Send`, and no lock is
//! taken on the way of a byte. Shards talk by message: through a [`Mesh`] of bounded queues, or by [`invoke_on`], which runs a
//! closure on another shard and awaits its answer.
//!
//! ```no_run
//! use squall_shards::{Builder, Listeners, spawn_detached};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shards = Builder::new().build()?;
//! let listeners = Listeners::bind_tcp("127.0.0.1:7000".parse()?, shards.count())?;
//! shards.run(move |_shard| {
//!     let listeners = listeners.clone();
//!     async move {
//!         let Some(listener) = listeners.open() else { return Ok(()) };
//!         loop {
//!             let stream = listener.accept().await?;
//!             spawn_detached(async move {
//!                 while let Ok(Some(received)) = stream.receive().await {
//!                     let echo = received.to_vec();
//!                     drop(received);
//!                     if stream.send(echo).await.is_err() {
//!                         break;
//!                     }
//!                 }
//!             });
//!         }
//!     }
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! Linux only. Sockets go through an io_uring of the shard's own (kernel 6.1 or later); [`preflight`] says in a sentence what is
//! missing where it is, and [`doctor`] everything at once. glommio runs the executors and is not seen from outside.

mod blocking;
mod buffer_pool;
mod builder;
mod cgroup;
pub mod clock;
pub mod doctor;
mod driver;
mod epoll;
mod error;
mod executor;
mod gate;
mod imbalance;
mod inbox;
mod invoke;
mod launch;
mod ledger;
pub mod memory;
mod mesh;
mod net;
mod panics;
mod peer_end;
pub mod placement;
pub mod preflight;
#[expect(unsafe_code, reason = "memory shared with the kernel; see the folder's own head")]
mod ring;
mod send_buffer;
mod shard;
mod shard_exits;
mod signal;
mod statistics;
mod stderr;
mod sync;
#[expect(unsafe_code, reason = "the few system calls that no safe crate offers")]
mod sys;
mod systemd;
mod task;
#[cfg(test)]
mod testing;
mod timer;
mod turn;
mod wait_queue;
mod wake_flag;
mod watchdog;

pub use blocking::{BlockingError, BlockingLimits, BlockingPool, BlockingTask};
pub use builder::Builder;
pub use driver::{Driver, Received, UnknownDriver};
pub use error::{BoxError, LaunchError};
pub use gate::{Closing, Gate, GateClosed, GateGuard};
pub use invoke::{InvokeError, Remote, invoke_on, invoke_on_all};
pub use launch::{Shards, Stopper};
pub use mesh::{BroadcastError, Mesh, MeshSender, QUEUE_MESSAGES_DEFAULT, SendError, Source};
pub use net::{ADDRESSES_MAX, BindError, ConnectError, Listener, Listeners, PeerAddress, Stream};
pub use peer_end::PeerEnd;
pub use send_buffer::{SEND_PARTS_MAX, SendBuffer, Sent};
pub use shard::{Shard, ShardId};
pub use signal::Stop;
pub use statistics::Statistics;
pub use stderr::StandardError;
pub use systemd::{InheritedError, InheritedListener, inherited_listeners};
pub use task::{JoinHandle, TaskPanicked, spawn_blocking, spawn_detached, spawn_local, yield_now};
pub use timer::{Deadline, Sleep, sleep, sleep_until, timeout_at};
