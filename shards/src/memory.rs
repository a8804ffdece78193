//! How much memory this process may have, how much of it it holds ([`Ledger`]), and a way to give some back.

use std::time::{Duration, Instant};

use crossbeam::atomic::AtomicCell;

pub use crate::ledger::{Balance, Ledger, available_bytes, least_bytes, shards_max};
use crate::{clock, sys};

/// How often free memory is given back at the most: it walks through all that the allocator holds.
const GIVEN_BACK_EVERY: Duration = Duration::from_secs(1);

/// Has glibc give whole free pages back to the kernel, which it otherwise keeps for later; at most once a second in the whole process. With
/// another allocator it does nothing worth mentioning.
///
/// Takes milliseconds for each GiB, in which other threads that allocate may wait: to be called where memory is short, off the shards
/// ([`spawn_blocking`](crate::spawn_blocking)).
pub fn give_back_free() {
    static GIVEN_BACK: AtomicCell<Option<Instant>> = AtomicCell::new(None);
    let (now, last) = (clock::now(), GIVEN_BACK.load());
    let is_due = last.is_none_or(|last| now >= last + GIVEN_BACK_EVERY);
    if is_due && GIVEN_BACK.compare_exchange(last, Some(now)).is_ok() {
        sys::trim_heap();
    }
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
