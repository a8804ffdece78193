//! The machine that splits a form into its parts: content comes in, heads and content of parts come out.
//!
//! It copies only the head of a part, which is limited. Content comes out as slices of the input. A delimiter that may
//! have begun at the end of an input is held back as a count of bytes, because its text is known. So the machine holds no
//! content, and memory stays the same however large the form is.
//!
//! Invariant: the events, and the error, are the same however the content is split, apart from where [`Event::Data`] is
//! cut. Each byte is read a bounded number of times.

use bytes::{Buf, Bytes};
use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use super::boundary::Boundary;
use super::error::MultipartError;
use super::part_head::PartHead;
use crate::app::limits::Limits;
use crate::memory;

/// How many bytes of the delimiter an absent CRLF stands for: at the start of the form, and behind the head of a part.
const LINE_END_BYTES: usize = 2;

/// Reads one form.
///
/// ```
/// use squall::Bytes;
/// use squall::app::Limits;
/// use squall::app::multipart::{Boundary, Event, Parser};
///
/// let boundary = Boundary::from_content_type(b"multipart/form-data; boundary=b")?;
/// let mut parser = Parser::new(&boundary, Limits::default());
/// let content = b"--b\r\nContent-Disposition: form-data; name=\"greeting\"\r\n\r\nhello\r\n--b--";
/// let mut input = Bytes::from_static(content);
/// let mut text = Vec::new();
/// while let Some(event) = parser.receive(&mut input)? {
///     match event {
///         Event::Part(head) => assert_eq!(head.name(), "greeting"),
///         Event::Data(piece) => text.extend_from_slice(&piece),
///         Event::PartEnd | Event::End => {}
///     }
/// }
/// parser.finish()?;
/// assert_eq!(text, b"hello");
/// # Ok::<(), squall::app::multipart::MultipartError>(())
/// ```
#[derive(Debug)]
pub struct Parser {
    /// CRLF, two hyphens and the boundary.
    delimiter: Bytes,
    finder: Finder<'static>,
    limits: Limits,
    state: State,
    /// The head of a part, while it arrives; its memory serves every part.
    head: Vec<u8>,
    parts: usize,
}

/// What a form consists of, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Part(PartHead),
    /// Content of the part, never empty.
    Data(Bytes),
    /// The part has ended.
    PartEnd,
    /// The form has ended; the machine ignores the bytes behind it.
    End,
}

#[derive(Debug)]
enum State {
    /// At the first byte of the form.
    Start,
    /// In the delimiter before the first part.
    Opening { matched: usize },
    /// Behind a delimiter, in the rest of its line.
    Line { seen: Seen, ends_part: bool },
    /// In the head of a part.
    Head,
    /// In the content of a part.
    Content {
        held: Held,
        field_bytes: usize,
        is_file: bool,
    },
    /// Behind the last delimiter, before [`Event::End`].
    Closing,
    /// Behind [`Event::End`].
    Closed,
    /// Behind an error.
    Failed(MultipartError),
}

/// What has been read of the line behind a delimiter.
#[derive(Debug, Clone, Copy)]
enum Seen {
    Nothing,
    Blank,
    Hyphen,
    CarriageReturn,
}

/// The bytes of a delimiter that ended an input, which are content if the delimiter does not go on.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// The first of these bytes that was received: 2 where the CRLF belongs to the head.
    from: usize,
    matched: usize,
}

impl Held {
    const NOTHING: Self = Self { from: 0, matched: 0 };

    /// Behind the empty line of a head, whose CRLF may also begin the delimiter (RFC 2046 §5.1.1, `body-part`).
    const LINE_END: Self = Self {
        from: LINE_END_BYTES,
        matched: LINE_END_BYTES,
    };
}

