//! What waits for room in the queue to one shard, and the task that sends it then.
//!
//! Publications that found no room wait here in order, and not with their publishers: one whose future is dropped reaches that shard all the
//! same. Their number is bounded by [`PUBLICATIONS_WAITING_MAX`].
//!
//! Everything else here can be made anew at the moment it is sent, and is: an answer read from a history when there is room for it says what is true
//! then, so that messages sent behind it follow on it without a hole. That is also what bounds a lane: it holds one number for each topic with
//! a history; this shard's questions, of which each subscriber has at most [`RESYNCS_MAX`](crate::pubsub::RESYNCS_MAX) that it still waits for,
//! the others being thrown away before they are as many again; and answers to the other shard, which asks nothing while it takes nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use squall_shards::{SendError, ShardId, spawn_detached};

use super::parcel::{Parcel, Question};
use super::{HERE, ShardHub};
use crate::pubsub::{CountChange, Publication, Topic, Unsent};

/// How many errands wait before questions that nobody waits for any more are looked for, at the least. 1024: some 100 KiB.
const UNCHECKED_ERRANDS_MAX: usize = 1024;

/// How many publications wait for one shard at the most; more are refused. 4096: as many tasks may wait for room in a shard's queues.
const PUBLICATIONS_WAITING_MAX: usize = 4096;

/// Ready when a publication has been sent to a shard; cancelled if it was refused, or the shard has ended.
pub(super) type Sent = oneshot::Receiver<()>;

/// What waits for one shard, in order.
#[derive(Default)]
pub(super) struct Lane {
    errands: VecDeque<Errand>,
    /// How many of them are publications.
    publications: usize,
    /// Topics of which that shard is sent nothing until it has been told.
    unsent: HashMap<Topic, Unsent>,
    /// How many errands there were after questions were last thrown away.
    checked: usize,
    is_running: bool,
    /// The shard has ended: nothing is for it any more.
    is_closed: bool,
}

/// Something to be sent.
pub(super) enum Errand {
    /// Which messages of a topic were not sent.
    Unsent(Topic),
    /// A question to that shard.
    Question(Question),
    /// The answer to a question of that shard.
    Answer(Question),
    /// Numbers of subscribers.
    Counts(Vec<CountChange>),
    /// A publication, or a message for its topic's home to publish; its publisher may wait for it to be sent.
    Publication(Parcel, oneshot::Sender<()>),
}

/// What came of an errand.
enum Outcome {
    Sent,
    NoRoom,
    NothingToDo,
}

impl ShardHub {
    /// Sends a numbered message on to a shard, or notes that it was not.
    pub(super) fn forward(&self, to: ShardId, publication: &Publication, ticket: Option<&super::Ticket>) {
        let Some(lane) = self.lanes.get(to.index()) else {
            return;
        };
        if lane.borrow().is_closed {
            return;
        }
        if let Some(unsent) = lane.borrow_mut().unsent.get_mut(&publication.topic) {
            unsent.messages += 1;
            return;
        }
        let parcel = Parcel::Publication(Box::new(publication.clone()), ticket.cloned());
        if let Some(position) = publication.position
            && self.sender.try_send(to, parcel).is_err()
        {
            let topic = publication.topic.clone();
            let unsent = Unsent {
                topic: topic.clone(),
                after: position.before(),
                messages: 1,
            };
            lane.borrow_mut().unsent.insert(topic.clone(), unsent);
            self.queue(to, Errand::Unsent(topic));
        }
    }

    /// Sends a publication to a shard, or has it wait behind those that wait for room already, so that they keep their order.
    pub(super) fn post(&self, to: ShardId, parcel: Parcel) -> Option<Sent> {
        let lane = self.lanes.get(to.index())?;
        let waiting = lane.borrow().publications;
        let parcel = match waiting {
            0 => self.sender.try_send(to, parcel).err()?.message,
            _ => parcel,
        };
        let (say, sent) = oneshot::channel();
        // Dropped with its sender, a publication is refused.
        if waiting < PUBLICATIONS_WAITING_MAX && !lane.borrow().is_closed {
            lane.borrow_mut().publications += 1;
            self.queue(to, Errand::Publication(parcel, say));
        }
        Some(sent)
    }

    /// Sends something to a shard, behind what waits for it.
    pub(super) fn run_errand(&self, to: ShardId, errand: Errand) {
        let is_first = self
            .lanes
            .get(to.index())
            .is_some_and(|lane| lane.borrow().errands.is_empty());
        let sent = is_first
            && self
                .parcel(to, &errand)
                .is_some_and(|parcel| self.sender.try_send(to, parcel).is_ok());
        if !sent {
            self.queue(to, errand);
        }
    }

