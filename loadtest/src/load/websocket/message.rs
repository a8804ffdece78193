//! A message reader (RFC 6455 sections 5.4 and 5.5): joins fragments and handles control frames between them.
//!
//! Complete frames are passed on in place. Only frames cut by a read and fragmented messages are copied, so 10,000
//! subscribers need no allocation per message. Invariant: each buffer holds at most one message and one read.

use super::deflate;
use super::frame::{Header, Opcode, Violation};

/// A message or control frame from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message<'bytes> {
    /// A text or binary message.
    Data {
        is_text: bool,
        payload: &'bytes [u8],
    },
    /// Requires a pong with the same payload.
    Ping(&'bytes [u8]),
    Pong,
    /// The close code, if present (section 7.4); the reader ignores later bytes.
    Close(Option<u16>),
}

/// The fragments of a message so far.
#[derive(Debug)]
struct Fragments {
    is_text: bool,
    is_compressed: bool,
    gathered: Vec<u8>,
}

/// Turns the bytes of one connection into messages.
#[derive(Debug, Default)]
pub(crate) struct MessageReader {
    message_bytes_max: usize,
    /// The beginning of an incomplete frame.
    unfinished: Vec<u8>,
    /// Whether messages may be compressed.
    inflates: bool,
    /// An incomplete fragmented message.
    fragments: Option<Fragments>,
    is_closed: bool,
}

