//! The table and a slow, simple model of it: both get the same commands and are compared after each.
//!
//! A command is a line: a verb, a subscriber's number in one digit, and a name. `+` subscribes, `-` unsubscribes, `0`
//! unsubscribes from everything, `x` leaves, `<` takes, `.` ends the turn. `!` publishes; its digit is the number of
//! additional messages in the same call.

use std::collections::{BTreeMap, BTreeSet};

use super::api::{
    Limits, OutboxItem, Pattern, Publication, SubscribeError, SubscriberId, TakeLimits, Topic, TopicRules, Topics,
};

const SUBSCRIPTIONS_MAX: usize = 6;
const TOPICS_MAX: usize = 10;

/// The table, the model, and which subscribers correspond.
pub(crate) struct SideBySide {
    topics: Topics,
    model: BTreeMap<u8, Modelled>,
    published: u64,
}

struct Modelled {
    id: SubscriberId,
    patterns: BTreeSet<String>,
    waiting: Vec<String>,
}

impl SideBySide {
    pub(crate) fn new() -> Self {
        let limits = Limits::default()
            .max_subscriptions(SUBSCRIPTIONS_MAX)
            .max_topics(TOPICS_MAX);
        Self {
            topics: Topics::new(limits, TopicRules::default()),
            model: BTreeMap::new(),
            published: 0,
        }
    }

    /// Executes a line; skips a line that is not a command.
    pub(crate) fn command(&mut self, line: &str) {
        let mut parts = line.chars();
        let (Some(verb), Some(number)) = (parts.next(), parts.next()) else {
            return;
        };
        let name = parts.as_str().trim_start_matches(' ');
        let number = if number.is_ascii_digit() { number as u8 } else { b'0' };
        match verb {
            '+' => self.subscribe(number, name),
            '-' => self.unsubscribe(number, name),
            '0' => self.unsubscribe_all(number),
            'x' => self.leave(number),
            '!' => self.publish(u64::from(number - b'0') + 1, name),
            '<' => self.take(number),
            '.' => self.end_turn(),
            _ => {}
        }
        self.compare();
    }

    /// Removes all subscribers, and checks that nothing is left.
    pub(crate) fn finish(mut self) {
        for number in b'0'..=b'9' {
            self.leave(number);
            self.compare();
        }
        let statistics = self.topics.statistics();
        assert_eq!(
            (statistics.subscribers, statistics.topics, statistics.waiting_bytes),
            (0, 0, 0)
        );
        let sent = statistics.taken + statistics.given_up;
        assert_eq!(statistics.deliveries.queued, sent, "{statistics:?}");
        assert_eq!(self.topics.next_announced(), None);
    }

    fn subscribe(&mut self, number: u8, text: &str) {
        let Ok(pattern) = Pattern::new(text) else {
            return;
        };
        let all = self.all_patterns();
        let topics = &mut self.topics;
        let modelled = self.model.entry(number).or_insert_with(|| Modelled {
            id: topics.join().expect("there is room for ten"),
            patterns: BTreeSet::new(),
            waiting: Vec::new(),
        });
        let expected = if modelled.patterns.contains(text) {
            Ok(false)
        } else if modelled.patterns.len() == SUBSCRIPTIONS_MAX {
            Err(SubscribeError::TooManySubscriptions)
        } else if !all.contains(text) && all.len() == TOPICS_MAX {
            Err(SubscribeError::TooManyTopics)
        } else {
            modelled.patterns.insert(text.to_owned());
            Ok(true)
        };
        assert_eq!(self.topics.subscribe(modelled.id, &pattern), expected, "{text}");
    }

    fn unsubscribe(&mut self, number: u8, text: &str) {
        let (Ok(pattern), Some(modelled)) = (Pattern::new(text), self.model.get_mut(&number)) else {
            return;
        };
        let was_there = modelled.patterns.remove(text);
        assert_eq!(self.topics.unsubscribe(modelled.id, &pattern), was_there, "{text}");
    }

