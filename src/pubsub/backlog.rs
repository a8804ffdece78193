//! What waits for a subscriber that has more than one message waiting, and what each policy makes of it when that becomes too much.
//!
//! Two marks bound the queue. At the upper one the subscriber *lags*: policies act, each in one pass over the queue that brings it well below
//! the mark, so that a pass is paid for by the messages that came since the last. At the lower one it has caught up. The queue is in the
//! order of publication but for conflated values, which keep the place of the first.
//!
//! Invariants: `bytes` is the weight of the queue's entries; `latest` holds, while the subscriber lags, the number of the one entry each
//! conflated key has, and is empty otherwise; what comes of a topic that is in `resyncs` is not queued.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::rc::Rc;

use super::item::{ByKey, Item, MadeHash};
use super::limits::MESSAGE_OVERHEAD_BYTES;
use super::log::Gap;
use super::notice::{Missed, Notice};
use super::outbox::{Most, Next, Resync, Room, Taken, Unsent};
use super::position::Start;
use super::publication::Publication;
use super::receipt::Receipt;
use super::rules::SlowConsumer;
use super::topic::Topic;

/// Most topics a subscriber may be catching up on at once; for more of them it is refused messages, and told so. 64: half of what it may
/// subscribe to by name.
pub(super) const RESYNCS_MAX: usize = 64;

/// Part of the upper mark that must be droppable for a pass to be worth it: an eighth, so that messages that must not be dropped cannot
/// make every further message cost a pass.
const WORTH_A_PASS: usize = 8;

/// A queue with policies.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: VecDeque<Entry>,
    /// The number of the queue's first entry, counted from when the backlog was made.
    first: u64,
    bytes: usize,
    droppable_bytes: usize,
    is_lagging: bool,
    latest: HashMap<ByKey, u64, MadeHash>,
    resyncs: Vec<Pending>,
    close: Option<u16>,
}

#[derive(Debug)]
enum Entry {
    Message(Rc<Item>),
    /// Something to tell the subscriber here.
    Notice(Box<Notice>),
}

/// A topic whose messages will come from its history.
#[derive(Debug)]
struct Pending {
    resync: Resync,
    /// Whether the server has been asked for them.
    is_asked: bool,
}

/// What came of putting a value in the place of an older one.
enum Replaced {
    Done,
    /// There is no older value.
    Absent,
    /// The new value is so much longer that it does not fit.
    TooLong,
}