impl MessageReader {
    /// Makes a reader that rejects messages longer than `message_bytes_max` bytes.
    pub(crate) fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max,
            ..Self::default()
        }
    }

    /// Returns the reader with permessage-deflate negotiated if `inflates`.
    pub(crate) fn inflating(self, inflates: bool) -> Self {
        Self { inflates, ..self }
    }

    /// Passes each message that `received` completes to `on_message`, in order.
    ///
    /// # Errors
    ///
    /// A protocol violation, or the first error of `on_message`; the connection is then unusable.
    pub(crate) fn receive<E: From<Violation>>(
        &mut self,
        received: &[u8],
        mut on_message: impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.unfinished.is_empty() {
            let used = self.receive_frames(received, &mut on_message)?;
            self.unfinished
                .extend_from_slice(received.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut joined = std::mem::take(&mut self.unfinished);
        joined.extend_from_slice(received);
        let used = self.receive_frames(&joined, &mut on_message)?;
        joined.drain(..used);
        self.unfinished = joined;
        Ok(())
    }

    /// Reads complete frames and returns their total length.
    fn receive_frames<E: From<Violation>>(
        &mut self,
        bytes: &[u8],
        on_message: &mut impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut rest = bytes;
        while !self.is_closed {
            let Some(header) = Header::parse(rest)? else { break };
            let payload_bytes = self.check_length(&header)?;
            let after_header = rest.get(header.header_bytes..).unwrap_or_default();
            let Some((payload, next)) = after_header.split_at_checked(payload_bytes) else {
                break;
            };
            self.receive_frame(&header, payload, on_message)?;
            rest = next;
        }
        // RFC 6455 section 5.5.1: bytes after a close frame are ignored.
        let unread = if self.is_closed { 0 } else { rest.len() };
        Ok(bytes.len() - unread)
    }

    fn receive_frame<E: From<Violation>>(
        &mut self,
        header: &Header,
        payload: &[u8],
        on_message: &mut impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match (header.opcode, self.fragments.as_mut()) {
            (Opcode::Ping, _) => on_message(Message::Ping(payload)),
            (Opcode::Pong, _) => on_message(Message::Pong),
            (Opcode::Close, _) => {
                self.is_closed = true;
                let code = match payload {
                    [] => None,
                    [high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
                    [_] => return Err(Violation::CloseCode.into()),
                };
                on_message(Message::Close(code))
            }
            (Opcode::Text | Opcode::Binary, None) => {
                let is_text = header.opcode == Opcode::Text;
                let is_compressed = header.is_compressed;
                if is_compressed && !self.inflates {
                    return Err(Violation::ReservedBits.into());
                }
                if header.is_final {
                    return self.deliver(is_text, is_compressed, payload, on_message);
                }
                self.fragments = Some(Fragments {
                    is_text,
                    is_compressed,
                    gathered: payload.to_vec(),
                });
                Ok(())
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(Violation::UnfinishedMessage.into()),
            (Opcode::Continuation, None) => Err(Violation::StrayContinuation.into()),
            (Opcode::Continuation, Some(fragments)) => {
                fragments.gathered.extend_from_slice(payload);
                if !header.is_final {
                    return Ok(());
                }
                let Some(whole) = self.fragments.take() else {
                    return Ok(());
                };
                self.deliver(whole.is_text, whole.is_compressed, &whole.gathered, on_message)
            }
        }
    }

    fn deliver<E: From<Violation>>(
        &self,
        is_text: bool,
        is_compressed: bool,
        payload: &[u8],
        on_message: &mut impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !is_compressed {
            return on_message(Message::Data { is_text, payload });
        }
        let inflated = deflate::inflate(payload, self.message_bytes_max)?;
        on_message(Message::Data {
            is_text,
            payload: &inflated,
        })
    }

    /// Returns the payload length if the message stays within the limit.
    fn check_length(&self, header: &Header) -> Result<usize, Violation> {
        let too_long = Violation::TooLong {
            message_bytes_max: self.message_bytes_max,
        };
        let payload_bytes = usize::try_from(header.payload_bytes).map_err(|_| too_long.clone())?;
        let gathered = match &self.fragments {
            Some(fragments) if header.opcode == Opcode::Continuation => fragments.gathered.len(),
            _ => 0,
        };
        let overhead = if self.inflates { deflate::OVERHEAD_BYTES_MAX } else { 0 };
        let is_too_long = payload_bytes > (self.message_bytes_max + overhead).saturating_sub(gathered);
        if is_too_long && !header.opcode.is_control() {
            return Err(too_long);
        }
        Ok(payload_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Owned {
        Data(bool, Vec<u8>),
        Ping(Vec<u8>),
        Pong,
        Close(Option<u16>),
    }

    /// Returns the messages in `pieces`, and the violation that ended the reading.
    fn read<'bytes>(pieces: impl IntoIterator<Item = &'bytes [u8]>) -> (Vec<Owned>, Option<Violation>) {
        let mut reader = MessageReader::new(300);
        let mut messages = Vec::new();
        for piece in pieces {
            let received = reader.receive(piece, |message| {
                messages.push(match message {
                    Message::Data { is_text, payload } => Owned::Data(is_text, payload.to_vec()),
                    Message::Ping(payload) => Owned::Ping(payload.to_vec()),
                    Message::Pong => Owned::Pong,
                    Message::Close(code) => Owned::Close(code),
                });
                Ok::<(), Violation>(())
            });
            let header_bytes_max = 10;
            assert!(
                reader.unfinished.len() < header_bytes_max + 300,
                "{}",
                reader.unfinished.len()
            );
            if let Err(violation) = received {
                return (messages, Some(violation));
            }
        }
        (messages, None)
    }

    /// Encodes consecutive server frames.
    fn frames(parts: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (first, payload) in parts {
            bytes.push(*first);
            match payload.len() {
                length @ 0..=125 => bytes.push(u8::try_from(length).unwrap()),
                length => {
                    bytes.push(126);
                    bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
                }
            }
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    /// A transcript gives the same messages whole, byte by byte and at each two-way split.
    fn assert_read(transcript: &[u8], messages: &[Owned], violation: Option<&Violation>) {
        let expected = (messages.to_vec(), violation.cloned());
        assert_eq!(read([transcript]), expected, "whole");
        assert_eq!(read(transcript.chunks(1)), expected, "byte by byte");
        for middle in 0..=transcript.len() {
            let (begin, end) = transcript.split_at(middle);
            assert_eq!(read([begin, end]), expected, "split at {middle}");
        }
    }

    #[test]
    fn messages_are_the_same_at_every_split() {
        let long = [7; 300];
        let transcript = frames(&[
            (0x82, b"binary"),
            (0x81, b""),
            (0x89, b"are you there"),
            (0x01, b"frag"),
            (0x8A, b"unasked"),
            (0x00, b"men"),
            (0x89, b""),
            (0x80, b"ted"),
            (0x82, &long),
            (0x88, &[0x03, 0xE8, b'b', b'y', b'e']),
            (0x82, b"after the end"),
        ]);
        let expected = [
            Owned::Data(false, b"binary".to_vec()),
            Owned::Data(true, Vec::new()),
            Owned::Ping(b"are you there".to_vec()),
            Owned::Pong,
            Owned::Ping(Vec::new()),
            Owned::Data(true, b"fragmented".to_vec()),
            Owned::Data(false, long.to_vec()),
            Owned::Close(Some(1000)),
        ];
        assert_read(&transcript, &expected, None);
    }

    #[test]
    fn reading_ends_at_the_first_violation() {
        let before = Owned::Data(false, b"good".to_vec());
        let too_long = Violation::TooLong { message_bytes_max: 300 };
        for (bad, violation) in [
            (frames(&[(0x80, b"stray")]), Violation::StrayContinuation),
            (frames(&[(0x01, b"a"), (0x82, b"b")]), Violation::UnfinishedMessage),
            (frames(&[(0x82, &[0; 301])]), too_long.clone()),
            (frames(&[(0x02, &[0; 299]), (0x80, b"ab")]), too_long.clone()),
            (
                vec![0x82, 127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
                too_long,
            ),
            (frames(&[(0x88, &[3])]), Violation::CloseCode),
            (frames(&[(0xC2, b"compressed")]), Violation::ReservedBits),
        ] {
            let transcript = [frames(&[(0x82, b"good")]), bad].concat();
            assert_read(&transcript, std::slice::from_ref(&before), Some(&violation));
        }
    }

    #[test]
    fn compressed_messages_need_a_negotiated_extension() {
        let hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
        let whole = frames(&[(0xC2, &hello)]);
        let (begin, end) = hello.split_at(3);
        let fragmented = frames(&[(0x42, begin), (0x89, b""), (0x80, end)]);
        for transcript in [whole, fragmented] {
            let mut heard = Vec::new();
            let mut reader = MessageReader::new(5).inflating(true);
            reader
                .receive(&transcript, |message| {
                    if let Message::Data { payload, .. } = message {
                        heard.push(payload.to_vec());
                    }
                    Ok::<(), Violation>(())
                })
                .unwrap();
            assert_eq!(heard, [b"Hello"]);
        }
        let bomb = frames(&[(0xC2, &hello)]);
        let refused = MessageReader::new(4).inflating(true).receive(&bomb, |_| Ok(()));
        assert_eq!(refused, Err(Violation::Deflate));
    }

    #[test]
    fn complete_frames_leave_the_buffer_empty() {
        let mut reader = MessageReader::new(300);
        let transcript = frames(&[(0x82, b"one"), (0x82, b"two")]);
        reader.receive(&transcript, |_| Ok::<(), Violation>(())).unwrap();
        assert_eq!(reader.unfinished.capacity(), 0);
    }

    #[test]
    fn error_of_the_callback_stops_the_reading() {
        let mut heard = 0;
        let stopped = MessageReader::new(300).receive(&frames(&[(0x82, b"one"), (0x82, b"two")]), |_| {
            heard += 1;
            Err(Violation::Masked)
        });
        assert_eq!((stopped, heard), (Err(Violation::Masked), 1));
    }
}
