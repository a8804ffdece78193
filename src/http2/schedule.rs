//! Which stream sends next (RFC 9218 §10).
//!
//! The most urgent streams go first. Within an urgency, streams whose parts are useful take turns of 16 KiB. All the
//! others count as one of them, and go in the order of their ids: half a style sheet is of no use.
//!
//! Every 16th turn goes to another urgency, in a circle, so that none starves.

use super::key::StreamKey;
use super::priority::URGENCIES;
use super::streams::Streams;

/// A turn of an incremental stream in bytes: 16 KiB, one full frame.
pub(super) const TURN_BYTES: usize = 16 * 1024;

/// How often a turn goes to another urgency. 16: the less urgent get at least a sixteenth of the connection.
const TURNS_PER_DETOUR: u64 = 16;

/// The streams with content that is ready, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    ready: Vec<StreamKey>,
    /// Turns so far.
    turn: u64,
    /// The turn of the streams that go in order, by urgency.
    ordered_turns: [u64; URGENCIES],
}

impl Schedule {
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Adds a stream; a stream is in the list once.
    pub(super) fn insert(&mut self, key: StreamKey) {
        if !self.ready.contains(&key) {
            self.ready.push(key);
        }
    }

    pub(super) fn remove(&mut self, key: StreamKey) {
        if let Some(index) = self.ready.iter().position(|ready| *ready == key) {
            self.ready.swap_remove(index);
        }
        if self.ready.is_empty() {
            self.ready = Vec::new();
        }
    }

    /// Returns the stream that sends next, of those whose window is open.
    pub(super) fn next(&self, streams: &Streams) -> Option<StreamKey> {
        let is_detour = self.turn % TURNS_PER_DETOUR == TURNS_PER_DETOUR - 1;
        // A detour favours one urgency after another.
        let favoured = (self.turn / TURNS_PER_DETOUR) % URGENCIES as u64;
        let rank = |urgency: u8| match is_detour {
            true => (u64::from(urgency) + URGENCIES as u64 - favoured) % URGENCIES as u64,
            false => u64::from(urgency),
        };
        let candidates = self.ready.iter().filter_map(|&key| {
            let stream = streams.get(key)?;
            if stream.send_window.room() == 0 {
                return None;
            }
            let urgency = stream.priority.urgency;
            let last_turn = match stream.priority.is_incremental {
                true => stream.turn,
                false => self.ordered_turn(urgency),
            };
            Some((rank(urgency), last_turn, key.id(), key))
        });
        let next = candidates.min_by_key(|&(rank, last_turn, id, _)| (rank, last_turn, id));
        next.map(|(_, _, _, key)| key)
    }

    /// Notes that a stream was served.
    pub(super) fn served(&mut self, key: StreamKey, streams: &mut Streams) {
        self.turn = self.turn.wrapping_add(1);
        if let Some(stream) = streams.get_mut(key) {
            stream.turn = self.turn;
            if !stream.priority.is_incremental
                && let Some(turn) = self.ordered_turns.get_mut(usize::from(stream.priority.urgency))
            {
                *turn = self.turn;
            }
        }
    }

    fn ordered_turn(&self, urgency: u8) -> u64 {
        self.ordered_turns
            .get(usize::from(urgency))
            .copied()
            .unwrap_or_default()
    }
}
