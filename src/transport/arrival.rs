//! The end of a connection that sends and receives nothing more: the wait until the peer has acknowledged everything.
//!
//! A socket that is closed at once leaves its unacknowledged bytes in the kernel, beyond every limit on connections.
//! They stay for minutes if the peer reads nothing. So the socket stays until the peer's kernel has acknowledged all,
//! or acknowledges too slowly. A slow peer receives the whole response; a peer that does not read is reset.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use squall_shards::{Deadline, PeerEnd};

use super::byte_stream::ByteStream;

/// First pause between two checks. 10 ms: most peers have acknowledged by then, and delayed acknowledgements come
/// within 40 ms (Linux).
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest pause between two checks; each is twice the last.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Bytes a peer must acknowledge in each `--linger-timeout`. 1 KiB in the default 5 s: a little less than
/// `--min-write-rate` requires.
const TAKEN_BYTES_MIN: u64 = 1024;

/// A wait for the last acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    timeout: Duration,
    /// When the rate is checked next.
    rate_check_at: Instant,
    /// Unacknowledged bytes at the last rate check.
    left_bytes: Option<u64>,
    next_check: Instant,
    pause: Duration,
}

impl Arrival {
    /// Begins to wait. The wait has no total limit if the peer acknowledges [`TAKEN_BYTES_MIN`] in each `timeout`.
    pub(crate) fn new(now: Instant, timeout: Duration) -> Self {
        Self {
            timeout,
            rate_check_at: now + timeout,
            left_bytes: None,
            next_check: now,
            pause: PAUSE_MIN,
        }
    }

    /// Ready when the peer has acknowledged everything, has gone, or was reset. A Unix socket is ready at once: unread
    /// bytes already belong to its peer.
    pub(crate) fn poll(
        &mut self,
        socket: &impl ByteStream,
        deadline: &mut Deadline,
        now: impl Fn() -> Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            if self.check(now(), socket) || socket.poll_peer_end(cx) == Poll::Ready(PeerEnd::Gone) {
                return Poll::Ready(());
            }
            deadline.set(Some(self.next_check));
            if deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Checks the peer if a check is due; true when the wait is over.
    fn check(&mut self, now: Instant, socket: &impl ByteStream) -> bool {
        if now < self.next_check {
            return false;
        }
        if socket.has_arrived() {
            return true;
        }
        let left = socket.unacknowledged_bytes();
        let last_left = self.left_bytes.get_or_insert(left);
        if now >= self.rate_check_at {
            if left.saturating_add(TAKEN_BYTES_MIN) > *last_left {
                socket.give_up();
                return true;
            }
            *last_left = left;
            self.rate_check_at = now + self.timeout;
        }
        self.next_check = self.rate_check_at.min(now + self.pause);
        self.pause = PAUSE_MAX.min(self.pause * 2);
        false
    }
}
