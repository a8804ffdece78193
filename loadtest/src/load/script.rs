//! A script: what one connection sends, and how it checks what it receives. The seam between the engine and a protocol.
//!
//! The engine owns sockets, time and pacing. A script receives bytes with their time, appends the bytes to send, and
//! updates the counts. Invariant: each request ends as exactly one answer or one failure, or is among `in_flight` when
//! the connection closes.

use super::clock::Nanos;
use super::counts::Counts;
use super::run_result::Failure;

/// The client's half of a protocol on one connection; the engine makes a new one for each connection.
pub(crate) trait Script: Sized {
    /// What the scripts of one thread share: prepared requests, expected answers, parsed heads.
    type Shared;

    /// Makes the script for connection number `index`, counted over all threads, before it connects.
    fn begin(index: usize, shared: &mut Self::Shared) -> Self;

    /// Appends what the client sends first once connected, such as an opening handshake.
    fn open(&mut self, context: &mut ScriptContext<'_, Self::Shared>);

    /// Whether requests can be sent: false until the protocol's handshake is complete.
    fn is_ready(&self) -> bool;

    /// Returns how many more requests may be sent now; 0 until [`Script::is_ready`].
    fn room(&self) -> usize;

    /// Appends `count` requests, at most [`Script::room`]; their latency counts from `since`, which a schedule sets
    /// earlier than now.
    fn ask(&mut self, count: usize, since: Nanos, context: &mut ScriptContext<'_, Self::Shared>);

    /// Reads received bytes, cut anywhere.
    ///
    /// # Errors
    ///
    /// The connection is unusable; every request in flight fails with the returned failure.
    fn receive(&mut self, bytes: &[u8], context: &mut ScriptContext<'_, Self::Shared>) -> Result<Flow, Failure>;

    /// Handles the peer's end of stream.
    ///
    /// # Errors
    ///
    /// An answer is incomplete; every request in flight fails with the returned failure.
    fn end(&mut self, context: &mut ScriptContext<'_, Self::Shared>) -> Result<PeerClose, Failure>;

    /// Returns the number of requests sent and not answered.
    fn in_flight(&self) -> usize;

    /// Returns when the oldest request in flight was sent; the run's timeout counts from then.
    fn oldest(&self) -> Option<Nanos>;

    /// Calls `each` with the start of every request in flight, oldest first; the end of a run counts their age as
    /// latency.
    fn each_in_flight(&self, each: &mut dyn FnMut(Nanos));
}

/// A request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// When its latency starts: when it was due under a schedule, else when it was sent.
    pub(crate) since: Nanos,
    pub(crate) sent: Nanos,
}

/// Whether the connection can serve further requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// The server announced a close after this answer and no request is in flight: open another connection.
    Close,
}

/// What the peer's close meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerClose {
    /// It ended a close-delimited response: open another connection.
    EndedResponse,
    /// No request was in flight.
    Unexpected,
}

/// What a script uses during one call.
#[derive(Debug)]
pub(crate) struct ScriptContext<'a, Shared> {
    pub(crate) shared: &'a mut Shared,
    /// The time of the event.
    pub(crate) now: Nanos,
    /// The output buffer; the script appends to it.
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) counts: &'a mut Counts,
}
