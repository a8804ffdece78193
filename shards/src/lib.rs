//! A thread-per-core runtime: one pinned executor and one io_uring per core, nothing shared between cores.
//!
//! Each core is a *shard*. A shard owns its listeners, connections, tasks and timers; none of them is `Send`, and
//! moving a byte takes no lock. Shards communicate by messages: through a [`Mesh`] of bounded queues, or through
//! [`invoke_on`], which runs a closure on another shard and awaits its result.
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
//! Linux only. Each shard drives its sockets by an io_uring of its own (kernel 6.1 or later) or by epoll. [`preflight`]
//! reports the first missing requirement, [`doctor`] all of them. The executor (glommio) is an implementation detail.

mod balance;
pub mod clock;
mod driver;
mod error;
pub mod file;
mod message;
mod net;
mod os;
mod panics;
mod shard;
mod start;
mod statistics;
mod sync;
mod task;
#[cfg(test)]
mod testing;
mod time;

pub use driver::peer_end::PeerEnd;
pub use driver::{Driver, Received, UnknownDriver};
pub use error::{BoxError, LaunchError};
pub use message::invoke::{InvokeError, Remote, invoke_on, invoke_on_all};
pub use message::links::{BroadcastError, MeshSender, SendError, Source};
pub use message::mesh::{Mesh, QUEUE_MESSAGES_DEFAULT};
pub use net::send_buffer::{SEND_PARTS_MAX, SendBuffer, Sent};
pub use net::{ADDRESSES_MAX, BindError, ConnectError, Listener, Listeners, PeerAddress, Stream};
pub use os::memory;
pub use os::stderr::StandardError;
pub use shard::gate::{Closing, Gate, GateClosed, GateGuard};
pub use shard::id::ShardId;
pub use shard::shard::Shard;
pub use shard::wait_list::{Wait, WaitList};
pub use start::builder::Builder;
pub use start::hand_over::{HandedOver, hand_over};
pub use start::launch::{Shards, Stopper};
pub use start::reload::{Reload, ReloadError, Reloader, Replacement};
pub use start::signal::{Stop, StopSignals};
pub use start::systemd::{InheritedError, InheritedListener, inherited_listeners};
pub use start::{doctor, placement, preflight};
pub use statistics::Statistics;
pub use task::blocking::{BlockingError, BlockingLimits, BlockingPool, BlockingTask};
pub use task::{JoinHandle, TaskPanicked, spawn_blocking, spawn_detached, spawn_local, yield_now};
pub use time::{Deadline, Sleep, sleep, sleep_until, timeout_at};
