//! How a peer ends a connection, as the kernel reports it to poll(2), epoll and io_uring alike.
//!
//! Why apart from receiving: a receive reports the end only after the last byte. So a connection whose bytes are not
//! read, or whose receive waits for its quota, would never see that its peer has gone.
//!
//! Invariant: both drivers interpret the same events in the same way, here.

/// How far the peer has ended the connection, whether or not the bytes before the end were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerEnd {
    /// The peer has closed its sending half (FIN) and may still read.
    Finished,
    /// The peer has reset the connection, or closed both halves of a Unix socket; it receives nothing more.
    Gone,
}

/// The event both drivers request; errors and hang-ups are reported without request.
pub(crate) const RDHUP: u32 = libc::POLLRDHUP.unsigned_abs() as u32;
const ERR: u32 = libc::POLLERR.unsigned_abs() as u32;
const HUP: u32 = libc::POLLHUP.unsigned_abs() as u32;

/// Returns whether the errno of a receive or a send means that the peer has gone, not that this host lacks memory.
pub(crate) const fn is_peers_doing(errno: i32) -> bool {
    !matches!(errno, 0 | libc::ENOMEM | libc::ENOBUFS)
}

/// What is known of one peer's end, and what was reported of it: one byte per stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EndSeen(u8);

const FINISHED: u8 = 1;
const FINISHED_REPORTED: u8 = 1 << 1;
const GONE: u8 = 1 << 2;
const SHUT_DOWN: u8 = 1 << 3;

impl EndSeen {
    /// Records the events of a poll; returns whether there is something new to report.
    pub(crate) fn note(&mut self, events: u32) -> bool {
        let before = self.0;
        // A socket with both halves closed hangs up. If this end closed its own half, that alone is not a reset.
        let has_hung_up = events & HUP != 0 && !self.has(SHUT_DOWN);
        if events & ERR != 0 || has_hung_up {
            self.0 |= GONE;
        }
        if events & (RDHUP | HUP) != 0 {
            self.0 |= FINISHED;
        }
        self.0 != before
    }

    /// Records that receiving or sending has failed; returns whether that is new. The kernel reports an error once, to
    /// the first call.
    pub(crate) fn note_failure(&mut self) -> bool {
        let is_new = !self.has(GONE);
        self.0 |= GONE;
        is_new
    }

    /// Records that our own half is closed; called before it is.
    pub(crate) fn shut_down(&mut self) {
        self.0 |= SHUT_DOWN;
    }

    /// Returns whether our own half is closed.
    pub(crate) const fn has_shut_down(self) -> bool {
        self.has(SHUT_DOWN)
    }

    /// Returns what to report: `Finished` once, `Gone` every time.
    pub(crate) fn report(&mut self) -> Option<PeerEnd> {
        if self.has(GONE) {
            return Some(PeerEnd::Gone);
        }
        if self.has(FINISHED) && !self.has(FINISHED_REPORTED) {
            self.0 |= FINISHED_REPORTED;
            return Some(PeerEnd::Finished);
        }
        None
    }

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::{ERR, EndSeen, HUP, PeerEnd, RDHUP};

    #[test]
    fn a_finished_peer_is_reported_once_and_a_gone_one_every_time() {
        let mut seen = EndSeen::default();
        assert_eq!(seen.report(), None);
        assert!(seen.note(RDHUP));
        assert!(!seen.note(RDHUP), "the same event again");
        assert_eq!(seen.report(), Some(PeerEnd::Finished));
        assert_eq!(seen.report(), None);
        assert!(!seen.note(RDHUP));
        assert!(seen.note(RDHUP | HUP));
        assert_eq!(seen.report(), Some(PeerEnd::Gone));
        assert_eq!(seen.report(), Some(PeerEnd::Gone));
        assert!(!seen.note(RDHUP | HUP | ERR));
    }

    #[test]
    fn a_failure_is_an_end_with_or_without_a_poll_event() {
        for events in [ERR, ERR | HUP, HUP] {
            let mut seen = EndSeen::default();
            assert!(seen.note(events));
            assert_eq!(seen.report(), Some(PeerEnd::Gone), "{events:#x}");
        }
        let mut seen = EndSeen::default();
        assert!(seen.note_failure());
        assert!(!seen.note_failure());
        assert_eq!(seen.report(), Some(PeerEnd::Gone));
    }

    #[test]
    fn a_socket_whose_own_half_is_closed_hangs_up_without_having_lost_its_peer() {
        let mut seen = EndSeen::default();
        seen.shut_down();
        assert!(seen.note(RDHUP | HUP));
        assert_eq!(seen.report(), Some(PeerEnd::Finished));
        assert_eq!(seen.report(), None);
        assert!(seen.note(ERR), "a reset still counts");
        assert_eq!(seen.report(), Some(PeerEnd::Gone));
    }
}
