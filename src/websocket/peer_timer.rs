//! The timer of one connection: the peer's next deadline. The caller passes the time in.
//!
//! It awaits one thing at a time: received bytes within the ping interval, received bytes after a ping, or the end of
//! the closing handshake. Any byte proves that the peer lives.

use std::time::Instant;

use super::error::Expired;
use super::limits::Limits;

/// What is awaited, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerTimer {
    awaited: Awaited,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Nothing,
    /// Received bytes; without any, a ping is due.
    Quiet,
    /// Received bytes, after a ping.
    Pong,
    /// The end, after a close frame.
    Close,
}

/// A deadline that has passed.
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

    /// Bytes were received.
    pub(super) fn note_received(&mut self, now: Instant) {
        if matches!(self.awaited, Awaited::Quiet | Awaited::Pong) {
            self.wait(Awaited::Quiet, now);
        }
    }

    /// Awaits only the end from now on; a second call restarts the time.
    pub(super) fn closing(&mut self, now: Instant) {
        self.wait(Awaited::Close, now);
    }

    /// Awaits nothing more.
    pub(super) fn clear(&mut self) {
        self.awaited = Awaited::Nothing;
    }

    /// The deadline; `None` if nothing is awaited, or if it is beyond the range of the clock.
    pub(super) fn at(&self, limits: &Limits) -> Option<Instant> {
        let timeout = match self.awaited {
            Awaited::Nothing => return None,
            Awaited::Quiet if limits.ping_interval.is_zero() => return None,
            Awaited::Quiet => limits.ping_interval,
            Awaited::Pong => limits.ping_timeout,
            Awaited::Close => limits.close_timeout,
        };
        self.since.checked_add(timeout)
    }

    /// Returns the deadline that has passed, if any. A due ping counts as sent: its answer is awaited from now on.
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
