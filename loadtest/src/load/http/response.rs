//! An incremental response reader: status, framing, and whether the content is the expected one (RFC 9112 section 6).
//!
//! A head equal to the one before is not parsed again; it changes once a second, with `Date`. Content is compared in
//! place. Invariant: a reader keeps at most one unfinished head or chunk line: `HEAD_BYTES_MAX` bytes plus one read.

use http::Method;
use httparse::{EMPTY_HEADER, Status};

use crate::load::content::Content;
use crate::load::plan::Plan;

/// The longest head, chunk line or trailer line: four times the limit of common servers.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most field lines in one head.
const FIELDS_MAX: usize = 128;

/// What the responses of one thread must be.
#[derive(Debug)]
pub(crate) struct ResponseCheck {
    /// The whole expected content; `None` accepts any.
    expected_body: Option<Content>,
    /// A response to HEAD has no content, whatever its fields say.
    is_head_request: bool,
    /// The last parsed head, as bytes and as parsed.
    known: Vec<u8>,
    known_head: Head,
}

/// A parsed head.
#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    framing: Framing,
    closes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// One complete response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckedResponse {
    pub(crate) status: u16,
    /// Whether the content is the expected one; true if any is accepted.
    pub(crate) is_body_right: bool,
    /// Whether the server closes the connection after this response.
    pub(crate) closes: bool,
}

/// The result of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// All bytes are consumed and the response is incomplete.
    More,
    /// A response ended after `consumed` bytes.
    Done { consumed: usize, answer: CheckedResponse },
}

/// What is wrong with a response, in words.
pub(crate) type Mistake = &'static str;

impl ResponseCheck {
    /// The check that a plan asks for.
    pub(super) fn of(plan: &Plan) -> Self {
        Self::new(plan.expect.body.clone(), plan.request.method == Method::HEAD)
    }

    pub(crate) fn new(expected_body: Option<Content>, is_head_request: bool) -> Self {
        Self {
            expected_body,
            is_head_request,
            known: Vec::new(),
            known_head: Head {
                status: 0,
                framing: Framing::UntilClose,
                closes: true,
            },
        }
    }

    /// Parses the head at the start of `bytes`; returns `None` if it is incomplete.
    #[inline]
    fn head(&mut self, bytes: &[u8]) -> Result<Option<(usize, Head)>, Mistake> {
        if !self.known.is_empty() && bytes.starts_with(&self.known) {
            return Ok(Some((self.known.len(), self.known_head)));
        }
        let parsed = parse_head(bytes, self.is_head_request)?;
        if let Some((length, head)) = parsed {
            self.known.clear();
            self.known.extend(bytes.iter().take(length));
            self.known_head = head;
        }
        Ok(parsed)
    }

    /// Whether `part` equals the expected content at `position`.
    #[inline]
    fn is_expected(&self, position: u64, part: &[u8]) -> bool {
        self.expected_body
            .as_ref()
            .is_none_or(|expected| expected.has(position, part))
    }

    fn is_expected_length(&self, length: u64) -> bool {
        self.expected_body
            .as_ref()
            .is_none_or(|expected| expected.length() == length)
    }
}

/// Reads the responses of one connection.
#[derive(Debug)]
pub(crate) struct ResponseReader {
    state: State,
    /// An unfinished head or chunk line.
    partial: Vec<u8>,
    head: Head,
    /// Content bytes so far, and whether all of them were as expected.
    position: u64,
    is_body_right: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// Content with this many bytes left.
    Content(u64),
    ChunkSize,
    /// A chunk with this many bytes left.
    Chunk(u64),
    ChunkEnd,
    Trailer,
    UntilClose,
}

