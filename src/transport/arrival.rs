//! The end of a connection whose peer has closed its half: whether it takes the rest of what it was sent.
//!
//! Why: nothing more comes that would say so, and a socket that is closed at once keeps the rest in the kernel, for minutes if the peer reads
//! nothing, beyond every limit on connections. So the socket stays, for a while, until the peer's kernel has acknowledged all.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use squall_shards::{Deadline, PeerAddress, PeerEnd, Stream};

/// How long after the first look the second comes. 10 ms: most peers have acknowledged the rest by then, and those that put it off have within
/// 40 ms (Linux).
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// How long the pause between two looks, which doubles, becomes at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    until: Instant,
    look: Instant,
    pause: Duration,
}

impl Arrival {
    /// Begins to wait, until then at most.
    pub(crate) fn new(now: Instant, until: Instant) -> Self {
        Self {
            until,
            look: now,
            pause: PAUSE_MIN,
        }
    }

    /// Ready when the peer has all that was sent, has gone, or has been given up. A Unix socket is not waited for: what its peer has not read
    /// is the peer's own, and stays with it.
    pub(crate) fn poll(
        &mut self,
        stream: &Stream,
        deadline: &mut Deadline,
        now: impl Fn() -> Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            if self.look(now(), stream) || stream.poll_peer_end(cx) == Poll::Ready(PeerEnd::Gone) {
                return Poll::Ready(());
            }
            deadline.set(Some(self.look));
            if deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Looks, if it is time to; true when the wait is over.
    fn look(&mut self, now: Instant, stream: &Stream) -> bool {
        if now < self.look {
            return false;
        }
        if stream.has_arrived() || matches!(stream.peer_address(), Ok(PeerAddress::Unix)) {
            return true;
        }
        if now >= self.until {
            stream.give_up();
            return true;
        }
        self.look = self.until.min(now + self.pause);
        self.pause = PAUSE_MAX.min(self.pause * 2);
        false
    }
}
