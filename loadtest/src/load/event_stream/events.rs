//! The events in a stream of bytes (HTML standard, section "Interpreting an event stream").
//!
//! Lines end in CR LF, LF or CR. An empty line ends an event; one without data is dropped. Invariant: a parser keeps at
//! most one unfinished line and the fields of one event, each within its limit.

/// The byte order mark that may start a stream.
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The room of a line for the name of its field.
const FIELD_NAME_BYTES_MAX: usize = 64;

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event<'bytes> {
    /// Empty for a message, the event that a page receives in `onmessage`.
    pub(crate) name: &'bytes [u8],
    pub(crate) data: &'bytes [u8],
}

/// An event's data is longer than the parser's limit, or a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// Parses the events of one stream.
#[derive(Debug)]
pub(super) struct EventParser {
    data_bytes_max: usize,
    /// An unfinished line.
    line: Vec<u8>,
    /// The last byte was a CR, so an LF ends the same line.
    is_after_cr: bool,
    is_first_line: bool,
    name: Vec<u8>,
    /// The lines of data so far, each followed by an LF.
    data: Vec<u8>,
}

impl EventParser {
    /// Makes a parser that rejects data longer than `data_bytes_max` bytes.
    pub(super) fn new(data_bytes_max: usize) -> Self {
        Self {
            data_bytes_max,
            line: Vec::new(),
            is_after_cr: false,
            is_first_line: true,
            name: Vec::new(),
            data: Vec::new(),
        }
    }

    /// Passes each event that `bytes` completes to `on_event`, in order.
    ///
    /// # Errors
    ///
    /// A field is too long, or the first error of `on_event`; the stream is then unusable.
    pub(super) fn receive<E: From<TooLong>>(
        &mut self,
        bytes: &[u8],
        mut on_event: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = bytes;
        if self.is_after_cr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.is_after_cr = false;
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, behind) = rest.split_at(end);
            self.check_line(self.line.len() + line.len())?;
            match self.line.is_empty() {
                true => self.take_line(line, &mut on_event)?,
                false => {
                    let mut whole = std::mem::take(&mut self.line);
                    whole.extend_from_slice(line);
                    self.take_line(&whole, &mut on_event)?;
                    // Keeps the allocation for the next line that a read cuts.
                    whole.clear();
                    self.line = whole;
                }
            }
            rest = match behind {
                [b'\r', b'\n', after @ ..] => after,
                [b'\r'] => {
                    self.is_after_cr = true;
                    &[]
                }
                [_, after @ ..] => after,
                [] => &[],
            };
        }
        self.check_line(self.line.len() + rest.len())?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    fn check_line(&self, line_bytes: usize) -> Result<(), TooLong> {
        match line_bytes > self.data_bytes_max + FIELD_NAME_BYTES_MAX {
            true => Err(TooLong),
            false => Ok(()),
        }
    }

    fn take_line<E: From<TooLong>>(
        &mut self,
        line: &[u8],
        on_event: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = match std::mem::take(&mut self.is_first_line) {
            true => line.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(line),
            false => line,
        };
        if line.is_empty() {
            return self.dispatch(on_event);
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            None => (line, &[][..]),
            Some(colon) => {
                let (name, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                (name, value.strip_prefix(b" ").unwrap_or(value))
            }
        };
        match name {
            b"data" => {
                // The LF after the last line is not part of the data.
                if self.data.len() + value.len() > self.data_bytes_max {
                    return Err(TooLong.into());
                }
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // A comment has an empty name; ids and retry delays concern only a client that reconnects.
            _ => {}
        }
        Ok(())
    }

    fn dispatch<E>(&mut self, on_event: &mut impl FnMut(Event<'_>) -> Result<(), E>) -> Result<(), E> {
        let event = self.data.strip_suffix(b"\n").map(|data| Event {
            name: match self.name.as_slice() {
                b"message" => &[],
                name => name,
            },
            data,
        });
        let outcome = event.map_or(Ok(()), on_event);
        self.name.clear();
        self.data.clear();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = (String, String);

    fn parse<'bytes>(pieces: impl IntoIterator<Item = &'bytes [u8]>) -> (Vec<Owned>, Option<TooLong>) {
        let mut parser = EventParser::new(20);
        let mut events = Vec::new();
        for piece in pieces {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let received = parser.receive(piece, |event| {
                events.push((text(event.name), text(event.data)));
                Ok::<(), TooLong>(())
            });
            assert!(parser.line.len() <= 20 + FIELD_NAME_BYTES_MAX && parser.data.len() <= 21);
            if let Err(error) = received {
                return (events, Some(error));
            }
        }
        (events, None)
    }

    /// A transcript gives the same events whole, byte by byte and at each two-way split.
    fn assert_parsed(transcript: &[u8], expected: &[(&str, &str)], error: Option<TooLong>) {
        let owned = |(name, data): &(&str, &str)| ((*name).to_owned(), (*data).to_owned());
        let expected: (Vec<Owned>, _) = (expected.iter().map(owned).collect(), error);
        assert_eq!(parse([transcript]), expected, "whole");
        assert_eq!(parse(transcript.chunks(1)), expected, "byte by byte");
        for middle in 0..=transcript.len() {
            let (begin, end) = transcript.split_at(middle);
            assert_eq!(parse([begin, end]), expected, "split at {middle}");
        }
    }

    #[test]
    fn events_are_the_same_at_every_split() {
        for ending in ["\n", "\r\n", "\r"] {
            let text = "\u{feff}: comment\nretry: 5\nid: 7\ndata: one\n\nevent: notice\ndata:  two\ndata:three\n\n\
                        event: message\ndata\n\nevent: lost\n\nid\n\n:\n\ndata: four: five\ndata: \n\ndata: unfinished";
            assert_parsed(
                text.replace('\n', ending).as_bytes(),
                &[("", "one"), ("notice", " two\nthree"), ("", ""), ("", "four: five\n")],
                None,
            );
        }
    }

    #[test]
    fn byte_order_mark_counts_only_at_the_start() {
        assert_parsed("\u{feff}\u{feff}data: a\n\ndata: b\n\n".as_bytes(), &[("", "b")], None);
        assert_parsed("\n\u{feff}data: a\n\ndata: b\n\n".as_bytes(), &[("", "b")], None);
    }

    #[test]
    fn parsing_ends_at_the_first_field_that_is_too_long() {
        assert_parsed(b"data: 01234567890123456789\n\n", &[("", "01234567890123456789")], None);
        for long in [
            "data: 0123456789\ndata: 0123456789\n\n".to_owned(),
            "data: 012345678901234567890\n\n".to_owned(),
            ":".repeat(200) + "\n",
            "x".repeat(200),
        ] {
            assert_parsed(
                format!("data: good\n\n{long}").as_bytes(),
                &[("", "good")],
                Some(TooLong),
            );
        }
    }

    #[test]
    fn error_of_the_callback_stops_the_parsing() {
        let mut heard = 0;
        let stopped = EventParser::new(20).receive(b"data: a\n\ndata: b\n\n", |_| {
            heard += 1;
            Err(TooLong)
        });
        assert_eq!((stopped, heard), (Err(TooLong), 1));
    }
}
