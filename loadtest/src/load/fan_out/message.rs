//! A published message: its number and its due time, as the stamp of a payload.
//!
//! WebSockets receive binary messages. Event streams carry only text, so their stamp is hexadecimal.

use crate::load::clock::Nanos;
use crate::load::plan::{STAMP_BYTES, TEXT_STAMP_BYTES};
use crate::load::target::Scheme;
use crate::load::websocket::payload::Payloads;

/// Hexadecimal digits of a number.
const DIGITS: usize = TEXT_STAMP_BYTES / 2;

/// The form of the messages of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Binary,
    Text,
}

/// Writes and reads the messages of one thread.
#[derive(Debug)]
pub(super) struct Messages {
    form: Form,
    payloads: Payloads,
}

impl Messages {
    /// Makes the messages of subscribers at a URL of `scheme`, each `message_bytes` long.
    pub(super) fn new(scheme: Scheme, message_bytes: usize) -> Self {
        let (form, payloads) = match scheme {
            Scheme::WebSocket => (Form::Binary, Payloads::new(message_bytes)),
            Scheme::Http => (Form::Text, Payloads::text(message_bytes)),
        };
        Self { form, payloads }
    }

    /// Appends the frame that publishes message `number`, which is due at `due`.
    pub(super) fn write(&mut self, number: u64, due: Nanos, output: &mut Vec<u8>) {
        match self.form {
            Form::Binary => {
                let mut stamp = [0; STAMP_BYTES];
                let bytes = number.to_le_bytes().into_iter().chain(due.to_le_bytes());
                for (place, byte) in stamp.iter_mut().zip(bytes) {
                    *place = byte;
                }
                self.payloads.write(&stamp, output);
            }
            Form::Text => self
                .payloads
                .write(format!("{number:0DIGITS$x}{due:0DIGITS$x}").as_bytes(), output),
        }
    }

    /// Returns the number and due time of a received payload; `None` if this run did not publish it.
    pub(super) fn read(&self, payload: &[u8]) -> Option<(u64, Nanos)> {
        match self.form {
            Form::Binary => {
                let (number, due) = self.payloads.stamp(payload, STAMP_BYTES)?.split_first_chunk()?;
                Some((u64::from_le_bytes(*number), u64::from_le_bytes(*due.first_chunk()?)))
            }
            Form::Text => {
                let stamp = self.payloads.stamp(payload, TEXT_STAMP_BYTES)?;
                let (number, due) = stamp.split_at_checked(DIGITS)?;
                Some((parse_hexadecimal(number)?, parse_hexadecimal(due)?))
            }
        }
    }
}

/// Parses [`DIGITS`] lower-case digits.
fn parse_hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.len() != DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the payload of a masked frame of up to 125 bytes.
    fn unmask(frame: &[u8]) -> Vec<u8> {
        let mask = frame[2..6].iter().cycle();
        frame[6..].iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
    }

    #[test]
    fn number_and_due_time_are_read_back() {
        for (scheme, least) in [(Scheme::WebSocket, STAMP_BYTES), (Scheme::Http, TEXT_STAMP_BYTES)] {
            for (number, due) in [(0, 0), (1, u64::MAX), (0x0123_4567_89AB_CDEF, 42)] {
                for message_bytes in [least, 64] {
                    let mut messages = Messages::new(scheme, message_bytes);
                    let mut frame = Vec::new();
                    messages.write(number, due, &mut frame);
                    let payload = unmask(&frame);
                    assert_eq!(payload.len(), message_bytes);
                    assert_eq!(messages.read(&payload), Some((number, due)), "{scheme:?}");
                }
            }
        }
    }

    #[test]
    fn changed_text_is_detected() {
        let mut messages = Messages::new(Scheme::Http, 40);
        let mut frame = Vec::new();
        messages.write(10, 11, &mut frame);
        let right = unmask(&frame);
        for (index, byte) in [(0, b'+'), (15, b'A'), (31, b' '), (32, b'x'), (39, b'x')] {
            let mut wrong = right.clone();
            wrong[index] = byte;
            assert_eq!(messages.read(&wrong), None, "byte {index}");
        }
        assert_eq!(messages.read(&right[..39]), None);
        assert_eq!(messages.read(&[]), None);
    }
}
