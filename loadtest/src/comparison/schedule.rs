//! The schedule of a comparison: the order of its runs.
//!
//! Within a round, each workload runs all its contenders before the next workload begins. Each round starts with
//! another contender, so that drift (clock, temperature, neighbours) affects all of them equally.

use std::time::Duration;

use crate::workload::{Timing, Workload};

/// Time of a run besides its windows: starting the server and ending it.
const OVERHEAD: Duration = Duration::from_millis(250);

/// One contender under one workload in one round, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScheduledRun {
    pub(crate) round: u32,
    pub(crate) workload: usize,
    pub(crate) contender: usize,
}

/// The contenders of one workload, and its number of rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkloadSchedule {
    pub(crate) rounds: u32,
    pub(crate) contenders: Vec<usize>,
}

/// Returns all runs in order; `entries` has one element for each workload.
pub(crate) fn interleave(entries: &[WorkloadSchedule]) -> Vec<ScheduledRun> {
    let rounds = entries.iter().map(|entry| entry.rounds).max().unwrap_or(0);
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for (workload, entry) in entries.iter().enumerate().filter(|(_, entry)| round <= entry.rounds) {
            let count = entry.contenders.len();
            let first = (round as usize - 1) % count.max(1);
            let in_turn = entry.contenders.iter().cycle().skip(first).take(count);
            runs.extend(in_turn.map(|contender| ScheduledRun {
                round,
                workload,
                contender: *contender,
            }));
        }
    }
    runs
}

/// Estimates the length of one contender's run under `workload`.
pub(crate) fn length(workload: &Workload, timing: Timing) -> Duration {
    // Opening a connection and sending a request on it takes about 100 µs on both sides.
    let connecting = Duration::from_micros(100) * u32::try_from(workload.connections()).unwrap_or(u32::MAX);
    OVERHEAD + connecting + workload.load_length(timing)
}

/// Returns the most rounds, from 1 to `most`, whose lengths fit into `budget`.
pub(crate) fn rounds_within(budget: Duration, most: u32, round_length: impl Fn(u32) -> Duration) -> u32 {
    let mut total = Duration::ZERO;
    for round in 1..=most {
        total += round_length(round);
        if total > budget {
            return (round - 1).max(1);
        }
    }
    most.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(rounds: u32, contenders: &[usize]) -> WorkloadSchedule {
        WorkloadSchedule {
            rounds,
            contenders: contenders.to_vec(),
        }
    }

    fn labels(runs: &[ScheduledRun]) -> Vec<String> {
        let label =
            |run: &ScheduledRun| format!("{}{}{}", run.round, ["a", "b", "c", "d"][run.workload], run.contender);
        runs.iter().map(label).collect()
    }

    #[test]
    fn rounds_visit_every_workload_and_start_with_another_contender() {
        let runs = interleave(&[entry(3, &[0, 1, 2]), entry(3, &[2, 5])]);
        assert_eq!(
            labels(&runs),
            [
                "1a0", "1a1", "1a2", "1b2", "1b5", "2a1", "2a2", "2a0", "2b5", "2b2", "3a2", "3a0", "3a1", "3b2", "3b5"
            ]
        );
    }

    #[test]
    fn workload_with_fewer_rounds_or_without_contenders_drops_out() {
        let runs = interleave(&[entry(1, &[0]), entry(2, &[]), entry(2, &[1]), entry(0, &[1])]);
        assert_eq!(labels(&runs), ["1a0", "1c1", "2c1"]);
        assert!(interleave(&[]).is_empty());
    }

    #[test]
    fn rounds_fill_the_budget_and_are_at_least_one() {
        let minute = Duration::from_secs(60);
        let first_is_long = |round| if round == 1 { minute * 3 } else { minute };
        for (minutes, rounds) in [(1, 1), (3, 1), (4, 2), (5, 3), (60, 3)] {
            assert_eq!(rounds_within(minute * minutes, 3, first_is_long), rounds, "{minutes}");
        }
    }
}
