//! What a shard counts. Every shed, pause and fallback has a number here, so that tests and operators can see it happen.

use crate::driver::Driver;

/// A shard's numbers at one moment. Counters only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// What drives the sockets: never [`Driver::Auto`] on a running shard.
    pub driver: Driver,
    /// Tasks alive.
    pub tasks: usize,
    /// Deadlines and sleeps alive.
    pub timers: usize,
    /// Sockets open, those that are still connecting or closing included.
    pub streams: usize,
    /// Listeners open.
    pub listeners: usize,
    /// Polls of tasks.
    pub polls: u64,
    /// Turns of the shard: each looks at all sockets once.
    pub turns: u64,
    /// Turns in which the shard had nothing to do and slept.
    pub sleeps: u64,
    /// io_uring: receive buffers that are not held by anybody.
    pub receive_buffers_available: usize,
    /// io_uring: calls of `io_uring_enter`.
    pub ring_enters: u64,
    /// io_uring: completions taken from the ring.
    pub completions: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Times accepting paused for want of descriptors or memory.
    pub accept_pauses: u64,
    /// io_uring: receives that ended for want of a receive buffer and were armed again.
    pub receives_parked: u64,
    /// io_uring: receives into a buffer of the connection's own, because the shared ones were short.
    pub receives_plain: u64,
    /// io_uring: receives cancelled because a connection held as many buffers as it may.
    pub receives_over_quota: u64,
    /// Times tasks have kept the shard from its sockets for 25 ms or more, one that lasts included.
    pub stalls: u64,
    /// Those of them during which new TCP connections went to the other shards.
    pub stalls_shed: u64,
    /// The longest stall.
    pub longest_stall: std::time::Duration,
    /// io_uring: completions that belonged to nobody.
    pub completions_stale: u64,
    /// io_uring: turns in which the completion queue had overflowed. The kernel keeps what overflows; nothing is lost.
    pub completion_overflows: u64,
}
