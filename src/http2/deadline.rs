//! The deadlines of one connection; the caller provides the time.
//!
//! A connection has four clocks. They run for its preface with the first SETTINGS, for the acknowledgement of its own,
//! for a header block, and without a stream. Two more concern content that the peer does not admit. Each stream has one
//! for the pace of its content, and one for its progress.

use std::time::Instant;

use super::connection::{Connection, GoingAway};
use super::error::{ConnectionError, ErrorCode, Expired};
use super::key::StreamKey;
use super::stream::Progress;

impl Connection {
    /// Returns when to call [`handle_deadline`](Self::handle_deadline), or `None` while the peer owes nothing.
    ///
    /// The value changes with every call, so query it after each turn.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        let of_connection = self.connection_deadlines().into_iter().filter_map(|(at, _)| at);
        let of_streams = self.stream_deadlines().map(|(at, _)| at);
        of_connection.chain(of_streams).min()
    }

    /// Does what a passed deadline demands, and returns what that was.
    ///
    /// Call it until it returns `None`.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Expired> {
        let due = self
            .connection_deadlines()
            .into_iter()
            .find(|(at, _)| at.is_some_and(|at| now >= at));
        if let Some((_, due)) = due {
            return Some(self.expire(due, out));
        }
        loop {
            let due = self.stream_deadlines().find(|(at, _)| now >= *at);
            let (_, due) = due?;
            if let Some(expired) = self.expire_stream(due, now, out) {
                return Some(expired);
            }
        }
    }

    fn expire(&mut self, due: Due, out: &mut Vec<u8>) -> Expired {
        let error = match due {
            Due::Preface => ConnectionError::protocol("the preface took too long"),
            Due::Settings => {
                ConnectionError::new(ErrorCode::SETTINGS_TIMEOUT, "settings were not acknowledged in time")
            }
            Due::Block => ConnectionError::protocol("a header block took too long"),
            Due::Stall => ConnectionError::calm("no window was opened for too long"),
            Due::Idle => {
                self.close(out);
                return Expired::Idle;
            }
            Due::Crossed => {
                self.name_last_stream(out);
                return Expired::GoneAway;
            }
        };
        self.clock.moved();
        self.fail(error, out);
        Expired::Connection(error)
    }

    /// Every deadline of the connection, the ones that end it first.
    fn connection_deadlines(&self) -> [(Option<Instant>, Due); 6] {
        let (clock, limits) = (&self.clock, &self.limits);
        let after = |since: Option<Instant>, time| since.and_then(|since| since.checked_add(time));
        let opened = (!self.has_begun()).then_some(clock.opened);
        // What a closed connection still sends may stall; it awaits nothing else.
        let stalled = (after(clock.blocked_since, limits.stall_timeout), Due::Stall);
        if self.is_closed() {
            return [stalled, NONE, NONE, NONE, NONE, NONE];
        }
        let announced = match self.going_away {
            GoingAway::Announced(since) => Some(since),
            GoingAway::No | GoingAway::Last(_) => None,
        };
        [
            (after(opened, limits.header_timeout), Due::Preface),
            (after(clock.settings_sent, limits.settings_timeout), Due::Settings),
            (after(clock.block_since, limits.header_timeout), Due::Block),
            stalled,
            (after(clock.idle_since, limits.idle_timeout), Due::Idle),
            (after(announced, limits.crossing_time), Due::Crossed),
        ]
    }

    fn stream_deadlines(&self) -> impl Iterator<Item = (Instant, StreamDue)> {
        let limits = &self.limits;
        self.streams.iter().flat_map(|(key, stream)| {
            let progress = stream.progress.as_ref();
            let progress = progress.and_then(|progress| progress.since.checked_add(limits.progress_timeout));
            let pace = stream.pace.deadline(limits);
            let due = [
                progress.map(|at| (at, StreamDue::Progress(key))),
                pace.map(|at| (at, StreamDue::Content(key))),
            ];
            due.into_iter().flatten()
        })
    }

    /// Checks a stream; `None` if it may go on.
    fn expire_stream(&mut self, due: StreamDue, now: Instant, out: &mut Vec<u8>) -> Option<Expired> {
        match due {
            StreamDue::Content(key) => {
                self.streams.get_mut(key)?.pace.set_awaited(false, now);
                Some(Expired::Content(key))
            }
            StreamDue::Progress(key) => {
                let bytes_min = self.limits.min_progress_bytes;
                let stream = self.streams.get_mut(key)?;
                let has_moved = stream
                    .progress
                    .take()
                    .is_none_or(|progress| progress.bytes >= bytes_min);
                if stream.ready_bytes == 0 || stream.send_window.room() > 0 {
                    return None;
                }
                if has_moved {
                    stream.progress = Some(Progress { since: now, bytes: 0 });
                    return None;
                }
                // The stream is charged like a reset that the peer made this end send.
                match self.reset_for_peer(key, ErrorCode::ENHANCE_YOUR_CALM, now, out) {
                    Ok(_) => Some(Expired::Stream(key)),
                    Err(error) => {
                        self.fail(error, out);
                        Some(Expired::Connection(error))
                    }
                }
            }
        }
    }
}

/// A deadline that never passes.
const NONE: (Option<Instant>, Due) = (None, Due::Idle);

/// What a deadline of the connection is for.
#[derive(Debug, Clone, Copy)]
enum Due {
    Preface,
    Settings,
    Block,
    Stall,
    Idle,
    Crossed,
}

/// What a deadline of a stream is for.
#[derive(Debug, Clone, Copy)]
enum StreamDue {
    Progress(StreamKey),
    Content(StreamKey),
}