    /// Whether anything waits for any shard.
    pub(super) fn has_errands(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.borrow().errands.is_empty())
    }

    fn queue(&self, to: ShardId, errand: Errand) {
        let Some(lane) = self.lanes.get(to.index()) else {
            return;
        };
        let mut lane = lane.borrow_mut();
        if lane.is_closed {
            return;
        }
        lane.errands.push_back(errand);
        if lane.errands.len() > UNCHECKED_ERRANDS_MAX.max(2 * lane.checked) {
            self.forget_questions(&mut lane);
        }
        if !lane.is_running {
            lane.is_running = true;
            drop(lane);
            spawn_detached(run(to));
        }
    }

    /// Throws away the questions that nobody waits for any more, and those that are asked twice.
    fn forget_questions(&self, lane: &mut Lane) {
        let topics = self.topics();
        let mut asked = HashSet::new();
        lane.errands.retain(|errand| match errand {
            Errand::Question(question) => {
                topics.awaits(question.subscriber, &question.resync) && asked.insert(question.clone())
            }
            Errand::Unsent(_) | Errand::Answer(_) | Errand::Counts(_) | Errand::Publication(..) => true,
        });
        lane.checked = lane.errands.len();
    }

    /// What an errand carries at this moment.
    fn parcel(&self, to: ShardId, errand: &Errand) -> Option<Parcel> {
        Some(match errand {
            Errand::Unsent(topic) => {
                let lane = self.lanes.get(to.index())?.borrow();
                Parcel::Unsent(Box::new(lane.unsent.get(topic)?.clone()))
            }
            Errand::Question(question) => Parcel::Question(Box::new(question.clone())),
            Errand::Answer(question) => Parcel::Answer(Box::new(self.look_up(question))),
            Errand::Counts(changes) => Parcel::Counts(changes.clone()),
            // It cannot be made anew, and is sent as it is.
            Errand::Publication(..) => return None,
        })
    }

    /// Runs the first errand of a lane.
    fn run_next(&self, to: ShardId) -> Outcome {
        let Some(lane) = self.lanes.get(to.index()) else {
            return Outcome::NothingToDo;
        };
        let Some(errand) = lane.borrow_mut().errands.pop_front() else {
            lane.borrow_mut().is_running = false;
            self.share_counts();
            return Outcome::NothingToDo;
        };
        let errand = match errand {
            Errand::Publication(parcel, say) => return self.send_waiting(to, parcel, say),
            errand => errand,
        };
        let parcel = self.parcel(to, &errand);
        if parcel.is_some_and(|parcel| self.sender.try_send(to, parcel).is_err()) {
            lane.borrow_mut().errands.push_front(errand);
            return Outcome::NoRoom;
        }
        if let Errand::Unsent(topic) = &errand {
            lane.borrow_mut().unsent.remove(topic);
        }
        Outcome::Sent
    }

    /// Sends a publication that has waited, if there is room now.
    fn send_waiting(&self, to: ShardId, parcel: Parcel, say: oneshot::Sender<()>) -> Outcome {
        let refused = self.sender.try_send(to, parcel).err();
        let Some(lane) = self.lanes.get(to.index()) else {
            return Outcome::NothingToDo;
        };
        if let Some(SendError { message, .. }) = refused {
            let errand = Errand::Publication(message, say);
            lane.borrow_mut().errands.push_front(errand);
            return Outcome::NoRoom;
        }
        lane.borrow_mut().publications -= 1;
        // Its publisher may have given up.
        say.send(()).unwrap_or_default();
        Outcome::Sent
    }

    /// Forgets what waits for a shard that has ended.
    fn close_lane(&self, to: ShardId) {
        if let Some(lane) = self.lanes.get(to.index()) {
            let closed = Lane {
                is_closed: true,
                ..Lane::default()
            };
            // Dropped when nothing is borrowed, for it wakes publishers.
            let before = lane.replace(closed);
            drop(before);
        }
    }
}

/// Sends what waits for a shard, whenever there is room, until nothing does.
async fn run(to: ShardId) {
    while let Some(hub) = HERE.with_borrow(Weak::upgrade) {
        match hub.run_next(to) {
            Outcome::Sent => {}
            Outcome::NothingToDo => return,
            Outcome::NoRoom => {
                let sender = hub.sender.clone();
                let weak = Rc::downgrade(&hub);
                drop(hub);
                if !sender.has_room(to).await {
                    if let Some(hub) = weak.upgrade() {
                        hub.close_lane(to);
                    }
                    return;
                }
            }
        }
    }
}
