//! What one connection says, and how it judges what it hears: the seam between the engine and a protocol.
//!
//! The engine owns sockets, time and pacing; a script owns neither. It is told what came and when, appends what is to be sent,
//! and counts what it found in the counts. Invariant: every request it was asked to send ends as exactly one answer or failure, or
//! is among `in_flight` when the connection goes.

use super::clock::Nanos;
use super::counts::Counts;
use super::run_result::Failure;

/// One connection's half of a protocol. A new one is made for every connection that is opened.
pub(crate) trait Script: Sized {
    /// What the scripts of one thread share: prepared bytes, what they expect, memory of earlier answers.
    type Shared;

    /// The script on a connection about to be opened, number `index` of all that the run holds, over all threads.
    fn begin(index: usize, shared: &mut Self::Shared) -> Self;

    /// Takes note that the connection is open, and appends what is said first, such as an opening handshake.
    fn open(&mut self, turn: &mut ScriptContext<'_, Self::Shared>);

    /// Whether requests can be sent: true once a handshake, if the protocol has one, is over.
    fn is_ready(&self) -> bool;

    /// How many more requests may be sent now; 0 while it is not ready.
    fn room(&self) -> usize;

    /// Appends `count` requests, at most `room`, sent now; their latency counts from `since`, which under a schedule is earlier.
    fn ask(&mut self, count: usize, since: Nanos, turn: &mut ScriptContext<'_, Self::Shared>);

    /// Takes bytes that came, whatever their number.
    ///
    /// # Errors
    ///
    /// The connection cannot go on. All that is in flight fails with what is returned.
    fn receive(&mut self, bytes: &[u8], turn: &mut ScriptContext<'_, Self::Shared>) -> Result<Flow, Failure>;

    /// Takes note that the peer closed its direction.
    ///
    /// # Errors
    ///
    /// Something was missing. All that is in flight fails with what is returned.
    fn end(&mut self, turn: &mut ScriptContext<'_, Self::Shared>) -> Result<PeerClose, Failure>;

    /// Requests that are sent and not answered.
    fn in_flight(&self) -> usize;

    /// When the oldest request in flight was sent; the run's timeout counts from then.
    fn oldest(&self) -> Option<Nanos>;

    /// When each request in flight began, oldest first; those left at the end of a run are counted with their age.
    fn each_in_flight(&self, each: &mut dyn FnMut(Nanos));
}

/// A request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// When its latency began; under a schedule, when it was due.
    pub(crate) since: Nanos,
    pub(crate) sent: Nanos,
}

/// Whether the connection serves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It does.
    Continue,
    /// The server said it will close after the answer just taken, and nothing is in flight: open another one.
    Close,
}

/// What a close by the peer meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerClose {
    /// It ended an answer, as it must when nothing else does: open another one.
    EndedResponse,
    /// Nothing was in flight, and nobody expected it.
    Unexpected,
}

/// What a script may use during one call.
#[derive(Debug)]
pub(crate) struct ScriptContext<'a, Shared> {
    pub(crate) shared: &'a mut Shared,
    /// The time of the event.
    pub(crate) now: Nanos,
    /// What is to be sent, appended to.
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) counts: &'a mut Counts,
}
