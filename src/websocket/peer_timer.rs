//! Until when the peer must have done what: the clock of one connection, told the time by its caller.
//!
//! Only one thing is waited for at a time: for the connection to have been quiet so long that it is worth a ping, for a
//! sign of life after that ping, or for the end of the closing handshake. Any byte is a sign of life; a peer that sends
//! cannot be gone.

use std::time::Instant;

use super::error::Expired;
use super::limits::Limits;

/// What is waited for, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerTimer {
    awaited: Awaited,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Nothing,
    /// Nothing has come since.
    Quiet,
    /// A ping is owed or out.
    Pong,
    /// A close frame is owed or out.
    Close,
}

/// What has come of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    Expired(Expired),
}

impl PeerTimer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            awaited: Awaited::Quiet,
            since: now,
        }
    }

    /// Something has come from the peer.
    pub(super) fn note_received(&mut self, now: Instant) {
        if matches!(self.awaited, Awaited::Quiet | Awaited::Pong) {
            self.wait(Awaited::Quiet, now);
        }
    }

    /// From now on only the end is waited for. Called again, it starts anew.
    pub(super) fn closing(&mut self, now: Instant) {
        self.wait(Awaited::Close, now);
    }

    /// Nothing is expected of the peer any more.
    pub(super) fn clear(&mut self) {
        self.awaited = Awaited::Nothing;
    }

    /// When the patience ends; `None` where nothing is waited for, or for longer than the clock can show.
    pub(super) fn at(&self, limits: &Limits) -> Option<Instant> {
        let patience = match self.awaited {
            Awaited::Nothing => return None,
            Awaited::Quiet => limits.ping_interval?,
            Awaited::Pong => limits.ping_timeout,
            Awaited::Close => limits.close_timeout,
        };
        self.since.checked_add(patience)
    }

    /// What is due, if anything is. A ping that is due counts as sent, and the wait for its answer begins.
    pub(super) fn due(&mut self, limits: &Limits, now: Instant) -> Option<Due> {
        if now < self.at(limits)? {
            return None;
        }
        match self.awaited {
            Awaited::Nothing => None,
            Awaited::Quiet => {
                self.wait(Awaited::Pong, now);
                Some(Due::Ping)
            }
            Awaited::Pong => Some(Due::Expired(Expired::Pong)),
            Awaited::Close => Some(Due::Expired(Expired::Close)),
        }
    }

    fn wait(&mut self, waiting: Awaited, now: Instant) {
        self.awaited = waiting;
        self.since = now;
    }
}
