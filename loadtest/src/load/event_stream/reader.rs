//! The reader of one event stream: decodes the transfer coding and parses the events.

use std::fmt;

use super::events::{Event, EventParser, TooLong};
use super::response::Framing;
use crate::client::chunked::{ChunkedDecoder, Malformed};

/// Turns the bytes after a response head into events.
#[derive(Debug)]
pub(crate) struct EventReader {
    /// `None` if only the end of the connection ends the stream.
    chunks: Option<ChunkedDecoder>,
    events: EventParser,
}

/// What is wrong with the received bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The chunked coding is malformed.
    Chunked,
    /// The data of an event, or a line, is longer than the reader's limit.
    TooLong,
    /// The server ended the stream by its last chunk.
    Ended,
}

impl EventReader {
    /// Makes a reader that rejects data longer than `data_bytes_max` bytes.
    pub(super) fn new(framing: Framing, data_bytes_max: usize) -> Self {
        Self {
            chunks: (framing == Framing::Chunked).then(ChunkedDecoder::new),
            events: EventParser::new(data_bytes_max),
        }
    }

    /// Passes each event that `bytes` completes to `on_event`, in order.
    ///
    /// # Errors
    ///
    /// A violation, or the first error of `on_event`; the connection is then unusable.
    pub(crate) fn receive<E: From<Violation>>(
        &mut self,
        bytes: &[u8],
        mut on_event: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { chunks, events } = self;
        let mut parse = |content: &[u8]| {
            events
                .receive(content, |event| on_event(event).map_err(Stop::Failed))
                .map_err(Stop::into_error)
        };
        let Some(chunks) = chunks else {
            return parse(bytes);
        };
        let decoded = chunks.receive(bytes, |content| parse(content).map_err(Stop::Failed));
        decoded.map_err(Stop::into_error)?;
        match chunks.is_at_end() {
            true => Err(Violation::Ended.into()),
            false => Ok(()),
        }
    }
}

/// Why a part of the reader stopped.
enum Stop<E> {
    Violated(Violation),
    Failed(E),
}

impl<E: From<Violation>> Stop<E> {
    fn into_error(self) -> E {
        match self {
            Self::Violated(violation) => violation.into(),
            Self::Failed(error) => error,
        }
    }
}

impl<E> From<Malformed> for Stop<E> {
    fn from(_malformed: Malformed) -> Self {
        Self::Violated(Violation::Chunked)
    }
}

impl<E> From<TooLong> for Stop<E> {
    fn from(_too_long: TooLong) -> Self {
        Self::Violated(Violation::TooLong)
    }
}

impl std::error::Error for Violation {}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Chunked => "the chunked coding of the event stream is malformed",
            Self::TooLong => "an event is longer than the messages of this run",
            Self::Ended => "the server ended the event stream",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'bytes>(
        framing: Framing,
        pieces: impl IntoIterator<Item = &'bytes [u8]>,
    ) -> (Vec<Vec<u8>>, Option<Violation>) {
        let mut reader = EventReader::new(framing, 20);
        let mut heard = Vec::new();
        for piece in pieces {
            let received = reader.receive(piece, |event| {
                heard.push(event.data.to_vec());
                Ok::<(), Violation>(())
            });
            if let Err(violation) = received {
                return (heard, Some(violation));
            }
        }
        (heard, None)
    }

    /// Chunks may cut an event anywhere, and reads may cut chunks anywhere.
    #[test]
    fn events_are_the_same_at_every_split_and_in_every_framing() {
        let plain: &[u8] = b"data: one\n\n:\n\ndata: two\n\n";
        let chunked: &[u8] = b"7\r\ndata: o\r\n8\r\nne\n\n:\n\nd\r\n0A\r\nata: two\n\n\r\n";
        let ended: &[u8] = b"19\r\ndata: one\n\n:\n\ndata: two\n\n\r\n0\r\n\r\n";
        for (framing, transcript, violation) in [
            (Framing::UntilClose, plain, None),
            (Framing::Chunked, chunked, None),
            (Framing::Chunked, ended, Some(Violation::Ended)),
        ] {
            let expected = (vec![b"one".to_vec(), b"two".to_vec()], violation);
            assert_eq!(read(framing, [transcript]), expected, "whole");
            assert_eq!(read(framing, transcript.chunks(1)), expected, "byte by byte");
            for middle in 0..=transcript.len() {
                let (begin, end) = transcript.split_at(middle);
                assert_eq!(read(framing, [begin, end]), expected, "split at {middle}");
            }
        }
    }

    #[test]
    fn each_violation_has_its_name() {
        for (transcript, violation) in [
            (&b"9\r\ndata: x\n\nX\r\n"[..], Violation::Chunked),
            (
                b"40\r\ndata: 0123456789012345678901234567890123\n\n",
                Violation::TooLong,
            ),
        ] {
            assert_eq!(read(Framing::Chunked, [transcript]).1, Some(violation));
        }
    }
}
