//! The requests that one thread may still send, in a run that ends after a number of them.
//!
//! Each thread has a fixed share, so threads share no counter. The share counts from the start of the window; the
//! warm-up is unlimited.

/// The requests that may still be sent; unlimited until [`Allowance::limit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    left: u64,
}

impl Allowance {
    pub(crate) const UNLIMITED: Self = Self { left: u64::MAX };

    /// Returns the share of thread number `thread` in `requests` over all `threads`, of which there is at least one.
    pub(crate) fn share(requests: u64, thread: usize, threads: usize) -> u64 {
        let (thread, threads) = (thread as u64, threads.max(1) as u64);
        requests / threads + u64::from(thread < requests % threads)
    }

    /// Limits it to `requests`.
    pub(crate) fn limit(&mut self, requests: u64) {
        self.left = requests;
    }

    /// Returns how many of `wanted` requests may be sent.
    #[inline]
    pub(crate) fn of(self, wanted: usize) -> usize {
        usize::try_from(self.left).map_or(wanted, |left| left.min(wanted))
    }

    /// Removes sent requests, or a failed connection, which counts as one.
    #[inline]
    pub(crate) fn take(&mut self, requests: usize) {
        if !self.is_unlimited() {
            self.left = self.left.saturating_sub(requests as u64);
        }
    }

    pub(crate) fn is_unlimited(self) -> bool {
        self == Self::UNLIMITED
    }

    #[inline]
    pub(crate) fn is_used_up(self) -> bool {
        self.left == 0
    }

    /// Returns the requests left; `u64::MAX` if unlimited.
    pub(crate) fn left(self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_requests() {
        for (requests, threads) in [(1, 1), (1, 3), (10, 3), (9, 3), (1_000_003, 64)] {
            let shares: Vec<u64> = (0..threads)
                .map(|thread| Allowance::share(requests, thread, threads))
                .collect();
            assert_eq!(shares.iter().sum::<u64>(), requests, "{shares:?}");
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(most - least <= 1, "{shares:?}");
        }
    }

    #[test]
    fn warm_up_takes_nothing_and_the_window_takes_until_nothing_is_left() {
        let mut allowance = Allowance::UNLIMITED;
        allowance.take(5);
        assert_eq!((allowance.of(7), allowance.is_unlimited()), (7, true));
        allowance.limit(3);
        assert_eq!(allowance.of(7), 3);
        allowance.take(2);
        assert_eq!((allowance.of(7), allowance.left()), (1, 1));
        allowance.take(2);
        assert!(allowance.is_used_up() && allowance.of(7) == 0);
    }
}
