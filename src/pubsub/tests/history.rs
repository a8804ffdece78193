//! Histories: which messages they retain, and what a resuming client gets.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{
    Gap, GapReason, LOG_OVERHEAD_BYTES, Log, LogLimits, Logs, MESSAGE_OVERHEAD_BYTES, Position, Resumed, Start,
};
use super::{HistoryLimits, Publication, message, topic};

/// An arbitrary start time.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made from a number")]
pub(super) fn moment() -> Instant {
    Instant::now()
}

fn position(epoch: u64, sequence: u64) -> Position {
    Position { epoch, sequence }
}

pub(super) fn after(epoch: u64, sequence: u64) -> Start {
    Start::After(position(epoch, sequence))
}

/// Numbers and retains a message of a topic with the default history.
fn append(logs: &mut Logs, message: Publication, now: Instant) -> Publication {
    let topic = message.topic.clone();
    logs.append(&topic, HistoryLimits::default(), |_| message, now)
}

/// A model of the retained messages: number, time and size.
struct Model {
    limits: HistoryLimits,
    all: Vec<(u64, Instant, usize)>,
    /// The oldest retained message; expired messages never return.
    oldest: usize,
}

impl Model {
    fn forget(&mut self, now: Instant) {
        let is_kept = |kept: &[(u64, Instant, usize)]| {
            let bytes: usize = kept.iter().map(|(_, _, size)| size + LOG_OVERHEAD_BYTES).sum();
            let is_young = kept
                .iter()
                .all(|(_, at, _)| now.duration_since(*at) < self.limits.max_age);
            kept.len() <= self.limits.max_messages && bytes <= self.limits.max_bytes && is_young
        };
        while !is_kept(&self.all[self.oldest..]) {
            self.oldest += 1;
        }
    }

