//! The invariants for any bytes of a multipart form. A violation panics. libFuzzer calls this function through
//! `fuzz_targets/`, and `tests/fuzz_smoke.rs` on stable Rust.

use squall::Bytes;
use squall::app::Limits;
use squall::app::multipart::{Boundary, Event, MultipartError, Parser};

/// The limits of a form in these runs.
const PARTS_MAX: usize = 4;
const FIELD_BYTES_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 256;

/// What a form gave: each part with its content, and the error.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    parts: Vec<(Event, Vec<u8>, bool)>,
    has_ended: bool,
    error: Option<MultipartError>,
}

/// A form with the boundary `b`. Every split gives the same, within the limits, and content never has the delimiter.
pub(crate) fn forms(data: &[u8]) {
    let whole = read([data]);
    assert!(whole.parts.len() <= PARTS_MAX);
    for (head, content, _) in &whole.parts {
        let Event::Part(head) = head else { panic!("{head:?}") };
        assert!(head.is_file() || content.len() <= FIELD_BYTES_MAX);
        let content = [b"\r\n", content.as_slice()].concat();
        assert!(!content.windows(5).any(|bytes| bytes == b"\r\n--b"));
        let names = [Some(head.name()), head.file_name()];
        assert!(!names.into_iter().flatten().any(|name| name.contains(char::is_control)));
    }
    assert_eq!(read(data.chunks(1)), whole, "byte by byte");
    let middle = data.len() / 2;
    assert_eq!(read([&data[..middle], &data[middle..]]), whole, "cut at {middle}");
}

fn read<'d>(pieces: impl IntoIterator<Item = &'d [u8]>) -> Seen {
    let boundary = Boundary::from_content_type(b"multipart/form-data; boundary=b");
    let limits = Limits::default()
        .max_parts(PARTS_MAX)
        .max_field_bytes(FIELD_BYTES_MAX)
        .max_part_head_bytes(HEAD_BYTES_MAX);
    let mut parser = Parser::new(&boundary.expect("the boundary is valid"), limits);
    let mut seen = Seen::default();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match parser.receive(&mut input) {
                Ok(Some(event)) => seen.take(event),
                Ok(None) => break,
                Err(error) => {
                    seen.error = Some(error);
                    return seen;
                }
            }
        }
        assert!(input.is_empty());
    }
    seen.error = parser.finish().err();
    seen
}

impl Seen {
    fn take(&mut self, event: Event) {
        assert!(!self.has_ended);
        match event {
            Event::Part(_) => {
                assert!(self.parts.last().is_none_or(|(_, _, is_whole)| *is_whole));
                self.parts.push((event, Vec::new(), false));
            }
            Event::Data(data) => {
                let (_, content, is_whole) = self.parts.last_mut().expect("a part has begun");
                assert!(!data.is_empty() && !*is_whole);
                content.extend_from_slice(&data);
            }
            Event::PartEnd => {
                let (_, _, is_whole) = self.parts.last_mut().expect("a part has begun");
                assert!(!*is_whole);
                *is_whole = true;
            }
            Event::End => self.has_ended = true,
        }
    }
}
