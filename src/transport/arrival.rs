//! The end of a connection that sends and receives nothing more: whether the peer takes the rest of what it was sent.
//!
//! Why: nothing more comes that would say so, and a socket that is closed at once keeps the rest in the kernel, for minutes if the peer reads
//! nothing, beyond every limit on connections. So the socket stays until the peer's kernel has acknowledged all, or until it acknowledges too
//! little: a slow peer gets the whole response, and one that does not read is reset.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use squall_shards::{Deadline, PeerEnd, Stream};

/// How long after the first look the second comes. 10 ms: most peers have acknowledged the rest by then, and those that put it off have within
/// 40 ms (Linux).
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// How long the pause between two looks, which doubles, becomes at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How much a peer must acknowledge in each `--linger-timeout` to be waited for on. 1 KiB: in the 5 s of the default little less than
/// `--min-write-rate` asks for.
const TAKEN_BYTES_MIN: u64 = 1024;

/// The wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    patience: Duration,
    /// When the peer is judged next.
    judged_at: Instant,
    /// What it had not acknowledged when it was judged last.
    left_bytes: Option<u64>,
    look: Instant,
    pause: Duration,
}

impl Arrival {
    /// Begins to wait for a peer that may take as long as it likes, if it takes [`TAKEN_BYTES_MIN`] in each `patience`.
    pub(crate) fn new(now: Instant, patience: Duration) -> Self {
        Self {
            patience,
            judged_at: now + patience,
            left_bytes: None,
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
        if stream.has_arrived() {
            return true;
        }
        let left = stream.unacknowledged_bytes().unwrap_or_default();
        let judged = self.left_bytes.get_or_insert(left);
        if now >= self.judged_at {
            if left.saturating_add(TAKEN_BYTES_MIN) > *judged {
                stream.give_up();
                return true;
            }
            *judged = left;
            self.judged_at = now + self.patience;
        }
        self.look = self.judged_at.min(now + self.pause);
        self.pause = PAUSE_MAX.min(self.pause * 2);
        false
    }
}
