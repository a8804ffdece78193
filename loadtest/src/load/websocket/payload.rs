//! Message payloads: a stamp that identifies the message, then a fixed filling of the run's message length.
//!
//! The stamp shows which message arrived; the filling reveals each changed byte. Text messages need a stamp that is
//! text.

use std::ops::RangeInclusive;

use super::frame::{Opcode, write_masked};

/// Writes and checks the payloads of one thread.
#[derive(Debug)]
pub(crate) struct Payloads {
    opcode: Opcode,
    /// A whole message, with the stamp of the one written last.
    bytes: Vec<u8>,
    mask_seed: u64,
}

impl Payloads {
    /// Makes binary payloads of `message_bytes` bytes.
    pub(crate) fn new(message_bytes: usize) -> Self {
        Self::filled(Opcode::Binary, 1..=251, message_bytes)
    }

    /// Makes text payloads of `message_bytes` visible ASCII characters.
    pub(crate) fn text(message_bytes: usize) -> Self {
        Self::filled(Opcode::Text, b'!'..=b'~', message_bytes)
    }

    /// Neighbouring bytes of the filling differ and are never zero, so a shifted or zeroed payload is detected.
    fn filled(opcode: Opcode, bytes: RangeInclusive<u8>, message_bytes: usize) -> Self {
        Self {
            opcode,
            bytes: bytes.cycle().take(message_bytes).collect(),
            mask_seed: 0x9E37_79B9_7F4A_7C15,
        }
    }

    pub(crate) fn message_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a frame whose message starts with `stamp`, cut to the message length.
    pub(crate) fn write(&mut self, stamp: &[u8], output: &mut Vec<u8>) {
        for (byte, stamp) in self.bytes.iter_mut().zip(stamp) {
            *byte = *stamp;
        }
        let mask = self.next_mask();
        write_masked(self.opcode, &self.bytes, mask, output);
    }

    /// Returns the stamp of `payload`, at most `stamp_bytes` long; `None` if the rest is not this run's filling.
    pub(crate) fn stamp<'payload>(&self, payload: &'payload [u8], stamp_bytes: usize) -> Option<&'payload [u8]> {
        let (stamp, filling) = payload.split_at(stamp_bytes.min(payload.len()));
        let expected = self.bytes.get(stamp.len()..)?;
        let is_ours = payload.len() == self.bytes.len() && filling == expected;
        is_ours.then_some(stamp)
    }

    /// Returns a masking key that differs from frame to frame (xorshift64).
    ///
    /// It is predictable: RFC 6455 section 10.3 protects proxies from browser scripts, which do not run here.
    fn next_mask(&mut self) -> [u8; 4] {
        self.mask_seed ^= self.mask_seed << 13;
        self.mask_seed ^= self.mask_seed >> 7;
        self.mask_seed ^= self.mask_seed << 17;
        let [a, b, c, d, ..] = self.mask_seed.to_le_bytes();
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload of a frame of up to 125 bytes that a client sent.
    fn unmask(frame: &[u8]) -> Vec<u8> {
        let mask = &frame[2..6];
        frame[6..]
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask)
            .collect()
    }

    #[test]
    fn stamp_is_read_back_at_any_length() {
        for length in [0, 1, 7, 8, 9, 64, 125] {
            let mut payloads = Payloads::new(length);
            let mut frame = Vec::new();
            payloads.write(&7_u64.to_le_bytes(), &mut frame);
            let payload = unmask(&frame);
            assert_eq!(payload.len(), length);
            let expected = &7_u64.to_le_bytes()[..length.min(8)];
            assert_eq!(payloads.stamp(&payload, 8), Some(expected), "{length} bytes");
        }
    }

    #[test]
    fn changed_message_is_detected() {
        let mut payloads = Payloads::new(12);
        let mut frame = Vec::new();
        payloads.write(&7_u64.to_le_bytes(), &mut frame);
        let right = unmask(&frame);
        for index in 8..12 {
            let mut wrong = right.clone();
            wrong[index] ^= 1;
            assert_eq!(payloads.stamp(&wrong, 8), None, "byte {index} changed");
        }
        assert_eq!(payloads.stamp(&right[..11], 8), None);
        assert_eq!(payloads.stamp(&right[..3], 8), None);
        assert_eq!(payloads.stamp(&[right, vec![0]].concat(), 8), None);
    }

    #[test]
    fn text_payloads_are_one_line_of_visible_text() {
        let mut payloads = Payloads::text(125);
        let mut frame = Vec::new();
        payloads.write(b"stamp", &mut frame);
        assert_eq!(frame[0], 0x81, "a final text frame");
        let payload = unmask(&frame);
        assert!(payload.iter().all(u8::is_ascii_graphic), "{payload:?}");
        assert_eq!(payloads.stamp(&payload, 5), Some(b"stamp".as_slice()));
    }

    #[test]
    fn masks_differ_from_frame_to_frame() {
        let mut payloads = Payloads::new(0);
        let mut frames = Vec::new();
        payloads.write(&[], &mut frames);
        payloads.write(&[], &mut frames);
        assert_ne!(frames[2..6], frames[8..12]);
    }
}
