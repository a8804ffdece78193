//! What shards need of the host, from their number and the sizes of their rings.

use std::num::NonZeroUsize;

use crate::driver::io_uring::RingConfig;

/// The oldest kernel with every feature of the io_uring driver.
pub const KERNEL_NEEDED: &str = "6.1";

/// The locked memory, in bytes, without which glommio's executor refuses to start, whatever privileges the process has.
pub const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// The locked memory of one executor. 256 KiB: its three rings at a depth of 128, each with 64 KiB of registered
/// buffers, took 205 KiB on Linux 6.18.
const EXECUTOR_LOCKED_BYTES: u64 = 256 * 1024;

/// The descriptors of one shard without connections: four rings, wake-ups, listeners, and one in reserve.
const DESCRIPTORS_PER_SHARD: u64 = 16;

/// The descriptors of the process beside its shards: standard streams, signals, a log, a few open files.
const DESCRIPTORS_OF_PROCESS: u64 = 16;

/// How many connections a process is expected to serve; the preflight warns if fewer files may be open.
const CONNECTIONS_EXPECTED: u64 = 10_000;

/// What a server needs of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The number of shards, each with its own ring.
    pub shards: NonZeroUsize,
    /// The submission entries of each ring.
    pub submission_entries: u32,
    /// The completion entries of each ring.
    pub completion_entries: u32,
    /// The connections wanted; room for fewer is a warning, not an error.
    pub connections: u64,
}

impl Needs {
    /// Returns the needs of this many shards with such rings, for 10,000 connections.
    pub(crate) fn of(rings: &RingConfig, shards: NonZeroUsize) -> Self {
        Self {
            shards,
            submission_entries: rings.submission_entries,
            completion_entries: rings.completion_entries(),
            connections: CONNECTIONS_EXPECTED,
        }
    }

    /// Estimates the locked memory of all shards, in bytes.
    ///
    /// An entry takes 68 bytes of submission queue or 16 of completion queue, in whole pages; the executors have rings
    /// of their own. (On Linux 6.18 a ring of 1024 and 4096 entries fits a limit of 136 KiB, the estimate for it, and
    /// not 132 KiB.)
    pub(crate) fn locked_bytes(&self) -> u64 {
        let pages = |bytes: u64| bytes.next_multiple_of(4096);
        let submission = pages(u64::from(self.submission_entries) * 64);
        let rest = pages(512 + u64::from(self.submission_entries) * 4 + u64::from(self.completion_entries) * 16);
        (submission + rest + EXECUTOR_LOCKED_BYTES).saturating_mul(self.shards.get() as u64)
    }

    /// Returns the number of descriptors needed before the first connection.
    pub(crate) const fn descriptors(&self) -> u64 {
        (self.shards.get() as u64)
            .saturating_mul(DESCRIPTORS_PER_SHARD)
            .saturating_add(DESCRIPTORS_OF_PROCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(shards: usize) -> Needs {
        Needs::of(&RingConfig::default(), NonZeroUsize::new(shards).unwrap())
    }

    #[test]
    fn the_memory_of_the_rings_grows_with_each_dimension() {
        assert_eq!(needs(1).locked_bytes(), 64 * 1024 + 72 * 1024 + 256 * 1024);
        assert_eq!(needs(4).locked_bytes(), 4 * needs(1).locked_bytes());
        let largest = Needs {
            shards: NonZeroUsize::MAX,
            submission_entries: u32::MAX,
            completion_entries: u32::MAX,
            connections: 0,
        };
        assert_eq!(largest.locked_bytes(), u64::MAX);
        assert_eq!(largest.descriptors(), u64::MAX);
    }
}
