//! How many shards, where, with what sizes: said once, checked before anything starts.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::launch::{RunConfig, Shards};
use super::placement;
use crate::driver::Driver;
use crate::driver::io_uring::RingConfig;
use crate::error::LaunchError;
use crate::message::inbox::Inbox;
use crate::shard::shard::ShardId;
use crate::task::blocking::BlockingLimits;

/// Settings of a set of shards. Every number has a default that suits a server; [`build`](Self::build) checks them against
/// each other and the machine.
#[derive(Debug, Clone)]
pub struct Builder {
    shards: Option<usize>,
    default_shards_max: NonZeroUsize,
    driver: Driver,
    thread_name: String,
    run_config: RunConfig,
    cpus: Option<Vec<usize>>,
    blocking_threads_max: usize,
    ring: RingConfig,
}

/// More shards than this is a mistyped number: the mesh has a queue for each pair of them.
const SHARDS_MAX: usize = 1024;
/// The kernel's bounds on the two rings.
const SUBMISSION_ENTRIES_MAX: u32 = 32_768;
const RECEIVE_BUFFERS_MAX: u16 = 32_768;

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Starts from the defaults: one shard for each core this process may use, each pinned to its core.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shards: None,
            default_shards_max: NonZeroUsize::MAX,
            driver: Driver::Auto,
            thread_name: "shard".to_owned(),
            run_config: RunConfig::default(),
            cpus: None,
            blocking_threads_max: 16,
            ring: RingConfig::default(),
        }
    }

    /// How many shards. By default as many as cores this process may really use: its affinity mask, and its cgroup's quota.
    #[must_use]
    pub fn shards(mut self, count: usize) -> Self {
        self.shards = Some(count);
        self
    }

    /// How many shards there are at the most where [`shards`](Self::shards) does not say; as many as cores by default.
    #[must_use]
    pub fn default_shards_max(mut self, count: NonZeroUsize) -> Self {
        self.default_shards_max = count;
        self
    }

    /// What drives the sockets; [`Driver::Auto`] by default. [`Shards::driver`] says what it has come to.
    #[must_use]
    pub fn driver(mut self, driver: Driver) -> Self {
        self.driver = driver;
        self
    }

    /// The threads are named this and the number of their shard; `shard` by default. Linux shows the first 15 bytes.
    /// A NUL byte in it is an error of [`build`](Self::build).
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Whether SIGTERM and SIGINT stop the shards, a second one at once; not by default.
    #[must_use]
    pub fn stop_on_signals(mut self, stop: bool) -> Self {
        self.run_config.stop_on_signals = stop;
        self
    }

    /// How long after [`Stop::Graceful`](crate::Stop::Graceful) every `main` has ended at the latest; without end by default. Shards that
    /// have not ended two seconds after that, or after [`Stop::Now`](crate::Stop::Now), are left behind, and
    /// [`run`](Shards::run) returns [`LaunchError::Overdue`]: a task that computes or blocks hears nothing.
    #[must_use]
    pub fn graceful_stop_max(mut self, time: Duration) -> Self {
        self.run_config.graceful_stop_max = Some(time);
        self
    }

    /// Whether new TCP connections go to the other shards while a shard has at least 512 connections and a third more than its share,
    /// as they do while it stalls ([`Listeners::bind_tcp`](crate::Listeners::bind_tcp)); not by default. It suits long
    /// connections: beside some of those, all short ones would go to the shards that have few long ones.
    #[must_use]
    pub fn balance(mut self, balance: bool) -> Self {
        self.run_config.balances = balance;
        self
    }

    /// Which CPUs the shards are pinned to, in the order of the shards; the numbers are those of the kernel. By default all that this
    /// process may use. There are as many shards as CPUs, unless [`shards`](Self::shards) says otherwise. A CPU that this process may not
    /// use, or that is named twice, is an error of [`build`](Self::build).
    #[must_use]
    pub fn cpus(mut self, chosen: impl Into<Vec<usize>>) -> Self {
        self.cpus = Some(chosen.into());
        self
    }

    /// How many threads the pool for blocking work may have, 16 by default; started when needed, off the shards' cores.
    #[must_use]
    pub fn blocking_threads_max(mut self, threads: usize) -> Self {
        self.blocking_threads_max = threads;
        self
    }

    /// io_uring: entries of each shard's submission queue, a power of two, 1024 by default; the completion queue has four times as many.
    /// More are submitted early, fewer cost memory in the kernel: 64 bytes each.
    #[must_use]
    pub fn submission_entries(mut self, entries: u32) -> Self {
        self.ring.submission_entries = entries;
        self
    }

    /// How many buffers each shard receives into, a power of two, 1024 by default, and the bytes of each, 4096 by default: a whole
    /// request of nearly every client. A buffer is held for one turn; when there are too few, connections receive into memory
    /// of their own. With epoll only the bytes matter.
    #[must_use]
    pub fn receive_buffers(mut self, count: u16, bytes: u32) -> Self {
        self.ring.receive_buffers = count;
        self.ring.receive_buffer_bytes = bytes;
        self
    }

    /// io_uring: how many received buffers one connection may hold unread, 16 by default, before it is not received from any more. What the
    /// kernel has taken for it before it hears of that, at most a quarter of all buffers, comes on top.
    #[must_use]
    pub fn receive_buffers_per_stream_max(mut self, count: u16) -> Self {
        self.ring.receive_buffers_per_stream_max = count;
        self
    }

    /// How long a shard watches its sockets before it sleeps; not at all by default. 50 µs more than halve the latency of a lightly
    /// loaded server on a virtual machine, and use the core meanwhile.
    #[must_use]
    pub fn spin(mut self, duration: Duration) -> Self {
        self.ring.spin = duration;
        self
    }

    /// Checks the settings and the machine, and prepares what shards and other threads share.
    ///
    /// # Errors
    ///
    /// A setting is out of its bounds, or the machine lacks something; one sentence says what and how to mend it.
    pub fn build(self) -> Result<Shards, LaunchError> {
        self.check()?;
        let mut available = placement::available();
        if let Some(chosen) = &self.cpus {
            available = available
                .only(chosen)
                .map_err(|error| LaunchError::Settings(error.to_string()))?;
        }
        let count = self
            .shards
            .and_then(NonZeroUsize::new)
            .unwrap_or_else(|| available.default_shards().min(self.default_shards_max));
        let selected = self
            .driver
            .select(&self.ring.needs(count))
            .map_err(LaunchError::Preflight)?;
        let placement = available.place(count);
        let inboxes: Result<Arc<[_]>, _> = (0..count.get())
            .map(|index| Inbox::new(ShardId::new(index)).map(Arc::new))
            .collect();
        let inboxes = inboxes.map_err(|error| {
            LaunchError::Settings(format!(
                "no descriptor for a shard's doorbell ({error}); raise ulimit -n"
            ))
        })?;
        let limits = BlockingLimits {
            threads_max: self.blocking_threads_max,
            ..BlockingLimits::default()
        };
        Ok(Shards::new(
            inboxes,
            placement,
            (selected, self.ring),
            self.thread_name,
            (self.run_config, limits),
        ))
    }

    fn check(&self) -> Result<(), LaunchError> {
        let ring = &self.ring;
        let wrong = if self.shards.is_some_and(|count| count == 0 || count > SHARDS_MAX) {
            format!("the number of shards (--shards) must lie between 1 and {SHARDS_MAX}")
        } else if self.thread_name.contains('\0') {
            "the name of the shards' threads (thread_name) holds a NUL byte; the kernel ends a name there".to_owned()
        } else if !ring.submission_entries.is_power_of_two() || ring.submission_entries > SUBMISSION_ENTRIES_MAX {
            format!("submission entries must be a power of two up to {SUBMISSION_ENTRIES_MAX}")
        } else if !ring.receive_buffers.is_power_of_two() || ring.receive_buffers > RECEIVE_BUFFERS_MAX {
            format!("receive buffers must be a power of two up to {RECEIVE_BUFFERS_MAX}")
        } else if !(64..=1 << 20).contains(&ring.receive_buffer_bytes) {
            "a receive buffer must have between 64 bytes and 1 MiB".to_owned()
        } else if ring.receive_buffers_per_stream_max == 0 {
            "a connection must be allowed at least one receive buffer".to_owned()
        } else if self.blocking_threads_max == 0 {
            "the pool for blocking work must be allowed at least one thread".to_owned()
        } else {
            return Ok(());
        };
        Err(LaunchError::Settings(wrong))
    }
}