impl Parser {
    /// Makes a machine for one form.
    ///
    /// Of the limits, it uses `max_parts`, `max_part_head_bytes` and `max_field_bytes`.
    #[must_use]
    pub fn new(boundary: &Boundary, limits: Limits) -> Self {
        let delimiter = boundary.delimiter().clone();
        Self {
            finder: Finder::new(&delimiter).into_owned(),
            delimiter,
            limits,
            state: State::Start,
            head: Vec::new(),
            parts: 0,
        }
    }

    /// Takes bytes from the front of `input` and returns the next event; `None` once it needs more input.
    ///
    /// Call it until it returns `None`, which leaves `input` empty. More than a limit allows is an error at the first
    /// byte beyond.
    ///
    /// # Errors
    ///
    /// The form is malformed or exceeds a limit. Every further call returns the same error.
    pub fn receive(&mut self, input: &mut Bytes) -> Result<Option<Event>, MultipartError> {
        let received = self.advance(input);
        if let Err(error) = received {
            self.state = State::Failed(error);
        }
        received
    }

    /// Checks that the form is complete, at the end of the content.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Cut`] if the last boundary is missing, or the error of an earlier call.
    pub fn finish(&self) -> Result<(), MultipartError> {
        match self.state {
            State::Closing | State::Closed => Ok(()),
            State::Failed(error) => Err(error),
            _ => Err(MultipartError::Cut),
        }
    }

