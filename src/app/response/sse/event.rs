//! One event of a stream and its bytes (HTML standard, section "Server-sent events", "Interpreting an event stream").

use core::time::Duration;

use crate::error::{Error, Result};

/// An event: text, with an optional name, id and retry delay.
///
/// ```
/// use squall::Event;
///
/// let event = Event::new("up 2 %").name("tick").id("42");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "an event does nothing until it is sent"]
pub struct Event {
    data: String,
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
}

impl Event {
    /// Makes an event with this text, of any number of lines; the page receives it in `onmessage`.
    pub fn new(data: impl Into<String>) -> Self {
        Self {
            data: data.into(),
            ..Self::default()
        }
    }

    /// Sets the name; the page then receives the event in `addEventListener(name, …)` instead of `onmessage`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the id, which the browser sends as `Last-Event-ID` when it reconnects.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the browser's delay before it reconnects, in whole milliseconds.
    ///
    /// Browsers use about 3 s by default.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// Appends the event's lines and the empty line that ends it.
    ///
    /// # Errors
    ///
    /// The name or the id contains CR, LF or NUL, which would inject another event. Then nothing is written.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result {
        let breaks = |text: &&String| text.contains(['\r', '\n', '\0']);
        if self.name.as_ref().filter(breaks).is_some() || self.id.as_ref().filter(breaks).is_some() {
            return Err(Error::new(
                "could not send the event: its name or id contains CR, LF or NUL; remove them",
            ));
        }
        if let Some(name) = &self.name {
            field(out, "event", name);
        }
        if let Some(id) = &self.id {
            field(out, "id", id);
        }
        if let Some(retry) = self.retry {
            field(out, "retry", &retry.as_millis().to_string());
        }
        write_data(&self.data, out);
        Ok(())
    }
}

/// Appends text as the data of an event, and ends the event.
pub(super) fn write_data(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(end) = rest.find(['\r', '\n']) {
        let (line, behind) = rest.split_at(end);
        field(out, "data", line);
        rest = behind
            .strip_prefix("\r\n")
            .unwrap_or_else(|| behind.get(1..).unwrap_or_default());
    }
    field(out, "data", rest);
    out.push(b'\n');
}

/// Appends one line; `value` has no line break.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &Event) -> String {
        let mut out = Vec::new();
        event.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_of_the_data_is_a_line_of_the_event() {
        for (data, expected) in [
            ("", "data: \n\n"),
            ("one", "data: one\n\n"),
            (" kept", "data:  kept\n\n"),
            (
                "one\ntwo\r\nthree\rfour",
                "data: one\ndata: two\ndata: three\ndata: four\n\n",
            ),
            ("id: 7\n\ndata: x", "data: id: 7\ndata: \ndata: data: x\n\n"),
            ("end\n", "data: end\ndata: \n\n"),
        ] {
            assert_eq!(written(&Event::new(data)), expected);
        }
    }

    #[test]
    fn name_id_and_retry_come_first() {
        let event = Event::new("x")
            .name("tick")
            .id("7:42")
            .retry(Duration::from_millis(1500));
        assert_eq!(written(&event), "event: tick\nid: 7:42\nretry: 1500\ndata: x\n\n");
    }

    #[test]
    fn an_event_cannot_inject_another() {
        for event in [
            Event::new("x").name("a\ndata: b"),
            Event::new("x").id("1\r2"),
            Event::new("x").id("1\0"),
        ] {
            let mut out = Vec::new();
            event.write(&mut out).unwrap_err();
            assert!(out.is_empty());
        }
    }
}
