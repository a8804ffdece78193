//! How much memory this process may hold and does hold ([`Ledger`]), and how to return free memory to the kernel.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::atomic::AtomicCell;

pub use super::ledger::{Balance, Ledger, available_bytes, least_bytes, shards_max};
use super::sys;
use crate::clock;

/// The pause after a trim, as a multiple of its duration: trimming takes at most a tenth of a core.
const PAUSE_FACTOR: u32 = 9;

/// The same multiple for a shard that would otherwise refuse memory: at most half of its time. A burst of refusals
/// lasts some milliseconds, so a longer pause would refuse everything before the freed memory counts.
const PAUSE_FACTOR_BEFORE_REFUSAL: u32 = 1;

/// The longest last trim after which a shard may trim by itself. 20 ms: below a stall, and enough to return 100 MiB.
const QUICK_MAX: Duration = Duration::from_millis(20);

/// When memory was last trimmed, and how long that took.
static GIVEN_BACK: AtomicCell<Option<(Instant, Duration)>> = AtomicCell::new(None);

/// The stack of a [`Trimmer`]'s thread, which calls one function. 64 KiB.
const TRIMMER_STACK_BYTES: usize = 64 * 1024;

/// A thread that makes glibc return whole free pages to the kernel; it ends with the last handle.
///
/// Trimming takes milliseconds per GiB, during which other allocating threads may wait, so it runs off the shards. The
/// thread starts before memory is short: a thread started then may find no memory for its own stack.
#[derive(Debug, Clone)]
pub struct Trimmer {
    requests: SyncSender<()>,
}

impl Trimmer {
    /// Starts the thread, on the CPUs of the calling thread.
    ///
    /// # Errors
    ///
    /// The kernel refused a thread.
    pub fn start() -> io::Result<Self> {
        let (requests, received) = sync_channel(1);
        thread::Builder::new()
            .name("squall-memory".to_owned())
            .stack_size(TRIMMER_STACK_BYTES)
            .spawn(move || received.iter().for_each(|()| give_back_free()))?;
        Ok(Self { requests })
    }

    /// Makes the thread return free memory, unless it did so a moment ago; returns at once.
    ///
    /// With another allocator than glibc's it has almost no effect.
    pub fn give_back(&self) {
        // A full channel holds a request that the thread has not begun.
        self.requests.try_send(()).unwrap_or_default();
    }
}

fn give_back_free() {
    give_back_after(GIVEN_BACK.load(), PAUSE_FACTOR);
}

/// Does what a [`Trimmer`] does, after a shorter pause, if the last trim took 20 ms or less; returns whether it did.
///
/// For a shard that would otherwise refuse memory.
pub fn give_back_free_if_quick() -> bool {
    let last = GIVEN_BACK.load();
    last.is_none_or(|(_, took)| took <= QUICK_MAX) && give_back_after(last, PAUSE_FACTOR_BEFORE_REFUSAL)
}

fn give_back_after(last: Option<(Instant, Duration)>, pause_factor: u32) -> bool {
    let now = clock::now();
    let is_due = last.is_none_or(|(at, took)| now >= at + took * pause_factor);
    // One thread at a time: the claim sets a moment in the future, so others find the trim not due or lose the exchange.
    let is_mine = is_due
        && GIVEN_BACK
            .compare_exchange(last, Some((now + QUICK_MAX, Duration::ZERO)))
            .is_ok();
    if is_mine {
        // The one call that takes time; it is measured to pace the next one.
        sys::trim_heap();
        let end = clock::now();
        GIVEN_BACK.store(Some((end, end - now)));
    }
    is_mine
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn what_is_taken_is_held_and_what_is_given_back_is_not() {
        const BYTES: usize = 64 * 1024 * 1024;
        const PIECE_BYTES: usize = 16 * 1024;
        // Small enough that the group accounts have more headroom.
        let ledger = Ledger::open(Some(1), NonZeroUsize::MIN).unwrap();
        let trimmer = Trimmer::start().unwrap();
        let held = || ledger.check(0).unwrap().held;
        let before = held();
        // In pieces too small for mappings of their own, which the allocator keeps after they are freed.
        let taken: Vec<Vec<u8>> = (0..BYTES / PIECE_BYTES)
            .map(|_| black_box(vec![1_u8; PIECE_BYTES]))
            .collect();
        let last = black_box(vec![1_u8; PIECE_BYTES]);
        let during = held();
        drop(taken);
        // Other tests of this process allocate and free meanwhile.
        let half = BYTES as u64 / 2;
        assert!(during >= before + half, "{before} {during}");
        let give_up_at = clock::now() + Duration::from_secs(20);
        while held() + half > during {
            assert!(clock::now() < give_up_at, "{during} {}", held());
            trimmer.give_back();
            thread::yield_now();
        }
        drop(last);
        assert!(available_bytes().unwrap() >= during);
    }
}