impl ResponseReader {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Head,
            partial: Vec::new(),
            head: Head {
                status: 0,
                framing: Framing::UntilClose,
                closes: true,
            },
            position: 0,
            is_body_right: true,
        }
    }

    /// Reads `bytes` up to the end of the current response.
    ///
    /// # Errors
    ///
    /// The bytes are not a valid response; the connection is unusable.
    #[inline]
    pub(crate) fn read(&mut self, bytes: &[u8], check: &mut ResponseCheck) -> Result<Step, Mistake> {
        let mut rest = bytes;
        loop {
            if rest.is_empty() {
                return Ok(Step::More);
            }
            let taken = match self.state {
                State::Head => self.take_head(rest, check)?,
                State::Content(left) => {
                    let taken = self.take_content(rest, left, check);
                    self.state = State::Content(left - taken as u64);
                    taken
                }
                State::Chunk(left) => {
                    let taken = self.take_content(rest, left, check);
                    self.state = if taken as u64 == left {
                        State::ChunkEnd
                    } else {
                        State::Chunk(left - taken as u64)
                    };
                    taken
                }
                State::UntilClose => self.take_content(rest, u64::MAX, check),
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.take_line(rest)?,
            };
            rest = rest.get(taken..).unwrap_or_default();
            if self.state == State::Content(0) {
                let consumed = bytes.len() - rest.len();
                return Ok(Step::Done {
                    consumed,
                    answer: self.finish(check),
                });
            }
        }
    }

    /// Ends the stream; returns the close-delimited response that it completes, if there is one.
    ///
    /// # Errors
    ///
    /// A response is incomplete.
    pub(crate) fn end(&mut self, check: &ResponseCheck) -> Result<Option<CheckedResponse>, Mistake> {
        match self.state {
            State::UntilClose => Ok(Some(self.finish(check))),
            State::Head if self.partial.is_empty() => Ok(None),
            _ => Err("the connection was closed in the middle of an answer"),
        }
    }

    fn finish(&mut self, check: &ResponseCheck) -> CheckedResponse {
        let answer = CheckedResponse {
            status: self.head.status,
            is_body_right: self.is_body_right && check.is_expected_length(self.position),
            closes: self.head.closes,
        };
        self.state = State::Head;
        self.position = 0;
        self.is_body_right = true;
        answer
    }

    #[inline]
    fn take_head(&mut self, bytes: &[u8], check: &mut ResponseCheck) -> Result<usize, Mistake> {
        let kept = self.partial.len();
        let read = if kept == 0 {
            check.head(bytes)?
        } else {
            self.partial.extend_from_slice(bytes);
            check.head(&self.partial)?
        };
        let Some((length, head)) = read else {
            if kept == 0 {
                self.partial.extend_from_slice(bytes);
            }
            if self.partial.len() > HEAD_BYTES_MAX {
                return Err("the head is longer than 64 KiB");
            }
            return Ok(bytes.len());
        };
        if length > HEAD_BYTES_MAX {
            return Err("the head is longer than 64 KiB");
        }
        self.partial.clear();
        // An interim response (RFC 9110 section 15.2) precedes the final one.
        if !matches!(head.status, 100 | 102..=199) {
            self.head = head;
            self.state = match head.framing {
                Framing::Length(length) => State::Content(length),
                Framing::Chunked => State::ChunkSize,
                Framing::UntilClose => State::UntilClose,
            };
        }
        Ok(length - kept)
    }

    #[inline]
    fn take_content(&mut self, bytes: &[u8], left: u64, check: &ResponseCheck) -> usize {
        let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let part = bytes.get(..taken).unwrap_or_default();
        self.is_body_right = self.is_body_right && check.is_expected(self.position, part);
        self.position += taken as u64;
        taken
    }

    /// Reads a line of the chunked coding (RFC 9112 section 7.1), or a part of it.
    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, Mistake> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        self.partial.extend(bytes.iter().take(taken));
        if self.partial.len() > HEAD_BYTES_MAX {
            return Err("a line of the chunked coding is longer than 64 KiB");
        }
        if end.is_none() {
            return Ok(taken);
        }
        let Some(line) = self.partial.strip_suffix(b"\r\n") else {
            return Err("a line of the chunked coding does not end in CR LF");
        };
        self.state = match self.state {
            State::ChunkSize => match parse_chunk_size(line)? {
                0 => State::Trailer,
                size => State::Chunk(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err("a chunk is longer than its size says"),
            _ if line.is_empty() => State::Content(0),
            _ => State::Trailer,
        };
        self.partial.clear();
        Ok(taken)
    }
}

fn parse_chunk_size(line: &[u8]) -> Result<u64, Mistake> {
    let digits = line
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii_end();
    let text = std::str::from_utf8(digits).unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = is_number.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    size.ok_or("a chunk size is not a hexadecimal number")
}

