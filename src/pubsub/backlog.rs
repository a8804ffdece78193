//! The queue of a subscriber with more than one entry waiting, and the policies that shorten it.
//!
//! Two marks bound the queue. At the high mark the subscriber *lags*: a policy makes one pass over the queue and brings
//! it well below the mark. The messages since the last pass pay for it. At the low mark the subscriber has caught up.
//!
//! The queue is in the order of publication, except that a conflated value keeps the place of the first value of its
//! key.
//!
//! Invariants:
//!
//! - `bytes` is the weight of the queue's entries.
//! - While the subscriber lags, `latest` maps each conflated key to the number of its only entry; otherwise `latest` is
//!   empty.
//! - Messages of a topic in `resyncs` are not queued.

use std::collections::{HashMap, VecDeque};
use std::mem;

use super::batch::Batch;
use super::by_key::{ByKey, MadeHash};
use super::limits::{MESSAGE_OVERHEAD_BYTES, RESYNCS_MAX};
use super::notice::{Missed, Notice};
use super::position::Start;
use super::receipt::Receipt;
use super::rules::SlowConsumer;
use super::take::{OutboxItem, QueueLimits, Resync, TakeLimits, TakeStatus, Unsent};
use super::topic::Topic;
use crate::message::CloseCode;

/// Least share of the high mark that must be droppable before a pass is made. An eighth: without it, a queue of
/// undroppable messages would cost a pass per message.
const WORTH_A_PASS: usize = 8;

/// A queue with policies.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: VecDeque<Entry>,
    /// The number of the first entry, counted from the creation of the backlog.
    first: u64,
    bytes: usize,
    droppable_bytes: usize,
    is_lagging: bool,
    latest: HashMap<ByKey, u64, MadeHash>,
    resyncs: Vec<PendingResync>,
    close: Option<CloseCode>,
}

#[derive(Debug)]
enum Entry {
    /// Messages; exactly one if its topic conflates.
    Messages(Batch),
    /// A notice to the subscriber.
    Notice(Box<Notice>),
}

/// A topic whose messages will come from its history.
#[derive(Debug)]
struct PendingResync {
    resync: Resync,
    /// Whether the server has been asked for the history.
    is_asked: bool,
}

/// The result of replacing an older value.
enum Replaced {
    Done,
    /// The key has no older value.
    Absent,
    /// The new value is longer than the older one and does not fit.
    TooLong,
}

impl Backlog {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many entries the queue has memory for.
    pub(super) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Resets an idle backlog; its queue keeps its memory.
    pub(super) fn reset(&mut self) {
        let queue = mem::take(&mut self.queue);
        *self = Self {
            queue,
            ..Self::default()
        };
    }

