//! The message numbers one subscriber has received: in order, skipped, late or repeated.
//!
//! Messages are numbered from 1. A bit for each of the last 64 numbers tells a late delivery from a repeated one.

/// Numbers remembered below the highest: one bit each.
const MEMORY: u64 = 64;

/// The received numbers of one subscriber.
#[derive(Debug, Clone, Copy)]
pub(super) struct Continuity {
    /// The next expected number: one more than the highest received.
    next: u64,
    /// Bit `n` is set if the number `n` below the highest was received.
    came: u64,
}

/// The kind of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A new highest number, `skipped` numbers beyond the expected one.
    Ahead { skipped: u64 },
    /// A number skipped earlier.
    Late,
    /// A number received before, or 64 or more below the highest.
    Repeated,
}

impl Continuity {
    pub(super) fn new() -> Self {
        Self {
            next: 1,
            came: u64::MAX,
        }
    }

    /// Returns the highest received number; 0 before the first.
    pub(super) fn highest(self) -> u64 {
        self.next - 1
    }

    /// Records `number`, which is at least 1.
    pub(super) fn take(&mut self, number: u64) -> Arrival {
        if let Some(skipped) = number.checked_sub(self.next) {
            let shift = skipped.saturating_add(1);
            self.came = if shift < MEMORY { self.came << shift | 1 } else { 1 };
            self.next = number.saturating_add(1);
            return Arrival::Ahead { skipped };
        }
        let age = self.highest() - number;
        if age >= MEMORY || self.came >> age & 1 == 1 {
            return Arrival::Repeated;
        }
        self.came |= 1 << age;
        Arrival::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_in_order_late_or_repeated() {
        let ahead = |skipped| Arrival::Ahead { skipped };
        let mut continuity = Continuity::new();
        for (number, expected) in [
            (1, ahead(0)),
            (2, ahead(0)),
            (2, Arrival::Repeated),
            (1, Arrival::Repeated),
            (6, ahead(3)),
            (4, Arrival::Late),
            (4, Arrival::Repeated),
            (3, Arrival::Late),
            (7, ahead(0)),
            (5, Arrival::Late),
            (70, ahead(62)),
            (7, Arrival::Repeated),
            (8, Arrival::Late),
            (8, Arrival::Repeated),
            (200, ahead(129)),
            (137, Arrival::Late),
            (136, Arrival::Repeated),
        ] {
            assert_eq!(continuity.take(number), expected, "{number} in {continuity:?}");
        }
        assert_eq!(continuity.highest(), 200);
    }

    #[test]
    fn first_number_may_be_late_too() {
        let mut continuity = Continuity::new();
        assert_eq!(continuity.take(2), Arrival::Ahead { skipped: 1 });
        assert_eq!(continuity.take(1), Arrival::Late);
    }
}
