//! Says when a shard has far more connections than its share. They never move, so it stays the busiest, while others have time.
//!
//! It is said once for as long as it lasts, with everybody's count. A shard's connections are its open sockets, those it has opened
//! itself included.

use std::fmt;
use std::time::{Duration, Instant};

/// With fewer connections no shard has too many. Of so many, the kernel's hash does not give a third more than its share to any by chance:
/// that would be six standard deviations.
const CONNECTIONS_MIN: usize = 512;

/// How many times its share a shard may have, as a fraction: with more than 4/3 its core is full where the others' have a quarter to spare.
const SHARES_MAX: (usize, usize) = (4, 3);

/// How often it is said at the most.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Whether each shard has far more connections than its share.
pub(crate) fn overfull(connections: &[usize]) -> Vec<bool> {
    let (shares, divisor) = SHARES_MAX;
    let shares_of_all = shares.saturating_mul(connections.iter().sum());
    let of_all = |count: usize| count.saturating_mul(divisor).saturating_mul(connections.len());
    let is_overfull = |count| count >= CONNECTIONS_MIN && of_all(count) > shares_of_all;
    connections.iter().map(|count| is_overfull(*count)).collect()
}

/// What has been said of it.
#[derive(Debug, Default)]
pub(crate) struct ImbalanceLog {
    is_said: bool,
    said_at: Option<Instant>,
}

impl ImbalanceLog {
    /// Says that shards are overfull, if that has not been said and it is time; true then.
    pub(crate) fn report(&mut self, connections: &[usize], overfull: &[bool], now: Instant) -> bool {
        if !overfull.contains(&true) {
            self.is_said = false;
            return false;
        }
        let is_due = |said_at| now.saturating_duration_since(said_at) >= SAID_EVERY;
        if self.is_said || !self.said_at.is_none_or(is_due) {
            return false;
        }
        self.is_said = true;
        self.said_at = Some(now);
        let connections = Counts(connections);
        tracing::warn!(
            %connections,
            "a shard has far more connections than its share, and they stay there; --balance leads new ones to the other shards; \
             with --steer-by-cpu, spread the network card's queues over the shards' CPUs"
        );
        true
    }
}

/// The connections of each shard, in the order of the shards.
struct Counts<'a>(&'a [usize]);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_may_have_a_third_more_than_its_share_and_hundreds_in_any_case() {
        assert_eq!(overfull(&[700, 300]), [true, false]);
        assert_eq!(overfull(&[0, 667, 333]), [false, true, false]);
        assert_eq!(overfull(&[900, 900, 100, 100]), [true, true, false, false]);
        for fair in [&[][..], &[9000], &[532, 468], &[666, 334], &[511, 0], &[0, 0, 0]] {
            assert!(!overfull(fair).contains(&true), "{fair:?}");
        }
    }

    #[test]
    fn it_is_said_once_while_it_lasts_and_not_again_at_once() {
        let (mut imbalance_log, start) = (ImbalanceLog::default(), crate::clock::now());
        let mut look = |connections: &[usize], seconds| {
            let now = start + Duration::from_secs(seconds);
            imbalance_log.report(connections, &overfull(connections), now)
        };
        let (fair, skewed) = ([500, 500], [700, 300]);
        assert!(!look(&fair, 0));
        assert!(look(&skewed, 1));
        assert!(!look(&skewed, 60), "it has been said");
        assert!(!look(&fair, 61));
        assert!(look(&skewed, 62), "once more");
        assert!(!look(&fair, 63));
        assert!(!look(&skewed, 71), "it is too early");
        assert!(look(&skewed, 72));
    }

    #[test]
    fn it_names_every_count() {
        assert_eq!(Counts(&[700, 0, 300]).to_string(), "[700, 0, 300]");
    }
}
