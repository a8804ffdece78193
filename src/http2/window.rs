//! Flow-control windows (RFC 9113 §5.2, §6.9). A window may become negative, and never exceeds 2³¹ − 1.

/// Largest window in bytes.
pub(super) const WINDOW_MAX: i64 = (1 << 31) - 1;

/// The window that every stream and every connection starts with, in bytes (RFC 9113 §6.9.2).
pub(super) const WINDOW_INITIAL: i64 = 65_535;

/// The least that a WINDOW_UPDATE grants: 4 KiB. Smaller updates would cost more than they help.
const UPDATE_BYTES_MIN: i64 = 4096;

/// What may still be sent, by this end or by the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window(i64);

/// A window would exceed 2³¹ − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowOverflow;

impl Window {
    pub(super) const fn new(bytes: i64) -> Self {
        Self(bytes)
    }

    /// Returns how many bytes fit; 0 if the window is negative.
    pub(super) fn room(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Uses a part of the window. The caller has checked that it fits.
    pub(super) fn use_up(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(i64::try_from(bytes).unwrap_or(WINDOW_MAX));
    }

    /// Enlarges the window, or reduces it by a negative amount.
    pub(super) fn enlarge(&mut self, bytes: i64) -> Result<(), WindowOverflow> {
        let enlarged = self.0.saturating_add(bytes);
        if enlarged > WINDOW_MAX {
            return Err(WindowOverflow);
        }
        self.0 = enlarged;
        Ok(())
    }

    /// Raises the window to `target`, if that is at least half of the `whole` window; returns by how much.
    pub(super) fn replenish(&mut self, target: i64, whole: i64) -> Option<i64> {
        let missing = target.saturating_sub(self.0);
        if missing < UPDATE_BYTES_MIN || missing < whole / 2 {
            return None;
        }
        self.0 = target;
        Some(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::{WINDOW_INITIAL, WINDOW_MAX, Window, WindowOverflow};

    #[test]
    fn a_window_may_be_negative_and_has_a_maximum() {
        let mut window = Window::new(WINDOW_INITIAL);
        window.enlarge(-WINDOW_INITIAL - 10).unwrap();
        assert_eq!((window.0, window.room()), (-10, 0));
        window.enlarge(WINDOW_MAX).unwrap();
        assert_eq!(window.enlarge(11), Err(WindowOverflow));
        window.enlarge(10).unwrap();
        assert_eq!(window.0, WINDOW_MAX);
    }

    #[test]
    fn an_update_is_half_a_window_and_at_least_4_kib() {
        let mut window = Window::new(65_535);
        window.use_up(32_766);
        assert_eq!(window.replenish(65_535, 65_535), None);
        window.use_up(1);
        assert_eq!(window.replenish(65_535, 65_535), Some(32_767));
        let mut small = Window::new(5000);
        small.use_up(4095);
        assert_eq!(small.replenish(5000, 5000), None);
        small.use_up(1);
        assert_eq!(small.replenish(5000, 5000), Some(4096));
    }
}
