//! The io_uring driver: a shard's ring carries all its sockets, and the shard sleeps in it. glommio runs the thread's
//! executor beside it.
//!
//! Set up with `SINGLE_ISSUER | DEFER_TASKRUN`: only the shard's thread enters the ring, and the kernel does its share
//! of the work inside our `io_uring_enter`. `TASKRUN_FLAG` shows whether such work exists. It matters because an enter
//! that waits for no completion does at most 20 pieces of work.
//!
//! ```text
//!        accept, receive (multishot)          sends, queued during a turn
//!   kernel ──────────────────────► turn ─────────────────────────────► kernel
//!                                   │  one io_uring_enter a turn
//!                   wakes tasks ◄───┘
//! ```
//!
//! Files along a byte's way: [`turn`] → [`operation`] → [`streams`] → [`received`]. They take completions out of the
//! ring, find their slot, put bytes into it and wake the task, and are what the task gets. [`buffers`] is the pool the
//! kernel receives into, [`send`] what it sends from. Sockets come from [`listeners`] and [`connect`]. [`request`]
//! makes all requests, and [`uring`] ends them before their memory is freed.
//!
//! This folder is one of two places where the workspace allows `unsafe`: it shares memory with the kernel.

mod buffers;
mod config;
mod connect;
mod listeners;
#[cfg(test)]
mod lost_end;
mod memory;
mod operation;
#[cfg(test)]
mod poll_first;
mod probe;
mod received;
mod request;
mod ring;
mod send;
mod setup;
mod slots;
mod states;
mod streams;
mod timer;
mod turn;
mod uring;
mod wakers;

pub(crate) use config::{RingConfig, SETUP_FLAGS, ring_builder};
pub(crate) use connect::Connecting;
pub(crate) use listeners::ListenerSocket;
pub(crate) use probe::probe_multishot;
pub(crate) use received::Provided;
pub(crate) use ring::Ring;
pub(crate) use streams::StreamSocket;
