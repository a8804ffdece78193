//! Tests of the machine: every form runs whole, byte by byte, and split at every position.

mod accepted;
mod limits;
mod properties;
mod refused;

use bytes::Bytes;

use super::{Boundary, Event, MultipartError, Parser};
use crate::app::limits::Limits;

/// One part: its name, its file name, its type and its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Part {
    name: String,
    file_name: Option<String>,
    content_type: Option<String>,
    content: Vec<u8>,
    is_whole: bool,
}

/// What a machine made of a form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Outcome {
    parts: Vec<Part>,
    has_ended: bool,
    error: Option<MultipartError>,
}

/// A part of a form whose content is text.
fn field(name: &str, content: impl AsRef<[u8]>) -> Part {
    Part {
        name: name.to_owned(),
        content: content.as_ref().to_vec(),
        is_whole: true,
        ..Part::default()
    }
}

/// A part that is a file.
fn file(name: &str, file_name: &str, content_type: &str, content: impl AsRef<[u8]>) -> Part {
    Part {
        file_name: Some(file_name.to_owned()),
        content_type: Some(content_type.to_owned()),
        ..field(name, content)
    }
}

/// The boundary of the tests.
fn boundary() -> Boundary {
    Boundary::from_content_type(b"multipart/form-data; boundary=b-1").unwrap()
}

/// Runs pieces of a form through a machine.
fn run_pieces<'p>(limits: Limits, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut parser = Parser::new(&boundary(), limits);
    let mut outcome = Outcome::default();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match parser.receive(&mut input) {
                Ok(Some(event)) => outcome.take(event),
                Ok(None) => break,
                Err(error) => {
                    outcome.error = Some(error);
                    assert_eq!(parser.receive(&mut Bytes::from_static(b"x")), Err(error));
                    assert_eq!(parser.finish(), Err(error));
                    return outcome;
                }
            }
        }
        assert!(input.is_empty(), "the machine takes all of its input");
    }
    outcome.error = parser.finish().err();
    outcome
}

impl Outcome {
    fn take(&mut self, event: Event) {
        assert!(!self.has_ended, "{event:?} follows the end");
        match event {
            Event::Part(head) => {
                assert!(self.parts.last().is_none_or(|part| part.is_whole));
                self.parts.push(Part {
                    name: head.name().to_owned(),
                    file_name: head.file_name().map(str::to_owned),
                    content_type: head.content_type().map(str::to_owned),
                    ..Part::default()
                });
            }
            Event::Data(data) => {
                let part = self.parts.last_mut().filter(|part| !part.is_whole).unwrap();
                assert!(!data.is_empty());
                part.content.extend_from_slice(&data);
            }
            Event::PartEnd => {
                let part = self.parts.last_mut().filter(|part| !part.is_whole).unwrap();
                part.is_whole = true;
            }
            Event::End => self.has_ended = true,
        }
    }
}

/// Runs a form whole, byte by byte, and split at every position; all must give the same.
#[track_caller]
fn run(form: &[u8]) -> Outcome {
    run_with(Limits::default(), form)
}

#[track_caller]
fn run_with(limits: Limits, form: &[u8]) -> Outcome {
    let whole = run_pieces(limits, [form]);
    assert_eq!(
        run_pieces(limits, form.chunks(1)),
        whole,
        "byte by byte: {}",
        form.escape_ascii()
    );
    for at in 1..form.len() {
        let (first, second) = form.split_at(at);
        let split = run_pieces(limits, [first, second]);
        assert_eq!(split, whole, "{} | {}", first.escape_ascii(), second.escape_ascii());
    }
    whole
}

/// A form of parts, each given as its fields and its content.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (fields, content) in parts {
        form.extend_from_slice(b"--b-1\r\n");
        form.extend_from_slice(fields.as_bytes());
        form.extend_from_slice(b"\r\n\r\n");
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--b-1--\r\n");
    form
}

/// The field that names a part.
fn disposition(parameters: &str) -> String {
    format!("Content-Disposition: form-data; {parameters}")
}
