//! The subscribers of one shard: their outboxes, the total that waits, and the order in which they are announced.
//!
//! A subscriber with something new is announced once, however much comes before the announcement is taken. The server
//! then takes everything, so a turn's messages leave in one vectored send. A subscriber whose outbox was not emptied is
//! not announced again.

use std::collections::VecDeque;

use slab::Slab;

use super::backlog_pool::BacklogPool;
use super::batch::Batch;
use super::limits::Limits;
use super::notice::Notice;
use super::outbox::Outbox;
use super::position::Start;
use super::receipt::Receipt;
use super::take::{QueueLimits, Resync, TakeLimits, TakeStatus, Unsent};
use super::topic::Topic;

/// The id of a subscriber of one shard: eight bytes that no later subscriber shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriberId {
    pub(super) index: u32,
    /// Distinguishes subscribers that had the same index. Unique for the first four billion subscribers.
    serial: u32,
}

impl SubscriberId {
    /// Returns the subscriber's index in the shard: small, and reused after it has left.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// The subscribers of one shard and their outboxes.
#[derive(Debug)]
pub(super) struct Subscribers {
    table: Slab<Subscriber>,
    limits: Limits,
    pool: BacklogPool,
    /// The weight of all outboxes.
    bytes: usize,
    announced: VecDeque<SubscriberId>,
    serial: u32,
    /// The number of the current publication.
    publication: u64,
}

#[derive(Debug)]
struct Subscriber {
    outbox: Outbox,
    /// The last publication delivered to it.
    publication: u64,
    serial: u32,
    is_announced: bool,
}

impl Subscribers {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            table: Slab::new(),
            limits,
            pool: BacklogPool::default(),
            bytes: 0,
            announced: VecDeque::new(),
            serial: 0,
            publication: 0,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn join(&mut self) -> Option<SubscriberId> {
        let entry = self.table.vacant_entry();
        let index = u32::try_from(entry.key())
            .ok()
            .filter(|index| *index < self.limits.max_subscribers)?;
        self.serial = self.serial.wrapping_add(1);
        entry.insert(Subscriber {
            outbox: Outbox::Empty,
            publication: 0,
            serial: self.serial,
            is_announced: false,
        });
        Some(SubscriberId {
            index,
            serial: self.serial,
        })
    }

    pub(super) fn contains(&self, id: SubscriberId) -> bool {
        self.table
            .get(id.index as usize)
            .is_some_and(|found| found.serial == id.serial)
    }

    /// Removes a subscriber; returns how many messages waited for it, or `None` if it has already left.
    pub(super) fn leave(&mut self, id: SubscriberId) -> Option<usize> {
        let outbox = std::mem::take(&mut find(&mut self.table, id)?.outbox);
        self.bytes -= outbox.bytes();
        self.table.remove(id.index as usize);
        // An empty table gives its memory back.
        if self.table.is_empty() {
            self.table = Slab::new();
        }
        Some(outbox.messages())
    }

    /// Begins a publication of one or several messages; each subscriber gets it once.
    pub(super) fn begin_publication(&mut self) {
        self.publication += 1;
    }

    /// Delivers the messages of the current publication to a subscriber, unless it has them already.
    ///
    /// A batch that fits is queued as a whole; otherwise each message is queued under its policy.
    #[inline]
    pub(super) fn deliver(&mut self, index: u32, batches: &[Batch], receipt: &mut Receipt) {
        // The shard's limit counts every outbox, so the weight of the others stays fixed during this call.
        let (limits, elsewhere) = (self.limits, self.bytes - self.outbox_bytes(index));
        self.change_once(index, receipt, |outbox, pool, receipt| {
            for batch in batches {
                let count = batch.len() as u64;
                receipt.matched += count;
                if has_room(outbox, batch, &limits, elsewhere) {
                    receipt.queued += count;
                    outbox.append(batch.clone(), pool);
                } else {
                    for message in batch.singles() {
                        outbox.push(
                            message,
                            queue_limits(&limits, elsewhere + outbox.bytes()),
                            pool,
                            receipt,
                        );
                    }
                }
            }
        });
    }

    fn outbox_bytes(&self, index: u32) -> usize {
        let found = self.table.get(index as usize);
        found.map_or(0, |subscriber| subscriber.outbox.bytes())
    }

    /// Takes unsent messages from their topic's history for a subscriber, unless this publication has reached it
    /// already.
    pub(super) fn fall_back(&mut self, index: u32, unsent: &Unsent, receipt: &mut Receipt) {
        self.change_once(index, receipt, |outbox, pool, receipt| {
            outbox.fall_back(unsent, pool, receipt);
        });
    }

