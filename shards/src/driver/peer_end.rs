//! How a peer ends a connection, as the kernel says it to poll(2), epoll and io_uring alike.
//!
//! Why apart from receiving: a receive tells of the end only behind the last byte, so a connection whose bytes nothing takes, or whose receive
//! waits for its quota, would never learn that its peer has gone.
//!
//! Invariant: both drivers judge the same events in the same way, here.

/// How far the peer has ended the connection, as the kernel knows it, whether or not bytes before the end have been received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerEnd {
    /// It has closed its sending half (FIN): it may still read.
    Finished,
    /// It has reset the connection, or closed both halves of a Unix socket: nothing that is sent arrives.
    Gone,
}

/// The event that both drivers ask for; failure and hang-up come unasked.
pub(crate) const RDHUP: u32 = libc::POLLRDHUP.unsigned_abs() as u32;
const ERR: u32 = libc::POLLERR.unsigned_abs() as u32;
const HUP: u32 = libc::POLLHUP.unsigned_abs() as u32;

/// Whether the errno of a receive or a send means that the peer has gone, and not that this machine is short of something.
pub(crate) const fn is_peers_doing(errno: i32) -> bool {
    !matches!(errno, 0 | libc::ENOMEM | libc::ENOBUFS)
}

/// What is known of one peer's end, and what was told of it: a byte of every stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EndSeen(u8);

const FINISHED: u8 = 1;
const FINISHED_TOLD: u8 = 1 << 1;
const GONE: u8 = 1 << 2;
const SHUT_DOWN: u8 = 1 << 3;

impl EndSeen {
    /// Notes the events of a poll; true when there is something new to tell.
    pub(crate) fn note(&mut self, events: u32) -> bool {
        let before = self.0;
        // With both halves closed a socket hangs up. Where this end closed its own half, that alone does not mean a reset.
        let has_hung_up = events & HUP != 0 && !self.has(SHUT_DOWN);
        if events & ERR != 0 || has_hung_up {
            self.0 |= GONE;
        }
        if events & (RDHUP | HUP) != 0 {
            self.0 |= FINISHED;
        }
        self.0 != before
    }

    /// Notes that receiving or sending has failed; true if that is new. The kernel says an error once, to whichever call comes first.
    pub(crate) fn note_failure(&mut self) -> bool {
        let is_new = !self.has(GONE);
        self.0 |= GONE;
        is_new
    }

    /// Notes that our own half is closed; to be called before it is.
    pub(crate) fn shut_down(&mut self) {
        self.0 |= SHUT_DOWN;
    }

    /// Whether our own half is closed.
    pub(crate) const fn has_shut_down(self) -> bool {
        self.has(SHUT_DOWN)
    }

    /// What there is to tell: that the peer has finished once, that it has gone every time.
    pub(crate) fn tell(&mut self) -> Option<PeerEnd> {
        if self.has(GONE) {
            return Some(PeerEnd::Gone);
        }
        if self.has(FINISHED) && !self.has(FINISHED_TOLD) {
            self.0 |= FINISHED_TOLD;
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
    fn a_finished_peer_is_told_once_and_a_gone_one_every_time() {
        let mut seen = EndSeen::default();
        assert_eq!(seen.tell(), None);
        assert!(seen.note(RDHUP));
        assert!(!seen.note(RDHUP), "the same again is no news");
        assert_eq!(seen.tell(), Some(PeerEnd::Finished));
        assert_eq!(seen.tell(), None);
        assert!(!seen.note(RDHUP));
        assert!(seen.note(RDHUP | HUP));
        assert_eq!(seen.tell(), Some(PeerEnd::Gone));
        assert_eq!(seen.tell(), Some(PeerEnd::Gone));
        assert!(!seen.note(RDHUP | HUP | ERR));
    }

    #[test]
    fn a_failure_is_the_end_whether_or_not_a_poll_has_seen_it() {
        for events in [ERR, ERR | HUP, HUP] {
            let mut seen = EndSeen::default();
            assert!(seen.note(events));
            assert_eq!(seen.tell(), Some(PeerEnd::Gone), "{events:#x}");
        }
        let mut seen = EndSeen::default();
        assert!(seen.note_failure());
        assert!(!seen.note_failure());
        assert_eq!(seen.tell(), Some(PeerEnd::Gone));
    }

    #[test]
    fn a_socket_whose_own_half_is_closed_hangs_up_without_having_lost_its_peer() {
        let mut seen = EndSeen::default();
        seen.shut_down();
        assert!(seen.note(RDHUP | HUP));
        assert_eq!(seen.tell(), Some(PeerEnd::Finished));
        assert_eq!(seen.tell(), None);
        assert!(seen.note(ERR), "a reset is one all the same");
        assert_eq!(seen.tell(), Some(PeerEnd::Gone));
    }
}
