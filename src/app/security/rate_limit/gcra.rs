//! The count of one key: the generic cell rate algorithm, which keeps one number (ITU-T I.371).
//!
//! The number is the time until which the key's permits are used up if each takes its share of the period. A burst is
//! how far that time may lie ahead. Invariant: in any window of time, at most the burst and the share of the window pass.

use core::time::Duration;

use super::key_table::Expires;

/// How often, and how many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::app) struct Rate {
    /// The nanoseconds in which one permit comes back; at least 1.
    interval: u64,
    /// How many permits may be used at once; at least 1.
    burst: u32,
}

/// The permits of one key.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::app) struct Bucket {
    /// The nanosecond at which every permit is there again.
    full_at: u64,
}

/// All permits are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) struct Exhausted {
    /// Nanoseconds until the next permit.
    pub(super) wait: u64,
}

impl Rate {
    pub(in crate::app) fn new(permits: u32, period: Duration, burst: u32) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Self {
            interval: (period / u64::from(permits.max(1))).max(1),
            burst: burst.max(1),
        }
    }

    pub(in crate::app) fn burst(self) -> u32 {
        self.burst
    }
}

impl Bucket {
    /// Takes as many of the wanted permits as there are, at least one.
    ///
    /// # Errors
    ///
    /// All of them are used.
    pub(in crate::app) fn take(&mut self, rate: Rate, wanted: u32, now: u64) -> Result<u32, Exhausted> {
        let begin = self.full_at.max(now);
        let used_up_at = now.saturating_add(rate.interval.saturating_mul(rate.burst.into()));
        let room = used_up_at.saturating_sub(begin);
        let there = u32::try_from(room / rate.interval).unwrap_or(u32::MAX).min(wanted);
        if there == 0 {
            return Err(Exhausted {
                wait: rate.interval.saturating_sub(room),
            });
        }
        self.full_at = begin.saturating_add(rate.interval.saturating_mul(there.into()));
        Ok(there)
    }
}

impl Expires for Bucket {
    fn expires_at(&self) -> u64 {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let rate = Rate::new(5, Duration::from_secs(1), 5);
        let mut bucket = Bucket::default();
        let now = 10 * SECOND;
        assert_eq!(bucket.take(rate, 3, now), Ok(3));
        assert_eq!(bucket.take(rate, 9, now), Ok(2));
        assert_eq!(bucket.take(rate, 1, now), Err(Exhausted { wait: SECOND / 5 }));
        assert_eq!(
            bucket.take(rate, 1, now + SECOND / 10),
            Err(Exhausted { wait: SECOND / 10 })
        );
        assert_eq!(bucket.take(rate, 9, now + SECOND / 5), Ok(1));
        assert_eq!(bucket.take(rate, 9, now + 100 * SECOND), Ok(5));
    }

    #[test]
    fn numbers_at_their_ends_stay_numbers() {
        for rate in [
            Rate::new(u32::MAX, Duration::from_nanos(1), u32::MAX),
            Rate::new(1, Duration::MAX, u32::MAX),
            Rate::new(0, Duration::ZERO, 0),
        ] {
            let mut bucket = Bucket::default();
            assert!(bucket.take(rate, u32::MAX, u64::MAX).is_ok() || bucket.full_at == 0);
            bucket.take(rate, 1, 0).unwrap_or_default();
        }
    }

    proptest! {
        /// The definition: in every window, at most the burst and the share of the window.
        #[test]
        fn no_window_has_more_than_the_burst_and_its_share(
            (permits, burst) in (1_u32..50, 1_u32..50),
            steps in prop::collection::vec((0_u64..SECOND / 4, 1_u32..8), 1..200),
        ) {
            let rate = Rate::new(permits, Duration::from_secs(1), burst);
            let mut bucket = Bucket::default();
            let (mut now, mut taken) = (SECOND, Vec::new());
            for (pause, wanted) in steps {
                now += pause;
                match bucket.take(rate, wanted, now) {
                    Ok(there) => taken.push((now, there)),
                    Err(exhausted) => {
                        let mut later = bucket;
                        prop_assert!(later.take(rate, 1, now + exhausted.wait).is_ok());
                        prop_assert!(later.full_at > bucket.full_at);
                        if exhausted.wait > 1 {
                            let mut earlier = bucket;
                            prop_assert!(earlier.take(rate, 1, now + exhausted.wait - 1).is_err());
                        }
                    }
                }
            }
            for (first, (start, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (end, there) in &taken[first..] {
                    sum += u64::from(*there);
                    prop_assert!(sum <= u64::from(burst) + (end - start) / rate.interval);
                }
            }
        }
    }
}
