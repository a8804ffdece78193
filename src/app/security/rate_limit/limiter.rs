//! The counts of one shard: the buckets of the keys that this shard owns, and what owners have said about others.

use core::cell::RefCell;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

use super::gcra::{Bucket, Rate};
use super::key_table::{Expires, KeyTable};

/// Most permits of one lease.
const LEASE_PERMITS_MAX: u32 = 64;

/// Which part of a burst the leases of all shards may hold: an eighth.
///
/// Limits below eight permits for each shard are therefore exact, and a larger one is off by an eighth of its burst at
/// most.
const LEASE_SHARE: u32 = 8;

/// How long a shard may use the permits of a lease: 1 s.
const LEASE_TIME: u64 = 1_000_000_000;

/// A request for permits, as it goes to the owner of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermitRequest {
    /// The hash of what is counted.
    pub(super) key: u128,
    pub(super) rate: Rate,
    /// How many permits are taken, if they are there.
    pub(super) wanted: u32,
}

/// The answer of the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// This number of permits, at least one.
    Permits(u32),
    /// The next permit comes after this time.
    Refused(Duration),
}

/// What a shard knows about a key that another shard owns.
#[derive(Debug, Clone, Copy, Default)]
struct Lease {
    permits: u32,
    /// Until when the permits may be used.
    usable_until: u64,
    /// Until when the owner has no permit.
    refused_until: u64,
}

impl Expires for Lease {
    fn expires_at(&self) -> u64 {
        self.usable_until.max(self.refused_until)
    }
}

/// What a shard can say without asking the owner.
pub(super) enum Known {
    Admitted,
    Refused(Duration),
    Unknown,
}

/// The counts of one shard.
#[derive(Default)]
pub struct RateLimiter {
    counts: RefCell<Counts>,
}

#[derive(Default)]
struct Counts {
    /// The moment from which nanoseconds count.
    origin: Option<Instant>,
    buckets: KeyTable<Bucket>,
    leases: KeyTable<Lease>,
}

impl Counts {
    fn nanos(&mut self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(*self.origin.get_or_insert(now));
        // One past the origin, because 0 is the value of an empty bucket.
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl RateLimiter {
    /// Takes permits of a key that this shard owns.
    #[must_use]
    pub fn grant(&self, request: &PermitRequest, keys_max: usize, now: Instant) -> Grant {
        let mut counts = self.counts.borrow_mut();
        let now = counts.nanos(now);
        let PermitRequest { key, rate, wanted } = *request;
        let taken = counts
            .buckets
            .change(key, keys_max, now, |bucket| bucket.take(rate, wanted, now));
        match taken {
            Ok(permits) => Grant::Permits(permits),
            Err(exhausted) => Grant::Refused(Duration::from_nanos(exhausted.wait)),
        }
    }

    /// Uses a permit of a lease, or repeats a refusal of the owner while it holds.
    pub(super) fn known(&self, key: u128, keys_max: usize, now: Instant) -> Known {
        let mut counts = self.counts.borrow_mut();
        let now = counts.nanos(now);
        counts.leases.change(key, keys_max, now, |lease| {
            if lease.permits > 0 && lease.usable_until > now {
                lease.permits -= 1;
                return Known::Admitted;
            }
            lease.permits = 0;
            match lease.refused_until.checked_sub(now) {
                Some(wait @ 1..) => Known::Refused(Duration::from_nanos(wait)),
                _ => Known::Unknown,
            }
        })
    }

    /// Keeps what the owner has answered, less the permit that the asking request uses.
    pub(super) fn learn(&self, key: u128, grant: Grant, keys_max: usize, now: Instant) {
        let mut counts = self.counts.borrow_mut();
        let now = counts.nanos(now);
        counts.leases.change(key, keys_max, now, |lease| match grant {
            Grant::Permits(1) => {}
            Grant::Permits(permits) => {
                lease.permits = lease.permits.saturating_add(permits.saturating_sub(1));
                lease.usable_until = now.saturating_add(LEASE_TIME);
            }
            Grant::Refused(wait) => {
                let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                lease.refused_until = now.saturating_add(wait);
            }
        });
    }
}

/// Returns how many permits a shard asks for at once.
pub(super) fn lease_permits(rate: Rate, shards: usize) -> u32 {
    let shards = u32::try_from(shards).unwrap_or(u32::MAX).max(1);
    (rate.burst() / LEASE_SHARE / shards).clamp(1, LEASE_PERMITS_MAX)
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS_MAX: usize = 100;

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any moment will do as the origin of a test")]
        Instant::now()
    }

    #[test]
    fn a_lease_is_used_up_and_then_the_owner_is_asked_again() {
        let (shard, now) = (RateLimiter::default(), start());
        assert!(matches!(shard.known(1, KEYS_MAX, now), Known::Unknown));
        shard.learn(1, Grant::Permits(3), KEYS_MAX, now);
        assert!(matches!(shard.known(1, KEYS_MAX, now), Known::Admitted));
        assert!(matches!(shard.known(1, KEYS_MAX, now), Known::Admitted));
        assert!(matches!(shard.known(1, KEYS_MAX, now), Known::Unknown));
        shard.learn(1, Grant::Permits(9), KEYS_MAX, now);
        assert!(matches!(
            shard.known(1, KEYS_MAX, now + Duration::from_secs(2)),
            Known::Unknown
        ));
    }

    #[test]
    fn a_refusal_is_repeated_until_a_permit_can_be_there() {
        let (shard, now) = (RateLimiter::default(), start());
        shard.learn(1, Grant::Refused(Duration::from_secs(3)), KEYS_MAX, now);
        let Known::Refused(wait) = shard.known(1, KEYS_MAX, now + Duration::from_secs(1)) else {
            panic!("the refusal is forgotten");
        };
        assert_eq!(wait, Duration::from_secs(2));
        assert!(matches!(
            shard.known(1, KEYS_MAX, now + Duration::from_secs(3)),
            Known::Unknown
        ));
    }

    #[test]
    fn small_limits_are_exact_and_large_ones_lease_an_eighth() {
        let rate = |burst| Rate::new(burst, Duration::from_secs(1), burst);
        for (burst, shards, permits) in [
            (5, 2, 1),
            (15, 2, 1),
            (100, 2, 6),
            (10_000, 2, 64),
            (100, 128, 1),
            (1, 0, 1),
        ] {
            assert_eq!(lease_permits(rate(burst), shards), permits, "{burst} {shards}");
        }
    }

    #[test]
    fn every_shard_together_passes_what_one_would() {
        let rate = Rate::new(100, Duration::from_secs(60), 100);
        let (owner, now) = (RateLimiter::default(), start());
        let shards: Vec<RateLimiter> = (0..4).map(|_| RateLimiter::default()).collect();
        let mut passed = 0;
        for round in 0..400 {
            let shard = &shards[round % shards.len()];
            passed += match shard.known(7, KEYS_MAX, now) {
                Known::Admitted => 1,
                Known::Refused(_) => 0,
                Known::Unknown => {
                    let request = PermitRequest {
                        key: 7,
                        rate,
                        wanted: lease_permits(rate, 5),
                    };
                    let grant = owner.grant(&request, KEYS_MAX, now);
                    shard.learn(7, grant, KEYS_MAX, now);
                    u32::from(matches!(grant, Grant::Permits(_)))
                }
            };
        }
        assert_eq!(passed, 100);
    }
}
