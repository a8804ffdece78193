//! The settings of a set of shards, checked before anything starts.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::launch::{RunConfig, Shards};
use super::placement;
use super::preflight::Needs;
use super::select_driver::SelectedDriver;
use crate::driver::Driver;
use crate::driver::io_uring::RingConfig;
use crate::error::LaunchError;
use crate::message::inbox::Inbox;
use crate::shard::id::ShardId;
use crate::task::blocking::BlockingLimits;

/// Settings of a set of shards.
///
/// Each has a default that suits a server. [`build`](Self::build) checks them against each other and the host.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
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

/// The largest number of shards. 1024: a larger number is a typing error, and the mesh has a queue for each pair.
const SHARDS_MAX: usize = 1024;
/// The kernel's bounds on the submission queue and on a buffer ring.
const SUBMISSION_ENTRIES_MAX: u32 = 32_768;
const RECEIVE_BUFFERS_MAX: u16 = 32_768;

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Starts from the defaults: one shard per available core, each pinned to its core.
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

    /// Sets the number of shards, 1 to 1024; by default one per core the affinity mask and the cgroup's CPU quota allow.
    pub fn shards(mut self, count: usize) -> Self {
        self.shards = Some(count);
        self
    }

    /// Limits the default number of shards; it has no effect if [`shards`](Self::shards) is called.
    pub fn default_shards_max(mut self, count: NonZeroUsize) -> Self {
        self.default_shards_max = count;
        self
    }

    /// Sets the driver of the sockets, [`Driver::Auto`] by default; [`Shards::driver`] returns the one selected.
    pub fn driver(mut self, driver: Driver) -> Self {
        self.driver = driver;
        self
    }

    /// Sets the prefix of thread names, `shard` by default; the shard's number follows.
    ///
    /// Linux shows the first 15 bytes. [`build`](Self::build) rejects a NUL byte.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Sets whether SIGTERM and SIGINT stop the shards, a second signal at once; off by default.
    pub fn stop_on_signals(mut self, stop: bool) -> Self {
        self.run_config.stop_on_signals = stop;
        self
    }

    /// Sets how long after [`Stop::Graceful`](crate::Stop::Graceful) a `main` may run; unlimited by default.
    ///
    /// A shard still running 2 s after that, or 2 s after [`Stop::Now`](crate::Stop::Now), is abandoned: a task
    /// computes or blocks. [`run`](Shards::run) then returns [`LaunchError::Overdue`].
    pub fn graceful_stop_max(mut self, time: Duration) -> Self {
        self.run_config.graceful_stop_max = Some(time);
        self
    }

    /// Sets whether new TCP connections avoid a shard that has at least 512 and over 4/3 of its share; off by default.
    ///
    /// Connections avoid a stalled shard in any case ([`Listeners::bind_tcp`](crate::Listeners::bind_tcp)). This
    /// setting suits long connections. With a mixture, all short ones would go to the shards that have few long ones.
    pub fn balance(mut self, balance: bool) -> Self {
        self.run_config.balances = balance;
        self
    }

    /// Pins the shards to these CPUs, by the kernel's numbers and in shard order; by default to all available ones.
    ///
    /// The number of shards follows, unless [`shards`](Self::shards) sets it. [`build`](Self::build) rejects a CPU that
    /// is not available or named twice.
    pub fn cpus(mut self, chosen: impl Into<Vec<usize>>) -> Self {
        self.cpus = Some(chosen.into());
        self
    }

    /// Sets how many threads the pool for blocking work may start, 16 by default; they avoid the shards' CPUs.
    pub fn blocking_threads_max(mut self, threads: usize) -> Self {
        self.blocking_threads_max = threads;
        self
    }

    /// Sets the entries of each shard's io_uring submission queue: a power of two up to 32,768, 1024 by default.
    ///
    /// The completion queue has four times as many. A full submission queue is submitted early. An entry takes 64 bytes
    /// of kernel memory.
    pub fn submission_entries(mut self, entries: u32) -> Self {
        self.ring.submission_entries = entries;
        self
    }

    /// Sets each shard's receive buffers: their number (a power of two up to 32,768) and the bytes of each (64 to 1 MiB).
    ///
    /// The defaults are 1024 and 4096 bytes, which holds the whole request of nearly every client. A buffer is held for
    /// one turn; when all are held, a connection receives into memory of its own. With epoll only the bytes matter.
    pub fn receive_buffers(mut self, count: u16, bytes: u32) -> Self {
        self.ring.receive_buffers = count;
        self.ring.receive_buffer_bytes = bytes;
        self
    }

    /// Sets how many unread receive buffers a connection may hold under io_uring, 16 by default.
    ///
    /// At the limit, receiving pauses. Before the pause takes effect the kernel may fill at most a quarter of all
    /// buffers more.
    pub fn receive_buffers_per_stream_max(mut self, count: u16) -> Self {
        self.ring.receive_buffers_per_stream_max = count;
        self
    }

    /// Sets how long a shard polls its sockets before it sleeps; zero by default.
    ///
    /// 50 µs more than halve the latency of a lightly loaded server on a virtual machine, at the cost of CPU time.
    pub fn spin(mut self, duration: Duration) -> Self {
        self.ring.spin = duration;
        self
    }

    /// Checks the settings against the host and prepares what shards and other threads share.
    ///
    /// # Errors
    ///
    /// A setting is out of bounds, or the host lacks something; the message says what to do.
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
        let needs = Needs::of(&self.ring, count);
        let selected = SelectedDriver::select(self.driver, &needs).map_err(LaunchError::Preflight)?;
        let placement = available.place(count);
        // Created here, before the shards start, so that meshes can be made for all of them.
        let inboxes: Result<Arc<[_]>, _> = (0..count.get())
            .map(|index| Inbox::new(ShardId::new(index)).map(Arc::new))
            .collect();
        let inboxes = inboxes.map_err(|error| {
            LaunchError::Settings(format!(
                "could not create a shard's eventfd: {error}; raise `ulimit -n`"
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
        let refused = self.shards.filter(|count| !(1..=SHARDS_MAX).contains(count));
        let wrong = if let Some(count) = refused {
            format!(
                "could not start {count} shards: the number is out of bounds; set shards (--shards) to 1 to {SHARDS_MAX}"
            )
        } else if self.thread_name.contains('\0') {
            "invalid thread_name: it contains a NUL byte, where the kernel ends a name; remove it".to_owned()
        } else if !ring.submission_entries.is_power_of_two() || ring.submission_entries > SUBMISSION_ENTRIES_MAX {
            format!("invalid submission entries; set a power of two up to {SUBMISSION_ENTRIES_MAX}")
        } else if !ring.receive_buffers.is_power_of_two() || ring.receive_buffers > RECEIVE_BUFFERS_MAX {
            format!("invalid number of receive buffers; set a power of two up to {RECEIVE_BUFFERS_MAX}")
        } else if !(64..=1 << 20).contains(&ring.receive_buffer_bytes) {
            "invalid receive buffer size; set between 64 bytes and 1 MiB".to_owned()
        } else if ring.receive_buffers_per_stream_max == 0 {
            "invalid receive buffers per connection: 0; set at least 1".to_owned()
        } else if self.blocking_threads_max == 0 {
            "invalid number of threads for blocking work: 0; set at least 1".to_owned()
        } else {
            return Ok(());
        };
        Err(LaunchError::Settings(wrong))
    }
}