impl Backlog {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits and nothing is remembered.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.resyncs.is_empty() && self.close.is_none()
    }

    /// Whether [`take`](Self::take) would give something.
    pub(super) fn has_next(&self) -> bool {
        let is_asking = self.resyncs.iter().any(|pending| !pending.is_asked);
        !self.queue.is_empty() || is_asking || self.close.is_some()
    }

    pub(super) fn messages(&self) -> usize {
        let is_message = |entry: &&Entry| matches!(entry, Entry::Message(_));
        self.queue.iter().filter(is_message).count()
    }

    /// Queues a message, or does what the policies of those in the way, and then its own, say.
    pub(super) fn push(&mut self, item: &Rc<Item>, room: Room, receipt: &mut Receipt) {
        let room = Room {
            // What this queue may grow to, however its bytes change meanwhile.
            left: room.left.saturating_add(self.bytes),
            ..room
        };
        if self.close.is_some() {
            receipt.refused += 1;
        } else if self.is_resyncing(&item.publication.topic) {
            receipt.deferred += 1;
        } else if self.admit(item, room, receipt) {
            receipt.queued += 1;
        } else {
            self.turn_away(item, receipt);
        }
        if self.bytes <= room.low {
            self.end_lag();
        }
    }

    /// Queues a message if there is room for it, or can be made; says whether it did.
    fn admit(&mut self, item: &Rc<Item>, room: Room, receipt: &mut Receipt) -> bool {
        let replaces = item.is_conflated();
        if replaces && matches!(self.replace(item, room, receipt), Replaced::Done) {
            return true;
        }
        if self.is_lagging && item.slow_consumer == SlowConsumer::DropNewest {
            return false;
        }
        if !self.fits(item.weight(), room) {
            self.make_room(item.weight(), room, receipt);
            let is_late = self.bytes > room.low && item.slow_consumer == SlowConsumer::DropNewest;
            if is_late || !replaces && !self.fits(item.weight(), room) {
                return false;
            }
        }
        match self.replace(item, room, receipt) {
            Replaced::Done => true,
            Replaced::TooLong => false,
            Replaced::Absent if self.fits(item.weight(), room) => {
                self.append(Rc::clone(item));
                true
            }
            Replaced::Absent => false,
        }
    }

    /// Does what the policy of a message for which there is no room says.
    fn turn_away(&mut self, item: &Rc<Item>, receipt: &mut Receipt) {
        match (item.slow_consumer, item.publication.position) {
            (SlowConsumer::Close(code), _) => {
                receipt.refused += 1;
                receipt.displaced += self.messages() as u64;
                receipt.closed += 1;
                self.clear();
                self.close = Some(code);
            }
            // With nothing in the queue it is the shard that has no room, and asking for the message again would find none either.
            (SlowConsumer::Resync, Some(position)) if !self.queue.is_empty() && self.can_resync() => {
                receipt.deferred += 1;
                self.resync(item.publication.topic.clone(), Start::After(position.before()));
            }
            _ => {
                receipt.refused += 1;
                self.note_missed(item);
            }
        }
    }

    fn fits(&self, weight: usize, room: Room) -> bool {
        let is_within_mark = self.queue.is_empty() || self.bytes + weight <= room.high;
        is_within_mark && self.bytes + weight <= room.left
    }

    /// Has what may go give way to a message of that weight.
    fn make_room(&mut self, weight: usize, room: Room, receipt: &mut Receipt) {
        if !self.is_lagging {
            self.is_lagging = true;
            self.conflate(receipt);
        }
        if !self.fits(weight, room) && self.droppable_bytes >= room.high / WORTH_A_PASS {
            self.drop_oldest(room.low.saturating_sub(weight), receipt);
        }
    }

    /// Keeps the latest value of each key, in the place of the first.
    fn conflate(&mut self, receipt: &mut Receipt) {
        let anywhere = Room {
            high: usize::MAX,
            low: 0,
            left: usize::MAX,
        };
        self.rebuild(|backlog, item| {
            if !item.is_conflated() || !matches!(backlog.replace(&item, anywhere, receipt), Replaced::Done) {
                backlog.append(item);
            }
        });
    }

    /// Puts a value in the place of the one its key has, if the subscriber lags.
    fn replace(&mut self, item: &Rc<Item>, room: Room, receipt: &mut Receipt) -> Replaced {
        if !self.is_lagging || !item.is_conflated() {
            return Replaced::Absent;
        }
        let key = ByKey(Rc::clone(item));
        let Some(number) = self.latest.get(&key).copied() else {
            return Replaced::Absent;
        };
        let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        let Some(Entry::Message(older)) = self.queue.get_mut(index) else {
            return Replaced::Absent;
        };
        let bytes = self.bytes - older.weight() + item.weight();
        if item.weight() > older.weight() && (bytes > room.high || bytes > room.left) {
            return Replaced::TooLong;
        }
        self.droppable_bytes = self.droppable_bytes - older.weight() + item.weight();
        self.bytes = bytes;
        *older = Rc::clone(item);
        // The map must not keep the older value alive by its key.
        self.latest.remove(&key);
        self.latest.insert(key, number);
        receipt.conflated += 1;
        Replaced::Done
    }

    /// Drops the oldest of what may be dropped until so many bytes are left.
    fn drop_oldest(&mut self, bytes_max: usize, receipt: &mut Receipt) {
        let mut excess = self.bytes.saturating_sub(bytes_max);
        self.rebuild(|backlog, item| {
            if excess == 0 || !item.is_droppable() {
                backlog.append(item);
            } else {
                excess = excess.saturating_sub(item.weight());
                receipt.displaced += 1;
                backlog.note_missed(&item);
            }
        });
    }

    /// Empties the queue and hands each message to `admit`, in order.
    fn rebuild(&mut self, mut admit: impl FnMut(&mut Self, Rc<Item>)) {
        self.latest.clear();
        self.bytes = 0;
        self.droppable_bytes = 0;
        for entry in mem::take(&mut self.queue) {
            match entry {
                Entry::Message(item) => admit(self, item),
                Entry::Notice(notice) => match *notice {
                    Notice::Missed(missed) => self.add_missed(missed),
                    Notice::Gap { .. } => self.add_notice(notice),
                },
            }
        }
    }

    pub(super) fn append(&mut self, item: Rc<Item>) {
        self.bytes += item.weight();
        if item.is_droppable() {
            self.droppable_bytes += item.weight();
        }
        if self.is_lagging && item.is_conflated() {
            let number = self.first + self.queue.len() as u64;
            self.latest.insert(ByKey(Rc::clone(&item)), number);
        }
        self.queue.push_back(Entry::Message(item));
    }

    fn note_missed(&mut self, item: &Item) {
        if item.tells_missed {
            self.add_missed(Missed {
                topic: Some(item.publication.topic.clone()),
                count: 1,
            });
        }
    }

    /// Marks a gap at the end of the queue, or widens the one that is there.
    fn add_missed(&mut self, missed: Missed) {
        if let Some(Entry::Notice(last)) = self.queue.back_mut()
            && let Notice::Missed(last) = &mut **last
        {
            last.count += missed.count;
            if last.topic != missed.topic {
                last.topic = None;
            }
        } else {
            self.add_notice(Box::new(Notice::Missed(missed)));
        }
    }

    fn add_notice(&mut self, notice: Box<Notice>) {
        self.bytes += MESSAGE_OVERHEAD_BYTES;
        self.queue.push_back(Entry::Notice(notice));
    }

    /// Has the subscriber told, behind what waits, that a history could not give what was asked of it.
    pub(super) fn add_gap(&mut self, topic: Topic, gap: Gap) {
        if self.close.is_none() {
            self.add_notice(Box::new(Notice::Gap { topic, gap }));
        }
    }

    /// Has messages that have not come to the shard, and those behind them, come from their topic's history; counts them.
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

    /// Drops all that waits.
    fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.resyncs = Vec::new();
        self.bytes = 0;
        self.droppable_bytes = 0;
        self.end_lag();
    }

    fn is_resyncing(&self, topic: &Topic) -> bool {
        self.resyncs.iter().any(|pending| pending.resync.topic == *topic)
    }

    /// Has a topic's messages come from its history, from a place on.
    pub(super) fn resync(&mut self, topic: Topic, start: Start) {
        self.end_resync(&topic);
        self.resyncs.push(Pending {
            resync: Resync { topic, start },
            is_asked: false,
        });
    }

    /// Has a topic's messages come from its publishers again; says whether they did not.
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

    /// Hands out what is at the front; see [`Topics::take`](super::Topics::take).
    pub(super) fn take(&mut self, most: Most, low: usize, hand_out: &mut dyn FnMut(&Publication)) -> Taken {
        let mut taken = Taken::default();
        if let Some(code) = self.close {
            taken.next = Next::Close(code);
            return taken;
        }
        let notice = self.take_messages(most, &mut taken, hand_out);
        if self.bytes <= low {
            self.end_lag();
        }
        taken.next = if let Some(notice) = notice {
            Next::Notice(*notice)
        } else if self.bytes <= low
            && let Some(pending) = self.resyncs.iter_mut().find(|pending| !pending.is_asked)
        {
            pending.is_asked = true;
            Next::Resync(pending.resync.clone())
        } else if self.queue.is_empty() {
            Next::Nothing
        } else {
            Next::More
        };
        taken
    }

    /// Hands out messages up to a limit, or to a notice, which it returns.
    fn take_messages(
        &mut self,
        most: Most,
        taken: &mut Taken,
        hand_out: &mut dyn FnMut(&Publication),
    ) -> Option<Box<Notice>> {
        while let Some(entry) = self.queue.front() {
            if let Entry::Message(item) = entry {
                let length = item.publication.message.len();
                let is_full = taken.messages > 0 && taken.bytes.saturating_add(length) > most.bytes;
                if is_full || taken.messages >= most.messages {
                    return None;
                }
            }
            self.first += 1;
            match self.queue.pop_front()? {
                Entry::Notice(notice) => {
                    self.bytes -= MESSAGE_OVERHEAD_BYTES;
                    return Some(notice);
                }
                Entry::Message(item) => {
                    self.bytes -= item.weight();
                    if item.is_droppable() {
                        self.droppable_bytes -= item.weight();
                    }
                    taken.messages += 1;
                    taken.bytes += item.publication.message.len();
                    hand_out(&item.publication);
                    if self.is_lagging && item.is_conflated() {
                        self.latest.remove(&ByKey(item));
                    }
                }
            }
        }
        None
    }
}
