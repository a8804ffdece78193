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
pub(super) struct Deadline {
    waiting: Waiting,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
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

impl Deadline {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            waiting: Waiting::Quiet,
            since: now,
        }
    }

    /// Something has come from the peer.
    pub(super) fn heard(&mut self, now: Instant) {
        if matches!(self.waiting, Waiting::Quiet | Waiting::Pong) {
            self.wait(Waiting::Quiet, now);
        }
    }

    /// From now on only the end is waited for. Called again, it starts anew.
    pub(super) fn closing(&mut self, now: Instant) {
        self.wait(Waiting::Close, now);
    }

    /// Nothing is expected of the peer any more.
    pub(super) fn clear(&mut self) {
        self.waiting = Waiting::Nothing;
    }

    /// When the patience ends; `None` where nothing is waited for, or for longer than the clock can show.
    pub(super) fn at(&self, limits: &Limits) -> Option<Instant> {
        let patience = match self.waiting {
            Waiting::Nothing => return None,
            Waiting::Quiet => limits.ping_interval?,
            Waiting::Pong => limits.ping_timeout,
            Waiting::Close => limits.close_timeout,
        };
        self.since.checked_add(patience)
    }

    /// What is due, if anything is. A ping that is due counts as sent, and the wait for its answer begins.
    pub(super) fn due(&mut self, limits: &Limits, now: Instant) -> Option<Due> {
        if now < self.at(limits)? {
            return None;
        }
        match self.waiting {
            Waiting::Nothing => None,
            Waiting::Quiet => {
                self.wait(Waiting::Pong, now);
                Some(Due::Ping)
            }
            Waiting::Pong => Some(Due::Expired(Expired::Pong)),
            Waiting::Close => Some(Due::Expired(Expired::Close)),
        }
    }

    fn wait(&mut self, waiting: Waiting, now: Instant) {
        self.waiting = waiting;
        self.since = now;
    }
}