    fn advance(&mut self, input: &mut Bytes) -> Result<Option<Event>, MultipartError> {
        loop {
            let event = match self.state {
                State::Failed(error) => return Err(error),
                State::Closing => {
                    self.state = State::Closed;
                    return Ok(Some(Event::End));
                }
                State::Closed => {
                    input.clear();
                    return Ok(None);
                }
                _ if input.is_empty() => return Ok(None),
                State::Start => {
                    // The CRLF before the first boundary may be missing, and usually is.
                    let matched = if input.starts_with(b"\r") { 0 } else { LINE_END_BYTES };
                    self.state = State::Opening { matched };
                    None
                }
                State::Opening { matched } => {
                    self.opening(matched, input)?;
                    None
                }
                State::Line { seen, ends_part } => self.line(seen, ends_part, input)?,
                State::Head => self.part_head(input)?,
                State::Content {
                    held,
                    field_bytes,
                    is_file,
                } => {
                    let data = self.content(held, input);
                    data.and_then(|data| self.count(data, field_bytes, is_file))
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Reads the delimiter before the first part.
    fn opening(&mut self, matched: usize, input: &mut Bytes) -> Result<(), MultipartError> {
        let matched = self.match_on(matched, input);
        self.state = if matched == self.delimiter.len() {
            State::Line {
                seen: Seen::Nothing,
                ends_part: false,
            }
        } else if input.is_empty() {
            State::Opening { matched }
        } else {
            return Err(MultipartError::Start);
        };
        Ok(())
    }

    /// Takes the bytes that continue the delimiter; returns how many of its bytes match now.
    fn match_on(&self, matched: usize, input: &mut Bytes) -> usize {
        let wanted = self.delimiter.get(matched..).unwrap_or_default();
        let pairs = wanted.iter().zip(input.iter());
        let common = pairs.take_while(|(wanted, found)| wanted == found).count();
        input.advance(common);
        matched + common
    }

    /// Reads a byte of the line behind a delimiter: `--`, or blanks and CRLF.
    fn line(&mut self, seen: Seen, ends_part: bool, input: &mut Bytes) -> Result<Option<Event>, MultipartError> {
        let Some(&byte) = input.first() else { return Ok(None) };
        let seen = match (seen, byte) {
            (Seen::Nothing, b'-') => Seen::Hyphen,
            (Seen::Nothing | Seen::Blank, b' ' | b'\t') => Seen::Blank,
            (Seen::Nothing | Seen::Blank, b'\r') => Seen::CarriageReturn,
            (Seen::Hyphen, b'-') => {
                input.advance(1);
                self.state = State::Closing;
                return Ok(ends_part.then_some(Event::PartEnd));
            }
            (Seen::CarriageReturn, b'\n') => {
                input.advance(1);
                self.state = if self.parts < self.limits.max_parts {
                    self.parts += 1;
                    State::Head
                } else {
                    State::Failed(MultipartError::TooManyParts)
                };
                return Ok(ends_part.then_some(Event::PartEnd));
            }
            _ => return Err(MultipartError::Delimiter),
        };
        input.advance(1);
        self.state = State::Line { seen, ends_part };
        Ok(None)
    }

    /// Reads the head of a part, line by line.
    fn part_head(&mut self, input: &mut Bytes) -> Result<Option<Event>, MultipartError> {
        let line_end = memchr(b'\n', input);
        let taken = input.split_to(line_end.map_or(input.len(), |at| at + 1));
        if self.head.len() + taken.len() > self.limits.max_part_head_bytes {
            return Err(MultipartError::PartHeadTooLarge);
        }
        memory::append(&mut self.head, &taken)?;
        if line_end.is_none() {
            return Ok(None);
        }
        if !self.head.ends_with(b"\r\n") {
            return Err(MultipartError::PartHead);
        }
        if self.head.len() > LINE_END_BYTES && !self.head.ends_with(b"\r\n\r\n") {
            return Ok(None);
        }
        let head = PartHead::parse(&self.head)?;
        self.head.clear();
        self.state = State::Content {
            held: Held::LINE_END,
            field_bytes: 0,
            is_file: head.is_file(),
        };
        Ok(Some(Event::Part(head)))
    }

    /// Takes content of a part, and the delimiter behind it.
    fn content(&mut self, held: Held, input: &mut Bytes) -> Option<Bytes> {
        if held.matched > 0 {
            let matched = self.match_on(held.matched, input);
            if matched == self.delimiter.len() {
                self.end_content();
            } else if input.is_empty() {
                self.hold(Held { matched, ..held });
            } else {
                self.hold(Held::NOTHING);
                return Some(self.delimiter.slice(held.from..matched)).filter(|data| !data.is_empty());
            }
            return None;
        }
        let data = match self.finder.find(input) {
            Some(at) => {
                let data = input.split_to(at);
                input.advance(self.delimiter.len());
                self.end_content();
                data
            }
            None => {
                let matched = self.begun_delimiter(input);
                let data = input.split_to(input.len() - matched);
                input.clear();
                self.hold(Held { from: 0, matched });
                data
            }
        };
        Some(data).filter(|data| !data.is_empty())
    }

    /// How many bytes at the end of `input` may begin a delimiter.
    ///
    /// A delimiter has its only CR at the start, so it can begin only at the last CR.
    fn begun_delimiter(&self, input: &[u8]) -> usize {
        let last = input.len().saturating_sub(self.delimiter.len() - 1);
        let end = input.get(last..).unwrap_or_default();
        let begun = memrchr(b'\r', end).and_then(|at| end.get(at..));
        begun
            .filter(|begun| self.delimiter.starts_with(begun))
            .map_or(0, <[u8]>::len)
    }

    /// Stays in the content of the part.
    fn hold(&mut self, held_now: Held) {
        if let State::Content { held, .. } = &mut self.state {
            *held = held_now;
        }
    }

    fn end_content(&mut self) {
        self.state = State::Line {
            seen: Seen::Nothing,
            ends_part: true,
        };
    }

    /// Counts content of a field. Beyond the limit, the rest is cut off, and the next call fails.
    fn count(&mut self, mut data: Bytes, counted: usize, is_file: bool) -> Option<Event> {
        let left = self.limits.max_field_bytes.saturating_sub(counted);
        if !is_file && data.len() > left {
            data.truncate(left);
            self.state = State::Failed(MultipartError::FieldTooLarge);
        } else if let State::Content { field_bytes, .. } = &mut self.state {
            *field_bytes = counted.saturating_add(data.len());
        }
        (!data.is_empty()).then_some(Event::Data(data))
    }
}