    /// Returns the numbers behind a position as far as they fit and whether those are all, or how many are gone.
    fn resume(&self, after: u64, bytes_max: usize) -> Result<(Vec<u64>, bool), GapReason> {
        let last = self.all.len() as u64;
        if after > last {
            return Err(GapReason::NotYet);
        }
        if after < self.oldest as u64 {
            return Err(GapReason::Expired {
                messages: self.oldest as u64 - after,
            });
        }
        let mut given: Vec<u64> = Vec::new();
        let mut bytes = 0;
        for (number, _, size) in self.all.iter().filter(|(number, _, _)| *number > after) {
            bytes += size + MESSAGE_OVERHEAD_BYTES;
            if bytes > bytes_max && !given.is_empty() {
                return Ok((given, false));
            }
            given.push(*number);
        }
        Ok((given, true))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Wait(u64),
    Resume(u64, usize),
}

proptest! {
    #[test]
    fn a_log_agrees_with_its_model(
        steps in vec(prop_oneof![
            4 => (0..300_usize).prop_map(Step::Append),
            2 => (0..4_u64).prop_map(Step::Wait),
            4 => (0..60_u64, 0..2000_usize).prop_map(|(after, bytes)| Step::Resume(after, bytes)),
        ], 1..150),
    ) {
        let limits = HistoryLimits { max_messages: 12, max_bytes: 2500, max_age: Duration::from_secs(10) };
        let mut now = moment();
        let mut log = Log::new(3, limits);
        let mut model = Model { limits, all: Vec::new(), oldest: 0 };
        for step in steps {
            match step {
                Step::Append(size) => {
                    let number = model.all.len() as u64 + 1;
                    model.all.push((number, now, size));
                    let given = log.append(|_| message("t", vec![b'x'; size]), now);
                    prop_assert_eq!(given.position, Some(position(3, number)));
                    model.forget(now);
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Resume(after, bytes_max) => {
                    model.forget(now);
                    let expected = model.resume(after, bytes_max);
                    match log.resume(Start::After(position(3, after)), bytes_max, now) {
                        Resumed::Messages { publications, is_end, last } => {
                            prop_assert_eq!(last, log.last());
                            let numbers = publications.iter().map(|given| given.position.unwrap().sequence).collect();
                            prop_assert_eq!(Ok((numbers, is_end)), expected);
                            let sizes = publications.iter().map(|given| given.message.len());
                            let skipped = usize::try_from(after).unwrap();
                            prop_assert!(sizes.eq(model.all[skipped..].iter().take(publications.len()).map(|(_, _, size)| *size)));
                        }
                        Resumed::Gap(gap) => {
                            prop_assert_eq!(Err(gap.reason), expected);
                            prop_assert_eq!(gap.last, log.last());
                        }
                    }
                    prop_assert_eq!(log.messages(), model.all.len() - model.oldest);
                }
            }
        }
    }
}

#[test]
fn a_position_of_another_count_is_a_gap() {
    let mut log = Log::new(5, HistoryLimits::default());
    log.append(|_| message("t", "1"), moment());
    for epoch in [4, 6] {
        let gap = Gap {
            reason: GapReason::OtherEpoch,
            last: position(5, 1),
        };
        assert_eq!(log.resume(after(epoch, 1), 100, moment()), Resumed::Gap(gap));
    }
}

#[test]
fn a_history_gives_messages_back_as_they_were_published() {
    let now = moment();
    let mut logs = Logs::new(LogLimits::default(), 1);
    let publication = append(&mut logs, message("t", "1").with_key("k"), now);
    assert_eq!(publication.position, Some(position(1, 1)));
    let resumed = logs.resume(&topic("t"), after(1, 0), 100, now);
    let expected = Resumed::Messages {
        publications: vec![publication],
        is_end: true,
        last: position(1, 1),
    };
    assert_eq!(resumed, expected);
}

#[test]
fn the_last_messages_need_no_position_and_never_yield_a_gap() {
    let now = moment();
    let mut logs = Logs::new(LogLimits::default(), 1);
    let last = |logs: &mut Logs, messages| match logs.resume(&topic("t"), Start::Last(messages), usize::MAX, now) {
        Resumed::Messages {
            publications, is_end, ..
        } => {
            assert!(is_end);
            publications
                .iter()
                .map(|given| given.message.clone())
                .collect::<Vec<_>>()
        }
        Resumed::Gap(gap) => panic!("{gap:?}"),
    };
    assert_eq!(last(&mut logs, 5), Vec::<&str>::new(), "there has been none yet");
    for content in ["1", "2", "3"] {
        append(&mut logs, message("t", content), now);
    }
    assert_eq!(last(&mut logs, 0), Vec::<&str>::new());
    assert_eq!(last(&mut logs, 2), ["2", "3"]);
    assert_eq!(last(&mut logs, 5), ["1", "2", "3"]);
}

/// Resumes from a position; returns the numbers of the missed messages or the reason of the gap, and the topic's last
/// position.
fn answer(logs: &mut Logs, name: &str, start: Start, now: Instant) -> (Result<Vec<u64>, GapReason>, Position) {
    match logs.resume(&topic(name), start, usize::MAX, now) {
        Resumed::Messages { publications, last, .. } => {
            let positions = publications.iter().map(|given| given.position.unwrap());
            (Ok(positions.map(|given| given.sequence).collect()), last)
        }
        Resumed::Gap(Gap { reason, last }) => (Err(reason), last),
    }
}

#[test]
fn a_client_that_resumes_before_the_first_message_misses_none() {
    let mut now = moment();
    let mut logs = Logs::new(LogLimits::default(), 10);
    let (given, place) = answer(&mut logs, "a", Start::Last(5), now);
    assert_eq!((given, place), (Ok(vec![]), position(10, 0)));
    let after = Start::After(place);
    assert_eq!(answer(&mut logs, "a", after, now), (Ok(vec![]), place), "still none");
    assert_eq!(logs.topics(), 0, "resuming creates no topic");
    append(&mut logs, message("b", "x"), now);
    assert_eq!(answer(&mut logs, "a", after, now), (Ok(vec![]), position(11, 0)));
    for content in ["1", "2"] {
        append(&mut logs, message("a", content), now);
    }
    assert_eq!(answer(&mut logs, "a", after, now), (Ok(vec![1, 2]), position(11, 2)));
    // A position of an epoch that has not begun, and the unknown position.
    for (name, place) in [
        ("a", position(12, 0)),
        ("c", position(13, 0)),
        ("a", Position::UNKNOWN),
        ("c", Position::UNKNOWN),
    ] {
        let (given, _) = answer(&mut logs, name, Start::After(place), now);
        assert_eq!(given, Err(GapReason::OtherEpoch), "{name} {place}");
    }
    // Both topics are removed, and "a" begins a second epoch: the state of its first epoch is lost.
    now += Duration::from_secs(7200);
    logs.expire(now);
    logs.expire(now);
    assert_eq!(logs.topics(), 0);
    assert_eq!(answer(&mut logs, "a", after, now).0, Err(GapReason::OtherEpoch));
    append(&mut logs, message("a", "3"), now);
    assert_eq!(answer(&mut logs, "a", after, now).0, Err(GapReason::OtherEpoch));
}

#[test]
fn the_unknown_epoch_is_never_assigned() {
    let mut logs = Logs::new(LogLimits::default(), 0);
    let (given, _) = answer(&mut logs, "a", Start::After(Position::UNKNOWN), moment());
    assert_eq!(given, Err(GapReason::OtherEpoch));
}

#[test]
fn an_idle_topic_is_forgotten_and_begins_a_new_epoch() {
    let mut now = moment();
    let mut logs = Logs::new(LogLimits::default(), 10);
    let append = |logs: &mut Logs, name: &str, now| append(logs, message(name, "x"), now).position.unwrap();
    assert_eq!(append(&mut logs, "a", now), position(10, 1));
    assert_eq!(append(&mut logs, "b", now), position(11, 1));
    now += Duration::from_secs(3599);
    assert_eq!(append(&mut logs, "a", now), position(10, 2));
    now += Duration::from_secs(1);
    logs.expire(now);
    assert_eq!((logs.topics(), logs.last(&topic("b"))), (1, None));
    assert_eq!(append(&mut logs, "b", now), position(13, 1));
    let Resumed::Gap(gap) = logs.resume(&topic("b"), after(11, 1), 100, now) else {
        panic!("the old count is gone");
    };
    assert_eq!(gap.reason, GapReason::OtherEpoch);
    now += Duration::from_secs(7200);
    logs.expire(now);
    assert_eq!((logs.topics(), logs.bytes()), (0, 0));
}

#[test]
fn all_histories_together_are_bounded() {
    let now = moment();
    let limits = LogLimits {
        max_histories: 2,
        max_history_bytes: 3 * (LOG_OVERHEAD_BYTES + 1),
        ..LogLimits::default()
    };
    let mut logs = Logs::new(limits, 1);
    for name in ["a", "b", "a", "a"] {
        append(&mut logs, message(name, "x"), now);
    }
    assert_eq!(
        logs.bytes(),
        LOG_OVERHEAD_BYTES + 1,
        "the topic whose message found no room dropped its history"
    );
    let Resumed::Gap(gap) = logs.resume(&topic("a"), after(1, 2), 100, now) else {
        panic!("it is gone");
    };
    assert_eq!(
        (gap.reason, gap.last),
        (GapReason::Expired { messages: 1 }, position(1, 3))
    );
    assert!(matches!(
        logs.resume(&topic("b"), after(2, 0), 100, now),
        Resumed::Messages { .. }
    ));
}

#[test]
fn a_new_topic_takes_the_place_of_one_that_has_been_idle_for_long() {
    let mut now = moment();
    let limits = LogLimits {
        max_histories: 100,
        ..LogLimits::default()
    };
    let mut logs = Logs::new(limits, 1);
    for number in 0..100 {
        append(&mut logs, message(&number.to_string(), "x"), now);
        now += Duration::from_secs(1);
    }
    // The first five topics stay active, so they are retained.
    for number in 0..5 {
        append(&mut logs, message(&number.to_string(), "x"), now);
    }
    for number in 0..50 {
        assert_eq!(
            append(&mut logs, message(&format!("new/{number}"), "x"), now)
                .position
                .unwrap()
                .sequence,
            1
        );
        assert_eq!(logs.topics(), 100);
    }
    for number in 0..5 {
        assert_eq!(logs.last(&topic(&number.to_string())), Some(position(number + 1, 2)));
    }
    assert_eq!(logs.last(&topic("5")), None, "the first of the idle has gone");
    assert_eq!(logs.bytes(), (100 + 5) * (LOG_OVERHEAD_BYTES + 1));
    let Resumed::Gap(gap) = logs.resume(&topic("5"), after(6, 1), 100, now) else {
        panic!("the old count is gone");
    };
    assert_eq!(gap.reason, GapReason::OtherEpoch);
}
