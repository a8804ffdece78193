//! How much memory this process may have, how much of it it holds ([`Ledger`]), and a way to give some back.

use std::time::{Duration, Instant};

use crossbeam::atomic::AtomicCell;

pub use super::ledger::{Balance, Ledger, available_bytes, least_bytes, shards_max};
use super::sys;
use crate::clock;

/// After giving free memory back for some time, this multiple of that time passes before the next attempt: at most a tenth of a core.
const PAUSE_FACTOR: u32 = 9;

/// The same where a shard would have to refuse memory otherwise: half of its time, because a burst of refusals is over in some milliseconds, and all
/// would be refused before what the first ones freed is seen.
const PAUSE_FACTOR_BEFORE_REFUSAL: u32 = 1;

/// How long giving back may have taken for a shard to do it itself. 20 ms: less than what counts as a stall, and enough to give back 100 MiB.
const QUICK_MAX: Duration = Duration::from_millis(20);

/// When free memory was last given back, and how long it took.
static GIVEN_BACK: AtomicCell<Option<(Instant, Duration)>> = AtomicCell::new(None);

/// Has glibc give whole free pages back to the kernel, which it otherwise keeps for later, unless that was done a moment ago. With another
/// allocator it does nothing worth mentioning.
///
/// Takes milliseconds for each GiB, in which other threads that allocate may wait: to be called where memory is short, off the shards
/// ([`spawn_blocking`](crate::spawn_blocking)).
pub fn give_back_free() {
    give_back_after(GIVEN_BACK.load(), PAUSE_FACTOR);
}

/// Does what [`give_back_free`] does, and sooner again, if it took 20 ms or less the last time: for a shard that would have to refuse
/// memory otherwise. Says whether it did.
pub fn give_back_free_if_quick() -> bool {
    let last = GIVEN_BACK.load();
    last.is_none_or(|(_, took)| took <= QUICK_MAX) && give_back_after(last, PAUSE_FACTOR_BEFORE_REFUSAL)
}

fn give_back_after(last: Option<(Instant, Duration)>, pause_factor: u32) -> bool {
    let now = clock::now();
    let is_due = last.is_none_or(|(at, took)| now >= at + took * pause_factor);
    // One thread at a time: the others see a moment that is yet to come, or lose.
    let is_mine = is_due
        && GIVEN_BACK
            .compare_exchange(last, Some((now + QUICK_MAX, Duration::ZERO)))
            .is_ok();
    if is_mine {
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
        // So little that no group's account is tighter.
        let ledger = Ledger::open(Some(1), NonZeroUsize::MIN).unwrap();
        let held = || ledger.look(0).unwrap().held;
        let before = held();
        // In pieces too small for mappings of their own, which the allocator keeps when they are freed.
        let taken: Vec<Vec<u8>> = (0..BYTES / PIECE_BYTES)
            .map(|_| black_box(vec![1_u8; PIECE_BYTES]))
            .collect();
        let last = black_box(vec![1_u8; PIECE_BYTES]);
        let during = held();
        drop(taken);
        give_back_free();
        let after = held();
        drop(last);
        // Other tests of this process take and give back meanwhile.
        let half = BYTES as u64 / 2;
        assert!(during >= before + half, "{before} {during}");
        assert!(after + half <= during, "{during} {after}");
        assert!(available_bytes().unwrap() >= during);
    }
}
