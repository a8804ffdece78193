//! The 64 bits of `user_data`, which say what a completion belongs to.
//!
//! A completion may outlive its descriptor, so it carries none. It carries the operation, the slot's key and the slot's
//! generation; a completion of an earlier generation is recognised and dropped.

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Multishot accept on a listener.
    Accept,
    /// Multishot receive into provided buffers.
    Receive,
    /// One receive into the slot's own buffer, while provided buffers are short.
    ReceivePlain,
    /// One send of the slot's buffer in flight.
    Send,
    /// Connecting the slot's socket.
    Connect,
    /// Multishot poll for the peer's end.
    PeerEnd,
    /// Closing the slot's descriptor.
    Close,
    /// The read of the wake event.
    WakeEvent,
    /// The ring's timer.
    Timer,
    /// A request whose result does not matter: a cancellation, or a move of the timer.
    Ignored,
}

/// How many bits of a generation fit `user_data`.
const GENERATION_BITS: u32 = 24;

/// An operation on one generation of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) operation: Operation,
    pub(super) slot: SlotKey,
}

/// A slot and the generation of its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotKey {
    pub(super) index: u32,
    generation: u32,
}

impl SlotKey {
    /// The key of operations of the ring itself.
    pub(super) const NONE: Self = Self {
        index: 0,
        generation: 0,
    };

    /// Creates a key; generations wrap after 2^24 uses, long after every completion of the first.
    pub(super) const fn new(index: u32, generation: u32) -> Self {
        Self {
            index,
            generation: generation & ((1 << GENERATION_BITS) - 1),
        }
    }
}

impl Token {
    pub(super) const fn new(operation: Operation, slot: SlotKey) -> Self {
        Self { operation, slot }
    }

    /// Packs the token: operation in the top byte, generation in the next three, index in the low word.
    pub(super) const fn to_user_data(self) -> u64 {
        let operation = match self.operation {
            Operation::Accept => 1,
            Operation::Receive => 2,
            Operation::ReceivePlain => 3,
            Operation::Send => 4,
            Operation::Close => 5,
            Operation::WakeEvent => 6,
            Operation::Timer => 7,
            Operation::Ignored => 8,
            Operation::Connect => 9,
            Operation::PeerEnd => 10,
        };
        (operation << 56) | ((self.slot.generation as u64) << 32) | self.slot.index as u64
    }

    /// Unpacks a token; `None` for a number not packed here.
    #[expect(clippy::cast_possible_truncation, reason = "the parts are cut out on purpose")]
    pub(super) const fn from_user_data(user_data: u64) -> Option<Self> {
        let operation = match user_data >> 56 {
            1 => Operation::Accept,
            2 => Operation::Receive,
            3 => Operation::ReceivePlain,
            4 => Operation::Send,
            5 => Operation::Close,
            6 => Operation::WakeEvent,
            7 => Operation::Timer,
            8 => Operation::Ignored,
            9 => Operation::Connect,
            10 => Operation::PeerEnd,
            _ => return None,
        };
        let slot = SlotKey::new(user_data as u32, (user_data >> 32) as u32);
        Some(Self { operation, slot })
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, SlotKey, Token};

    #[test]
    fn a_token_survives_packing_into_user_data() {
        let operations = [
            Operation::Accept,
            Operation::Receive,
            Operation::ReceivePlain,
            Operation::Send,
            Operation::Connect,
            Operation::PeerEnd,
            Operation::Close,
            Operation::WakeEvent,
            Operation::Timer,
            Operation::Ignored,
        ];
        for operation in operations {
            for slot in [
                SlotKey::NONE,
                SlotKey::new(u32::MAX, u32::MAX),
                SlotKey::new(7, 1 << 23),
            ] {
                let token = Token::new(operation, slot);
                assert_eq!(Token::from_user_data(token.to_user_data()), Some(token));
            }
        }
    }

    #[test]
    fn a_foreign_number_is_not_a_token() {
        assert_eq!(Token::from_user_data(0), None);
        assert_eq!(Token::from_user_data(u64::MAX), None);
    }

    #[test]
    fn two_uses_of_a_slot_differ() {
        assert_ne!(SlotKey::new(3, 1), SlotKey::new(3, 2));
    }
}
