//! Warns when a shard has far more connections than its share: connections never move, so it stays the busiest.
//!
//! A lasting imbalance is logged once, with the count of every shard. A shard's connections are its open sockets,
//! including those it opened itself.

use std::time::{Duration, Instant};

/// The least number of connections that counts as too many. 512: by chance alone, the kernel's hash would give a shard
/// a third more than its share only at six standard deviations.
const CONNECTIONS_MIN: usize = 512;

/// How many times its share a shard may have, as a fraction. Above 4/3 its core is full while the others idle a quarter
/// of the time.
const SHARES_MAX: (usize, usize) = (4, 3);

/// The least time between two warnings.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Returns for each shard whether it has far more connections than its share.
pub(crate) fn overfull(connections: &[usize]) -> Vec<bool> {
    let (shares, divisor) = SHARES_MAX;
    let shares_of_all = shares.saturating_mul(connections.iter().sum());
    let of_all = |count: usize| count.saturating_mul(divisor).saturating_mul(connections.len());
    let is_overfull = |count| count >= CONNECTIONS_MIN && of_all(count) > shares_of_all;
    connections.iter().map(|count| is_overfull(*count)).collect()
}

/// The warnings already logged.
#[derive(Debug, Default)]
pub(crate) struct ImbalanceLog {
    is_reported: bool,
    reported_at: Option<Instant>,
}

impl ImbalanceLog {
    /// Logs a warning if a shard is overfull and no warning has covered it; returns whether it did.
    pub(crate) fn report(&mut self, connections: &[usize], overfull: &[bool], now: Instant) -> bool {
        if !overfull.contains(&true) {
            self.is_reported = false;
            return false;
        }
        let is_due = |reported_at| now.saturating_duration_since(reported_at) >= REPORT_INTERVAL;
        if self.is_reported || !self.reported_at.is_none_or(is_due) {
            return false;
        }
        self.is_reported = true;
        self.reported_at = Some(now);
        tracing::warn!(
            ?connections,
            "a shard has far more connections than its share and keeps them; use --balance to send new ones to the other shards, \
             or with --steer-by-cpu spread the network card's queues over the shards' CPUs"
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_may_have_a_third_more_than_its_share_and_up_to_511_in_any_case() {
        assert_eq!(overfull(&[700, 300]), [true, false]);
        assert_eq!(overfull(&[0, 667, 333]), [false, true, false]);
        assert_eq!(overfull(&[900, 900, 100, 100]), [true, true, false, false]);
        for fair in [&[][..], &[9000], &[532, 468], &[666, 334], &[511, 0], &[0, 0, 0]] {
            assert!(!overfull(fair).contains(&true), "{fair:?}");
        }
    }

    #[test]
    fn a_lasting_imbalance_is_reported_once_and_a_new_one_after_the_interval() {
        let (mut imbalance_log, start) = (ImbalanceLog::default(), crate::clock::now());
        let mut look = |connections: &[usize], seconds| {
            let now = start + Duration::from_secs(seconds);
            imbalance_log.report(connections, &overfull(connections), now)
        };
        let (fair, skewed) = ([500, 500], [700, 300]);
        assert!(!look(&fair, 0));
        assert!(look(&skewed, 1));
        assert!(!look(&skewed, 60), "already reported");
        assert!(!look(&fair, 61));
        assert!(look(&skewed, 62), "a new imbalance");
        assert!(!look(&fair, 63));
        assert!(!look(&skewed, 71), "within the interval");
        assert!(look(&skewed, 72));
    }
}
