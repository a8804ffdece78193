//! The counters of a shard: each shed connection, pause and fallback is visible to tests and operators here.

use crate::driver::Driver;

/// A shard's numbers at one moment; counters never decrease.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// The driver of the sockets, never [`Driver::Auto`] on a running shard.
    pub driver: Driver,
    /// Live tasks.
    pub tasks: usize,
    /// Live deadlines and sleeps.
    pub timers: usize,
    /// Open sockets, including those connecting or closing.
    pub streams: usize,
    /// Open listeners.
    pub listeners: usize,
    /// Polls of tasks.
    pub polls: u64,
    /// Turns of the shard; each looks at all sockets once.
    pub turns: u64,
    /// Turns in which the shard was idle and slept.
    pub sleeps: u64,
    /// io_uring: free receive buffers.
    pub receive_buffers_available: usize,
    /// io_uring: calls of `io_uring_enter`.
    pub ring_enters: u64,
    /// io_uring: completions taken from the ring.
    pub completions: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Pauses of accepting for lack of descriptors or memory.
    pub accept_pauses: u64,
    /// io_uring: receives that ended for lack of a receive buffer and were armed again.
    pub receives_parked: u64,
    /// io_uring: receives into a connection's own buffer, because the shared ones ran short.
    pub receives_plain: u64,
    /// io_uring: receives cancelled because a connection held its maximum of buffers.
    pub receives_over_quota: u64,
    /// Times that tasks ran for 25 ms or more without a look at the sockets, including one still running.
    pub stalls: u64,
    /// Stalls during which new TCP connections went to the other shards.
    pub stalls_shed: u64,
    /// The longest stall.
    pub longest_stall: std::time::Duration,
    /// io_uring: completions for a slot already reused.
    pub completions_stale: u64,
    /// io_uring: turns with an overflowed completion queue; the kernel keeps the overflow, so nothing is lost.
    pub completion_overflows: u64,
}
