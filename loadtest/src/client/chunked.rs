//! The chunked coding (RFC 9112 section 7.1): passes on the content of chunks in place.
//!
//! Invariant: a decoder keeps at most one unfinished line of at most `LINE_BYTES_MAX` bytes.

/// The longest chunk line or trailer line.
const LINE_BYTES_MAX: usize = 1024;

/// Decodes consecutive pieces.
#[derive(Debug)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// An unfinished line.
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    /// A chunk with this many bytes left.
    Content(u64),
    ContentEnd,
    Trailer,
    End,
}

/// The bytes violate the coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl ChunkedDecoder {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size,
            line: Vec::new(),
        }
    }

    /// Whether the last chunk and its trailer have arrived.
    pub(crate) fn is_at_end(&self) -> bool {
        self.state == State::End
    }

    /// Passes the content in `bytes` to `on_content`, in order; returns the length up to the end of the coding, or that
    /// of `bytes`.
    ///
    /// # Errors
    ///
    /// A violation, or the first error of `on_content`; the connection is then unusable.
    pub(crate) fn receive<E: From<Malformed>>(
        &mut self,
        bytes: &[u8],
        mut on_content: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_at_end() {
            let taken = match self.state {
                State::Content(left) => {
                    let taken = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    on_content(rest.get(..taken).unwrap_or_default())?;
                    self.state = match left - taken as u64 {
                        0 => State::ContentEnd,
                        left => State::Content(left),
                    };
                    taken
                }
                State::Size | State::ContentEnd | State::Trailer | State::End => self.take_line(rest)?,
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(bytes.len() - rest.len())
    }

    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if self.line.len() + taken > LINE_BYTES_MAX {
            return Err(Malformed);
        }
        self.line.extend(bytes.iter().take(taken));
        if end.is_none() {
            return Ok(taken);
        }
        let line = self.line.strip_suffix(b"\r\n").ok_or(Malformed)?;
        self.state = match self.state {
            State::Size => match chunk_size(line)? {
                0 => State::Trailer,
                size => State::Content(size),
            },
            State::ContentEnd if line.is_empty() => State::Size,
            State::Trailer if line.is_empty() => State::End,
            State::Trailer => State::Trailer,
            _ => return Err(Malformed),
        };
        self.line.clear();
        Ok(taken)
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii_end();
    // 15 digits cannot overflow.
    if !(1..=15).contains(&digits.len()) {
        return Err(Malformed);
    }
    digits.iter().try_fold(0, |size: u64, digit| {
        let value = char::from(*digit).to_digit(16).ok_or(Malformed)?;
        Ok(size << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the content of `pieces`, and whether the coding ended.
    fn decode<'bytes>(pieces: impl IntoIterator<Item = &'bytes [u8]>) -> Result<(Vec<u8>, bool), Malformed> {
        let mut decoder = ChunkedDecoder::new();
        let mut content = Vec::new();
        for piece in pieces {
            decoder.receive(piece, |part| {
                content.extend_from_slice(part);
                Ok::<(), Malformed>(())
            })?;
            assert!(decoder.line.len() <= LINE_BYTES_MAX);
        }
        Ok((content, decoder.is_at_end()))
    }

    fn assert_decoded(transcript: &[u8], expected: Result<(Vec<u8>, bool), Malformed>) {
        assert_eq!(decode([transcript]), expected, "whole");
        assert_eq!(decode(transcript.chunks(1)), expected, "byte by byte");
        for middle in 0..=transcript.len() {
            let (begin, end) = transcript.split_at(middle);
            assert_eq!(decode([begin, end]), expected, "split at {middle}");
        }
    }

    #[test]
    fn content_is_the_same_at_every_split() {
        assert_decoded(
            b"3\r\none\r\n0A;name=\"v\"\r\n0123456789\r\n1 \r\nx\r\n",
            Ok((b"one0123456789x".to_vec(), false)),
        );
        assert_decoded(b"1\r\nx\r\n0\r\nA: b\r\n\r\n", Ok((b"x".to_vec(), true)));
    }

    #[test]
    fn bytes_after_the_end_belong_to_the_next_response() {
        let mut decoder = ChunkedDecoder::new();
        let taken = decoder.receive(b"1\r\nx\r\n0\r\n\r\nHTTP/1.1", |_| Ok::<(), Malformed>(()));
        assert_eq!((taken, decoder.is_at_end()), (Ok(11), true));
    }

    #[test]
    fn violations_are_found_at_every_split() {
        for transcript in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"1\nx",
            b"1\r\nxy\r\n",
            b"0123456789abcdef0\r\n",
        ] {
            assert_decoded(transcript, Err(Malformed));
        }
        assert_eq!(decode([[b'1'; 2 * LINE_BYTES_MAX].as_slice()]), Err(Malformed));
    }
}