    fn unsubscribe_all(&mut self, number: u8) {
        if let Some(modelled) = self.model.get_mut(&number) {
            modelled.patterns.clear();
            self.topics.unsubscribe_all(modelled.id);
        }
    }

    fn leave(&mut self, number: u8) {
        if let Some(modelled) = self.model.remove(&number) {
            self.topics.leave(modelled.id);
            let late = self
                .topics
                .subscribe(modelled.id, &Pattern::new("late").expect("it is a topic"));
            assert_eq!(late, Err(SubscribeError::Left));
        }
    }

    fn publish(&mut self, messages: u64, name: &str) {
        let Ok(topic) = Topic::new(name) else {
            return;
        };
        let first = self.published + 1;
        self.published += messages;
        let contents: Vec<_> = (first..=self.published).map(|number| number.to_string()).collect();
        let publication = |content: &String| Publication::new(topic.clone(), content.clone());
        let publications: Vec<_> = contents.iter().map(publication).collect();
        let receipt = self.topics.publish_all(&publications);
        let mut count = 0;
        for modelled in self.model.values_mut() {
            if modelled.patterns.iter().any(|pattern| fits(pattern, name)) {
                count += messages;
                modelled.waiting.extend_from_slice(&contents);
            }
        }
        assert_eq!(
            (receipt.matched, receipt.queued, receipt.missed()),
            (count, count, 0),
            "{name}"
        );
    }

    fn take(&mut self, number: u8) {
        if let Some(modelled) = self.model.get_mut(&number) {
            let mut messages = Vec::new();
            let limits = TakeLimits {
                messages: usize::MAX,
                bytes: usize::MAX,
            };
            let taken = self.topics.take(modelled.id, limits, |slice| {
                messages.extend(
                    slice
                        .publications()
                        .iter()
                        .map(|publication| publication.message.clone()),
                );
            });
            assert_eq!(messages, modelled.waiting);
            assert_eq!(taken.next, OutboxItem::Nothing);
            modelled.waiting.clear();
        }
    }

    /// Takes from every announced subscriber; these must be exactly the subscribers with waiting messages, each once.
    fn end_turn(&mut self) {
        let mut announced = BTreeSet::new();
        while let Some(id) = self.topics.next_announced() {
            let number = self
                .model
                .iter()
                .find(|(_, modelled)| modelled.id == id)
                .map(|(number, _)| *number);
            let number = number.expect("only a joined subscriber is announced");
            assert!(announced.insert(number), "{number} is announced twice");
            self.take(number);
        }
        assert!(self.model.values().all(|modelled| modelled.waiting.is_empty()));
    }

    fn all_patterns(&self) -> BTreeSet<String> {
        self.model
            .values()
            .flat_map(|modelled| modelled.patterns.iter().cloned())
            .collect()
    }

    fn compare(&self) {
        let all = self.all_patterns();
        assert_eq!(self.topics.statistics().topics, all.len());
        assert_eq!(self.topics.statistics().subscribers, self.model.len());
        for text in &all {
            let count = self
                .model
                .values()
                .filter(|modelled| modelled.patterns.contains(text))
                .count();
            let pattern = Pattern::new(text).expect("it was subscribed to");
            assert_eq!(self.topics.subscriber_count(&pattern), count, "{text}");
        }
    }
}

/// Returns whether a pattern matches a topic, by trying to write the topic as the pattern says.
fn fits(pattern: &str, topic: &str) -> bool {
    match (pattern.split_once('/'), topic.split_once('/')) {
        (None, None) => pattern == topic || pattern == "*" || pattern == "**",
        (None, Some(_)) => pattern == "**",
        (Some(_), None) => false,
        (Some((first, pattern)), Some((name, topic))) => (first == "*" || first == name) && fits(pattern, topic),
    }
}