    /// Changes a subscriber's outbox once per publication.
    #[inline]
    fn change_once(
        &mut self,
        index: u32,
        receipt: &mut Receipt,
        change: impl FnOnce(&mut Outbox, &mut BacklogPool, &mut Receipt),
    ) {
        let Some(subscriber) = self.table.get_mut(index as usize) else {
            return;
        };
        // A subscriber that several patterns match gets the publication once.
        if subscriber.publication == self.publication {
            return;
        }
        subscriber.publication = self.publication;
        let before = subscriber.outbox.bytes();
        let closed_before = receipt.closed;
        let was_waiting = subscriber.outbox.has_next();
        change(&mut subscriber.outbox, &mut self.pool, receipt);
        self.bytes = self.bytes + subscriber.outbox.bytes() - before;
        let has_news = !was_waiting && subscriber.outbox.has_next() || receipt.closed != closed_before;
        if has_news && !subscriber.is_announced {
            subscriber.is_announced = true;
            self.announced.push_back(SubscriberId {
                index,
                serial: subscriber.serial,
            });
        }
    }

    /// Changes a subscriber's outbox, and announces the subscriber if there is something new.
    fn change<T>(&mut self, id: SubscriberId, change: impl FnOnce(&mut Outbox, &mut BacklogPool) -> T) -> Option<T> {
        let subscriber = find(&mut self.table, id)?;
        let was_waiting = subscriber.outbox.has_next();
        let before = subscriber.outbox.bytes();
        let changed = change(&mut subscriber.outbox, &mut self.pool);
        let after = subscriber.outbox.bytes();
        let is_news = !was_waiting && subscriber.outbox.has_next() && !subscriber.is_announced;
        subscriber.is_announced |= is_news;
        self.bytes = self.bytes + after - before;
        if is_news {
            self.announced.push_back(id);
        }
        Some(changed)
    }

    pub(super) fn resync(&mut self, id: SubscriberId, topic: Topic, start: Start) -> bool {
        self.change(id, |outbox, pool| outbox.resync(topic, start, pool)) == Some(true)
    }

    pub(super) fn add_notice(&mut self, id: SubscriberId, notice: Notice) {
        self.change(id, |outbox, pool| outbox.add_notice(notice, pool));
    }

    pub(super) fn awaits(&self, id: SubscriberId, resync: &Resync) -> bool {
        let found = self.table.get(id.index as usize);
        found.is_some_and(|found| found.serial == id.serial && found.outbox.awaits(resync))
    }

    pub(super) fn end_resync(&mut self, id: SubscriberId, topic: &Topic) -> bool {
        self.change(id, |outbox, pool| outbox.end_resync(topic, pool)) == Some(true)
    }

    pub(super) fn end_all_resyncs(&mut self, id: SubscriberId) {
        self.change(id, Outbox::end_all_resyncs);
    }

    pub(super) fn next_announced(&mut self) -> Option<SubscriberId> {
        while let Some(id) = self.announced.pop_front() {
            if let Some(subscriber) = find(&mut self.table, id) {
                subscriber.is_announced = false;
                return Some(id);
            }
        }
        None
    }

    pub(super) fn take(
        &mut self,
        id: SubscriberId,
        limits: TakeLimits,
        hand_out: &mut dyn FnMut(&Batch),
    ) -> TakeStatus {
        let low = queue_limits(&self.limits, self.bytes).low;
        let Some(subscriber) = find(&mut self.table, id) else {
            return TakeStatus::default();
        };
        let before = subscriber.outbox.bytes();
        let taken = subscriber.outbox.take(limits, low, &mut self.pool, hand_out);
        self.bytes = self.bytes + self.waiting_bytes(id) - before;
        taken
    }

    pub(super) fn waiting_bytes(&self, id: SubscriberId) -> usize {
        let found = self
            .table
            .get(id.index as usize)
            .filter(|found| found.serial == id.serial);
        found.map_or(0, |subscriber| subscriber.outbox.bytes())
    }
}

/// Returns the marks of an outbox; lower ones when the shard as a whole is near its limit.
#[inline]
fn queue_limits(limits: &Limits, bytes: usize) -> QueueLimits {
    let is_pressed = bytes > limits.max_shard_queue_bytes / 4 * 3;
    let low = limits.low_queue_bytes.min(limits.max_queue_bytes);
    QueueLimits {
        high: if is_pressed { low } else { limits.max_queue_bytes },
        low,
        left: limits.max_shard_queue_bytes.saturating_sub(bytes),
    }
}

/// Returns whether an outbox has room for all these messages, even if the last of them brings the shard near its limit.
#[inline]
fn has_room(outbox: &Outbox, batch: &Batch, limits: &Limits, elsewhere: usize) -> bool {
    let bytes = outbox.bytes() + batch.weight();
    let room = queue_limits(limits, elsewhere + bytes);
    bytes <= room.high && elsewhere + bytes <= limits.max_shard_queue_bytes && outbox.is_open_to(batch)
}

fn find(table: &mut Slab<Subscriber>, id: SubscriberId) -> Option<&mut Subscriber> {
    table
        .get_mut(id.index as usize)
        .filter(|found| found.serial == id.serial)
}