fn parse_head(bytes: &[u8], is_head_request: bool) -> Result<Option<(usize, Head)>, Mistake> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("the head has more than 128 fields"),
        Err(_) => return Err("this is not an HTTP/1.1 head"),
    };
    let status = response.code.unwrap_or_default();
    let is_old = response.version == Some(0);
    let (mut content_length, mut transfer_coding, mut closes) = (None, None, is_old);
    for field in response.headers.iter() {
        let value = field.value;
        if field.name.eq_ignore_ascii_case("content-length") {
            let given = Some(parse_length(value).ok_or("the Content-Length is not a number")?);
            if content_length.is_some() && content_length != given {
                return Err("the answer has two different Content-Lengths");
            }
            content_length = given;
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            transfer_coding = Some(value);
        } else if field.name.eq_ignore_ascii_case("connection") {
            let has = |option: &str| {
                value
                    .split(|byte| *byte == b',')
                    .any(|one| one.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
            };
            closes = has("close") || (is_old && !has("keep-alive"));
        }
    }
    // The order of RFC 9112 section 6.3 decides which field wins.
    let framing = if is_head_request || matches!(status, 100..=199 | 204 | 304) {
        Framing::Length(0)
    } else if let Some(coding) = transfer_coding {
        if content_length.is_some() || is_old {
            return Err("the answer has both a Transfer-Encoding and a Content-Length, or is HTTP/1.0");
        }
        let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        if last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            Framing::Chunked
        } else {
            Framing::UntilClose
        }
    } else {
        content_length.map_or(Framing::UntilClose, Framing::Length)
    };
    let closes = closes || framing == Framing::UntilClose;
    Ok(Some((
        length,
        Head {
            status,
            framing,
            closes,
        },
    )))
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello\
        HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHellO\
        HTTP/1.1 404 Not Found\r\ntransfer-encoding: gzip, Chunked\r\n\r\n3;name=\"v\"\r\nHel\r\n2 \r\nlo\r\n0\r\n\
        Trailer: x\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: x, close\r\n\r\nHello!\
        HTTP/1.1 200 OK\r\n\r\nHello";

    fn answer(status: u16, is_body_right: bool, closes: bool) -> CheckedResponse {
        CheckedResponse {
            status,
            is_body_right,
            closes,
        }
    }

    /// Reads all responses in consecutive `parts`, up to the end of the connection.
    fn read_all(parts: &[&[u8]], check: &mut ResponseCheck) -> Result<Vec<CheckedResponse>, Mistake> {
        let mut reader = ResponseReader::new();
        let mut answers = Vec::new();
        for part in parts {
            let mut rest = *part;
            while let Step::Done { consumed, answer } = reader.read(rest, check)? {
                rest = &rest[consumed..];
                answers.push(answer);
            }
        }
        answers.extend(reader.end(check)?);
        Ok(answers)
    }

    fn hello_check() -> ResponseCheck {
        ResponseCheck::new(Some(Content::Bytes(b"Hello".to_vec())), false)
    }

    #[test]
    fn responses_are_the_same_at_every_split() {
        let expected = [
            answer(200, true, false),
            answer(200, false, false),
            answer(404, true, false),
            answer(204, false, false),
            answer(200, false, true),
            answer(200, true, true),
        ];
        for middle in 0..=ANSWERS.len() {
            let (first, second) = ANSWERS.split_at(middle);
            assert_eq!(
                read_all(&[first, second], &mut hello_check()).unwrap(),
                expected,
                "split at {middle}"
            );
        }
        let bytes: Vec<&[u8]> = ANSWERS.chunks(1).collect();
        assert_eq!(read_all(&bytes, &mut hello_check()).unwrap(), expected);
    }

    #[test]
    fn repeated_head_still_checks_the_content() {
        let mut check = hello_check();
        let same = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let answers =
            format!("{same}Hello{same}Hullo{same}HelloHTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nHello{same}Hello");
        let statuses_and_bodies: Vec<(u16, bool)> = read_all(&[answers.as_bytes()], &mut check)
            .unwrap()
            .into_iter()
            .map(|answer| (answer.status, answer.is_body_right))
            .collect();
        assert_eq!(
            statuses_and_bodies,
            [(200, true), (200, false), (200, true), (500, true), (200, true)]
        );
    }

    #[test]
    fn any_content_is_accepted_by_default_and_head_has_none() {
        let mut any = ResponseCheck::new(None, false);
        assert!(
            read_all(&[ANSWERS], &mut any)
                .unwrap()
                .iter()
                .all(|answer| answer.is_body_right)
        );
        let mut head = ResponseCheck::new(None, true);
        let answers =
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read_all(&[answers], &mut head).unwrap(), [answer(200, true, false); 2]);
    }

    #[test]
    fn http_1_0_closes_without_keep_alive() {
        for (bytes, closes) in [
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
                false,
            ),
        ] {
            let answers = read_all(&[bytes.as_bytes()], &mut ResponseCheck::new(None, false)).unwrap();
            assert_eq!(answers, [answer(200, true, closes)], "{bytes}");
        }
    }

    #[test]
    fn invalid_responses_are_errors() {
        let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let with = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        for (bytes, mistake) in [
            ("SSH-2.0-OpenSSH_9\r\n".to_owned(), "not an HTTP/1.1 head"),
            ("HTTP/2.0 200 OK\r\n\r\n".to_owned(), "not an HTTP/1.1 head"),
            (with("Content-Length: -1"), "not a number"),
            (with("Content-Length: "), "not a number"),
            (with("Content-Length: +5"), "not a number"),
            (with("Content-Length: 99999999999999999999"), "not a number"),
            (with("Content-Length: 5\r\nContent-Length: 6"), "two different"),
            (with("Content-Length: 5\r\nTransfer-Encoding: chunked"), "both"),
            (with(&"a: b\r\n".repeat(200)), "more than 128 fields"),
            (
                format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(70_000)),
                "longer than 64 KiB",
            ),
            (chunked("\r\n"), "chunk size"),
            (chunked("x\r\n"), "chunk size"),
            (chunked("+5\r\n"), "chunk size"),
            (chunked("11111111111111111\r\n"), "chunk size"),
            (chunked("1\nx"), "CR LF"),
            (chunked("1\r\nxy\r\n"), "longer than its size"),
            (chunked(&"1".repeat(70_000)), "longer than 64 KiB"),
            (chunked("5\r\nHel"), "in the middle"),
            (with("Content-Length: 5"), "in the middle"),
            ("HTTP/1.1 2".to_owned(), "in the middle"),
        ] {
            let error = read_all(&[bytes.as_bytes()], &mut hello_check()).unwrap_err();
            assert!(error.contains(mistake), "{bytes:.60}: {error}");
        }
    }
}
