//! Runs a transcript whole, byte by byte and at every two-way split, and checks that the results are the same.

use std::rc::Rc;

use super::super::{BodyLength, Connection, Event, Limits, Next, ParseError};
use super::{date, epoch};
use crate::message::{RequestHead, ResponseHead, StatusCode, TargetForm, Version};

/// The result of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    pub(super) events: Vec<Seen>,
    pub(super) error: Option<ParseError>,
    /// The total number of bytes consumed.
    pub(super) consumed: usize,
}

/// One event, with adjacent pieces of content joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Request(Box<RequestSeen>),
    Data(Vec<u8>),
    Trailer(String, Vec<u8>),
    End,
    Next(Next),
    Closed,
}

/// A request as the application sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RequestSeen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: Version,
    pub(super) form: TargetForm,
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) fields: Vec<(String, Vec<u8>)>,
}

/// When to answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// After all of it has arrived.
    AfterEnd,
    /// As soon as its head has arrived, so that its content is discarded.
    AtOnce,
}

impl Outcome {
    pub(super) fn requests(&self) -> impl Iterator<Item = &RequestSeen> {
        self.events.iter().filter_map(|event| match event {
            Seen::Request(request) => Some(&**request),
            _ => None,
        })
    }

    /// Returns the content of the first request.
    pub(super) fn content(&self) -> Vec<u8> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Seen::Data(data) => Some(data.as_slice()),
                _ => None,
            })
            .collect::<Vec<_>>()
            .concat()
    }

    pub(super) fn has_reached(&self, target: &str) -> bool {
        self.requests().any(|request| request.target == target)
    }

    fn note(&mut self, event: Event<'_>, head: &RequestHead) {
        match event {
            Event::Request => self.events.push(Seen::Request(Box::new(RequestSeen::from(head)))),
            Event::Data(data) => {
                assert!(!data.is_empty(), "data is never empty");
                match self.events.last_mut() {
                    Some(Seen::Data(before)) => before.extend_from_slice(data),
                    _ => self.events.push(Seen::Data(data.to_vec())),
                }
            }
            Event::Trailer { name, value } => self.events.push(Seen::Trailer(name.to_owned(), value.to_vec())),
            Event::End => self.events.push(Seen::End),
            Event::Closed => self.events.push(Seen::Closed),
            Event::NeedData | Event::Blocked | Event::Upgraded => {}
        }
    }
}

impl From<&RequestHead> for RequestSeen {
    fn from(head: &RequestHead) -> Self {
        Self {
            method: head.method().to_string(),
            target: head.target().to_owned(),
            version: head.version(),
            form: head.target_form(),
            authority: head.authority().to_owned(),
            path: head.path().to_owned(),
            query: head.query().map(str::to_owned),
            fields: head
                .fields()
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .collect(),
        }
    }
}

/// Runs `bytes` with every useful split, answers each request, and returns the common result.
pub(super) fn run(bytes: &[u8], limits: &Limits) -> Outcome {
    let whole = run_pieces([bytes], limits, Answer::AfterEnd);
    let one_by_one = run_pieces(bytes.chunks(1), limits, Answer::AfterEnd);
    assert_eq!(one_by_one, whole, "byte by byte: {}", bytes.escape_ascii());
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let in_two = run_pieces([first, second], limits, Answer::AfterEnd);
        assert_eq!(in_two, whole, "cut at {cut}: {}", bytes.escape_ascii());
    }
    whole
}

/// Runs pieces through one connection, presenting unconsumed bytes again.
pub(super) fn run_pieces<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, limits: &Limits, answer: Answer) -> Outcome {
    let now = epoch();
    let mut connection = Connection::new(Rc::new(limits.clone()), now);
    let mut head = RequestHead::new();
    let mut outcome = Outcome::default();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let mut input = buffer.as_slice();
            let result = connection.receive(&mut input, &mut head, now);
            let left = input.len();
            let event = match result {
                Ok(event) => event,
                Err(error) => {
                    outcome.consumed += buffer.len() - left;
                    outcome.error = Some(error);
                    let mut rest = input;
                    assert_eq!(
                        connection.receive(&mut rest, &mut head, now),
                        Ok(Event::Closed),
                        "after {error:?}"
                    );
                    return outcome;
                }
            };
            outcome.note(event, &head);
            let is_answered = match event {
                Event::End => answer == Answer::AfterEnd,
                Event::Request => answer == Answer::AtOnce,
                Event::Closed => return outcome,
                Event::NeedData => {
                    outcome.consumed += buffer.len() - left;
                    buffer.drain(..buffer.len() - left);
                    break;
                }
                _ => false,
            };
            outcome.consumed += buffer.len() - left;
            buffer.drain(..buffer.len() - left);
            if is_answered {
                let next = respond(&mut connection, now);
                outcome.events.push(Seen::Next(next));
            }
        }
    }
    outcome
}

fn respond(connection: &mut Connection, now: std::time::Instant) -> Next {
    let mut out = Vec::new();
    connection
        .send_head(
            &ResponseHead::new(StatusCode::OK),
            BodyLength::Known(2),
            &date(),
            &mut out,
        )
        .unwrap();
    connection.send_data(b"ok", &mut out).unwrap();
    connection.send_end(None, &mut out).unwrap();
    connection.next_exchange(now)
}