    /// Returns whether the backlog holds no entry, no resync and no close code.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.resyncs.is_empty() && self.close.is_none()
    }

    /// Returns whether [`take`](Self::take) would yield something.
    pub(super) fn has_next(&self) -> bool {
        let is_asking = self.resyncs.iter().any(|pending| !pending.is_asked);
        !self.queue.is_empty() || is_asking || self.close.is_some()
    }

    pub(super) fn messages(&self) -> usize {
        let messages = |entry: &Entry| match entry {
            Entry::Messages(batch) => batch.len(),
            Entry::Notice(_) => 0,
        };
        self.queue.iter().map(messages).sum()
    }

    /// Queues a message, or applies the policies of the queued messages and then its own.
    pub(super) fn push(&mut self, message: &Batch, room: QueueLimits, receipt: &mut Receipt) {
        let room = QueueLimits {
            // The ceiling of this queue, which must not move while policies change `bytes`.
            left: room.left.saturating_add(self.bytes),
            ..room
        };
        if self.close.is_some() {
            receipt.refused += 1;
        } else if self.is_resyncing(message.topic()) {
            receipt.deferred += 1;
        } else if self.admit(message, room, receipt) {
            receipt.queued += 1;
        } else {
            self.reject(message, receipt);
        }
        if self.is_lagging && self.bytes <= room.low {
            self.end_lag();
        }
    }

    /// Queues a message if there is room or room can be made; returns whether it was queued.
    fn admit(&mut self, message: &Batch, room: QueueLimits, receipt: &mut Receipt) -> bool {
        let replaces = message.is_conflated();
        // A value that fits in the place of an older one needs no pass.
        if replaces && matches!(self.replace(message, room, receipt), Replaced::Done) {
            return true;
        }
        if self.is_lagging && message.slow_consumer() == SlowConsumer::DropNewest {
            return false;
        }
        if !self.fits(message.weight(), room) {
            self.make_room(message.weight(), room, receipt);
            let is_late = self.bytes > room.low && message.slow_consumer() == SlowConsumer::DropNewest;
            if is_late || !replaces && !self.fits(message.weight(), room) {
                return false;
            }
        }
        // Making room may have begun the lag, so the key may have an older value now.
        match self.replace(message, room, receipt) {
            Replaced::Done => true,
            Replaced::TooLong => false,
            Replaced::Absent if self.fits(message.weight(), room) => {
                self.append(message.clone());
                true
            }
            Replaced::Absent => false,
        }
    }

    /// Applies the policy of a message that found no room.
    fn reject(&mut self, message: &Batch, receipt: &mut Receipt) {
        let position = message
            .publications()
            .first()
            .and_then(|publication| publication.position);
        match (message.slow_consumer(), position) {
            (SlowConsumer::Close(code), _) => {
                receipt.refused += 1;
                receipt.displaced += self.messages() as u64;
                receipt.closed += 1;
                self.clear();
                self.close = Some(code);
            }
            // With an empty queue the shard itself is full, and a resync would find no room either.
            (SlowConsumer::Resync, Some(position)) if !self.queue.is_empty() && self.can_resync() => {
                receipt.deferred += 1;
                self.resync(message.topic().clone(), Start::After(position.before()));
            }
            _ => {
                receipt.refused += 1;
                self.note_missed(message);
            }
        }
    }

    fn fits(&self, weight: usize, room: QueueLimits) -> bool {
        let is_within_mark = self.queue.is_empty() || self.bytes + weight <= room.high;
        is_within_mark && self.bytes + weight <= room.left
    }

    /// Conflates and drops messages to make room for a message of the given weight.
    fn make_room(&mut self, weight: usize, room: QueueLimits, receipt: &mut Receipt) {
        if !self.is_lagging {
            self.is_lagging = true;
            // Once per lag: afterwards `replace` keeps the queue conflated.
            self.conflate(receipt);
        }
        if !self.fits(weight, room) && self.droppable_bytes >= room.high / WORTH_A_PASS {
            self.drop_oldest(room.low.saturating_sub(weight), receipt);
        }
    }

    /// Keeps only the latest value of each key, in the place of the first.
    fn conflate(&mut self, receipt: &mut Receipt) {
        let anywhere = QueueLimits {
            high: usize::MAX,
            low: 0,
            left: usize::MAX,
        };
        self.rebuild(|backlog, batch| {
            if !batch.is_conflated() || !matches!(backlog.replace(&batch, anywhere, receipt), Replaced::Done) {
                backlog.append(batch);
            }
        });
    }

    /// Replaces the value of a key in place, if the subscriber lags.
    fn replace(&mut self, value: &Batch, room: QueueLimits, receipt: &mut Receipt) -> Replaced {
        if !self.is_lagging || !value.is_conflated() {
            return Replaced::Absent;
        }
        let key = ByKey(value.clone());
        let Some(number) = self.latest.get(&key).copied() else {
            return Replaced::Absent;
        };
        let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        let Some(Entry::Messages(older)) = self.queue.get_mut(index) else {
            return Replaced::Absent;
        };
        let bytes = self.bytes - older.weight() + value.weight();
        if value.weight() > older.weight() && (bytes > room.high || bytes > room.left) {
            return Replaced::TooLong;
        }
        self.droppable_bytes = self.droppable_bytes - older.weight() + value.weight();
        self.bytes = bytes;
        *older = value.clone();
        // The key in the map would keep the older value alive, so it is replaced too.
        self.latest.remove(&key);
        self.latest.insert(key, number);
        receipt.conflated += 1;
        Replaced::Done
    }

    /// Drops the oldest droppable messages until at most `bytes_max` bytes are left.
    fn drop_oldest(&mut self, bytes_max: usize, receipt: &mut Receipt) {
        let mut excess = self.bytes.saturating_sub(bytes_max);
        self.rebuild(|backlog, mut batch| {
            // Undroppable messages stay; the pass continues behind them.
            while excess > 0
                && batch.is_droppable()
                && let Some(oldest) = batch.split_first()
            {
                excess = excess.saturating_sub(oldest.weight());
                receipt.displaced += 1;
                backlog.note_missed(&oldest);
            }
            if !batch.is_empty() {
                backlog.append(batch);
            }
        });
    }

    /// Empties the queue and passes all messages to `admit`, in order.
    fn rebuild(&mut self, mut admit: impl FnMut(&mut Self, Batch)) {
        self.latest.clear();
        self.bytes = 0;
        self.droppable_bytes = 0;
        for entry in mem::take(&mut self.queue) {
            match entry {
                Entry::Messages(batch) => admit(self, batch),
                Entry::Notice(notice) => match *notice {
                    Notice::Missed(missed) => self.add_missed(missed),
                    other => self.add_notice(other),
                },
            }
        }
    }

    /// Returns whether these messages can be queued without applying a policy, given room.
    pub(super) fn is_open_to(&self, batch: &Batch) -> bool {
        let acts_on_new = matches!(batch.slow_consumer(), SlowConsumer::DropNewest | SlowConsumer::Conflate);
        self.close.is_none() && !(self.is_lagging && acts_on_new) && !self.is_resyncing(batch.topic())
    }

    /// Queues messages regardless of the marks.
    pub(super) fn append(&mut self, batch: Batch) {
        self.bytes += batch.weight();
        if batch.is_droppable() {
            self.droppable_bytes += batch.weight();
        }
        if self.is_lagging && batch.is_conflated() {
            let number = self.first + self.queue.len() as u64;
            self.latest.insert(ByKey(batch.clone()), number);
        }
        self.queue.push_back(Entry::Messages(batch));
    }

    fn note_missed(&mut self, message: &Batch) {
        if message.tell_missed() {
            self.add_missed(Missed {
                topic: Some(message.topic().clone()),
                count: 1,
            });
        }
    }

    /// Adds a missed notice at the end of the queue, or adds to the one already there.
    fn add_missed(&mut self, missed: Missed) {
        if let Some(Entry::Notice(last)) = self.queue.back_mut()
            && let Notice::Missed(last) = &mut **last
        {
            last.count += missed.count;
            if last.topic != missed.topic {
                last.topic = None;
            }
        } else {
            self.add_notice(Notice::Missed(missed));
        }
    }

    /// Queues a notice behind the waiting messages.
    pub(super) fn add_notice(&mut self, notice: Notice) {
        if self.close.is_none() {
            self.bytes += MESSAGE_OVERHEAD_BYTES;
            self.queue.push_back(Entry::Notice(Box::new(notice)));
        }
    }

    /// Takes a topic's unsent messages, and those behind them, from its history; counts them.
    pub(super) fn fall_back(&mut self, unsent: &Unsent, receipt: &mut Receipt) {
        receipt.matched += unsent.messages;
        if self.is_resyncing(&unsent.topic) {
            receipt.deferred += unsent.messages;
        } else if self.can_resync() {
            receipt.deferred += unsent.messages;
            self.resync(unsent.topic.clone(), Start::After(unsent.after));
        } else {
            receipt.refused += unsent.messages;
            if self.close.is_none() {
                self.add_missed(Missed {
                    topic: Some(unsent.topic.clone()),
                    count: unsent.messages,
                });
            }
        }
    }

    fn end_lag(&mut self) {
        self.is_lagging = false;
        if self.latest.capacity() > 0 {
            self.latest = HashMap::default();
        }
    }

    /// Drops everything that waits.
    fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.resyncs = Vec::new();
        self.bytes = 0;
        self.droppable_bytes = 0;
        self.end_lag();
    }

    /// Returns whether the server has been asked for this history and has not responded yet.
    pub(super) fn awaits(&self, resync: &Resync) -> bool {
        let mut pending = self.resyncs.iter();
        pending.any(|pending| pending.is_asked && pending.resync == *resync)
    }

    fn is_resyncing(&self, topic: &Topic) -> bool {
        self.resyncs.iter().any(|pending| pending.resync.topic == *topic)
    }

    /// Takes a topic's messages from its history, from `start` on.
    pub(super) fn resync(&mut self, topic: Topic, start: Start) {
        self.end_resync(&topic);
        self.resyncs.push(PendingResync {
            resync: Resync { topic, start },
            is_asked: false,
        });
    }

    /// Takes a topic's messages from its publishers again; returns whether it was resyncing.
    pub(super) fn end_resync(&mut self, topic: &Topic) -> bool {
        let before = self.resyncs.len();
        self.resyncs.retain(|pending| pending.resync.topic != *topic);
        self.resyncs.len() != before
    }

    pub(super) fn end_all_resyncs(&mut self) {
        self.resyncs = Vec::new();
    }

    pub(super) fn can_resync(&self) -> bool {
        self.resyncs.len() < RESYNCS_MAX && self.close.is_none()
    }

    /// Hands out the front of the queue; see [`Topics::take`](super::Topics::take).
    pub(super) fn take(&mut self, limits: TakeLimits, low: usize, hand_out: &mut dyn FnMut(&Batch)) -> TakeStatus {
        let mut taken = TakeStatus::default();
        if let Some(code) = self.close {
            taken.next = OutboxItem::Close(code);
            return taken;
        }
        let notice = self.take_messages(limits, &mut taken, hand_out);
        if self.is_lagging && self.bytes <= low {
            self.end_lag();
        }
        taken.next = if let Some(notice) = notice {
            OutboxItem::Notice(*notice)
        } else if self.bytes <= low
            && let Some(pending) = self.resyncs.iter_mut().find(|pending| !pending.is_asked)
        {
            pending.is_asked = true;
            OutboxItem::Resync(pending.resync.clone())
        } else if self.queue.is_empty() {
            OutboxItem::Nothing
        } else {
            OutboxItem::More
        };
        taken
    }

    /// Hands out messages up to the limits or up to a notice, which it returns.
    fn take_messages(
        &mut self,
        limits: TakeLimits,
        taken: &mut TakeStatus,
        hand_out: &mut dyn FnMut(&Batch),
    ) -> Option<Box<Notice>> {
        while let Some(Entry::Messages(batch)) = self.queue.front_mut() {
            let taken = taken.take(batch, limits)?;
            if batch.is_empty() {
                self.pop();
            }
            self.bytes -= taken.weight();
            if taken.is_droppable() {
                self.droppable_bytes -= taken.weight();
            }
            hand_out(&taken);
            if self.is_lagging && taken.is_conflated() {
                self.latest.remove(&ByKey(taken));
            }
        }
        match self.pop()? {
            Entry::Notice(notice) => {
                self.bytes -= MESSAGE_OVERHEAD_BYTES;
                Some(notice)
            }
            Entry::Messages(_) => unreachable!("the loop above takes every message in front"),
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.queue.pop_front()?;
        self.first += 1;
        Some(entry)
    }
}
