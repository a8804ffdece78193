//! What shards send each other about topics.

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use super::subscription::Wanted;
use crate::app::Draft;
use crate::pubsub::{CountChange, Publication, Receipt, Resumed, Resync, SubscriberId, Unsent};

/// On its way to another shard; its contents in boxes, so that an empty queue is small.
#[derive(Debug)]
pub(in crate::server) enum Parcel {
    /// To its topic's home: a message to be numbered, kept and sent on.
    Draft(Box<Draft>, Option<Ticket>),
    /// A message for that shard's subscribers.
    Publication(Box<Publication>, Option<Ticket>),
    /// From a topic's home: messages that were not sent, because the queue was full.
    Unsent(Box<Unsent>),
    /// To a topic's home.
    Question(Box<Question>),
    /// From a topic's home.
    Answer(Box<Answer>),
    /// How the sender's numbers of subscribers have changed.
    Counts(Vec<CountChange>),
    /// From a thread outside: somebody who wants to hear topics.
    Subscribe(Box<Wanted>),
}

/// Where whoever publishes hears what became of it: one receipt from each shard, which drops its ticket then. Whoever waits is done when all
/// tickets are gone, also those that were lost with a shard.
pub(super) type Ticket = UnboundedSender<Receipt>;

/// What comes of tickets: at most one receipt for each shard.
pub(super) type Receipts = UnboundedReceiver<Receipt>;

/// Makes the ticket of one publication.
pub(super) fn confirmation() -> (Ticket, Receipts) {
    unbounded()
}

/// What a subscriber wants of a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::server) struct Question {
    pub(super) subscriber: SubscriberId,
    pub(super) resync: Resync,
}

/// What a history has to say to a question.
#[derive(Debug)]
pub(in crate::server) struct Answer {
    pub(super) question: Question,
    pub(super) resumed: Resumed,
}
