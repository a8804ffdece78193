//! A stream of Server-Sent Events of a test, and its parser (HTML standard, section "Interpreting an event stream").

use std::fmt;
use std::time::Duration;

use http::{StatusCode, header};

use super::content::{Content, Piece};
use super::response::read_head;
use super::wire::Wire;
use crate::error::{Error, HttpError, Result};
use crate::message::{HeaderName, Headers, Method};

/// A stream of events from the application under test.
///
/// Iterating blocks until the next event, at most for the client's timeout. The iterator ends with the stream. Comments,
/// such as heartbeats, are skipped.
pub struct TestEventStream {
    wire: Wire,
    headers: Headers,
    content: Content,
    /// Received text without a line end.
    text: Vec<u8>,
    /// The last id, which stays until the stream sends another.
    id: Option<String>,
}

/// An event as a page receives it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TestEvent {
    name: Option<String>,
    data: String,
    id: Option<String>,
    retry: Option<Duration>,
}

impl TestEventStream {
    pub(super) fn open(mut wire: Wire, request: &[u8], method: &Method) -> Result<Self> {
        let head = wire.exchange(request, read_head)?;
        if head.status != StatusCode::OK {
            let text = format!(
                "the application answered {} in place of a stream of events",
                head.status
            );
            return Err(HttpError::new(head.status).with_message(text).into());
        }
        let media_type = head.headers.get(&header::CONTENT_TYPE);
        if !media_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream")) {
            return Err(Error::new(format!(
                "could not read events: the Content-Type of the response is {media_type:?}; answer with \
                 cx.event_stream()"
            )));
        }
        let content = Content::of(&head, method)?;
        Ok(Self {
            wire,
            headers: head.headers,
            content,
            text: Vec::new(),
            id: None,
        })
    }

    /// Returns the first value of a field of the response if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&HeaderName::try_from(name).ok()?)?.to_str().ok()
    }

    /// Waits for the next event; `None` at the end of the stream.
    fn next_event(&mut self) -> Result<Option<TestEvent>> {
        self.wire.restart();
        let (mut event, mut lines_of_data) = (TestEvent::default(), 0_usize);
        while let Some(line) = self.next_line()? {
            if line.is_empty() {
                // An event without data is dropped with its other lines.
                if lines_of_data > 0 {
                    event.id.clone_from(&self.id);
                    return Ok(Some(event));
                }
                event = TestEvent::default();
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => {
                    if lines_of_data > 0 {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                    lines_of_data += 1;
                }
                "event" => event.name = Some(value.to_owned()),
                "id" => self.id = Some(value.to_owned()),
                "retry" => event.retry = value.parse().ok().map(Duration::from_millis),
                // A comment, or a field that the standard does not know.
                _ => {}
            }
        }
        Ok(None)
    }

    /// Waits for the next line; `None` at the end of the stream.
    fn next_line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.text.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).into_owned();
                return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
            }
            match self.content.next(&mut self.wire)? {
                Piece::Data(data) => self.text.extend_from_slice(&data),
                Piece::End(_) => return Ok(None),
                Piece::Cut => {
                    return Err(Error::new(
                        "could not read the next event: the application closed the connection in the middle of its \
                         stream",
                    ));
                }
            }
        }
    }
}

impl Iterator for TestEventStream {
    type Item = Result<TestEvent>;

    fn next(&mut self) -> Option<Result<TestEvent>> {
        self.next_event().transpose()
    }
}

impl TestEvent {
    /// Returns the text.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Returns the name; without one, a page receives the event in `onmessage`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the last id that the stream has sent, with this event or before it (`lastEventId` in a page).
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns the delay before a browser reconnects.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }
}

impl fmt::Debug for TestEventStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TestEventStream")
            .field("headers", &self.headers)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}
