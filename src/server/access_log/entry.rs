//! One line of the access log, in each of its formats.
//!
//! Invariant: a line is visible ASCII and blanks, and ends with its only line feed, whatever the client sent. So no
//! terminal obeys it, and no client forges a line.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use cookie::time::OffsetDateTime;

use super::settings::AccessLogFormat;
use crate::app::Completion;
use crate::message::Version;

/// Most bytes of one text of the client in a line; the rest is cut. 16 KiB: beyond the default limit of a target.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The months as the combined format names them.
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// An answered request.
#[derive(Debug, Clone)]
pub(super) struct Entry<'e> {
    /// When the response was handed over.
    pub(super) at: SystemTime,
    pub(super) status: u16,
    pub(super) method: &'e str,
    pub(super) target: &'e str,
    pub(super) version: Version,
    /// `None` on a Unix socket.
    pub(super) address: Option<IpAddr>,
    /// From the head of the request to the last byte of the response.
    pub(super) duration: Duration,
    /// Bytes of content that were handed over.
    pub(super) content_bytes: u64,
    pub(super) referer: Option<&'e [u8]>,
    pub(super) user_agent: Option<&'e [u8]>,
    pub(super) route: Option<&'e str>,
    pub(super) shard: usize,
    pub(super) id: &'e str,
    pub(super) completion: Completion,
}

impl Entry<'_> {
    /// Appends the line.
    pub(super) fn write(&self, format: AccessLogFormat, out: &mut Vec<u8>) {
        match format {
            AccessLogFormat::Tornado => self.write_tornado(out),
            AccessLogFormat::Combined => self.write_combined(out),
            AccessLogFormat::Json => self.write_json(out),
        }
        out.push(b'\n');
    }

    fn write_tornado(&self, out: &mut Vec<u8>) {
        push(out, format_args!("{} {} ", self.status, self.method));
        push_visible(out, self.target.as_bytes());
        push(out, format_args!(" ({}) {:.2}ms", self.address(), self.milliseconds()));
    }

    fn write_combined(&self, out: &mut Vec<u8>) {
        let time = OffsetDateTime::from(self.at);
        let month = MONTHS.get(usize::from(u8::from(time.month())) - 1).unwrap_or(&"Jan");
        let (day, year, (hour, minute, second)) = (time.day(), time.year(), time.to_hms());
        push(
            out,
            format_args!(
                "{} - - [{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000] \"{} ",
                self.address(),
                self.method
            ),
        );
        push_quoted(out, self.target.as_bytes());
        push(out, format_args!(" {}\" {} ", self.version(), self.status));
        match self.content_bytes {
            0 => out.push(b'-'),
            bytes => push(out, format_args!("{bytes}")),
        }
        for text in [self.referer, self.user_agent] {
            out.extend_from_slice(b" \"");
            push_quoted(out, text.unwrap_or(b"-"));
            out.push(b'"');
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let time = OffsetDateTime::from(self.at);
        let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
        let ((hour, minute, second), millisecond) = (time.to_hms(), time.millisecond());
        push(
            out,
            format_args!(
                "{{\"time\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z\",\
                 \"status\":{},\"method\":",
                self.status
            ),
        );
        push_json(out, self.method.as_bytes());
        out.extend_from_slice(b",\"target\":");
        push_json(out, self.target.as_bytes());
        push(out, format_args!(",\"version\":\"{}\",\"address\":", self.version()));
        match self.address {
            Some(address) => push(out, format_args!("\"{address}\"")),
            None => out.extend_from_slice(b"null"),
        }
        push(
            out,
            format_args!(",\"ms\":{:.3},\"bytes\":{}", self.milliseconds(), self.content_bytes),
        );
        for (name, text) in [
            ("route", self.route.map(str::as_bytes)),
            ("id", Some(self.id.as_bytes())),
            ("referer", self.referer),
            ("user_agent", self.user_agent),
        ] {
            push(out, format_args!(",\"{name}\":"));
            match text {
                Some(text) => push_json(out, text),
                None => out.extend_from_slice(b"null"),
            }
        }
        let ended = match self.completion {
            Completion::Whole => "whole",
            Completion::BrokenOff => "broken-off",
            Completion::PeerGone => "peer-gone",
        };
        push(out, format_args!(",\"shard\":{},\"ended\":\"{ended}\"}}", self.shard));
    }

    fn address(&self) -> String {
        self.address
            .map_or_else(|| "unix".to_owned(), |address| address.to_string())
    }

    fn milliseconds(&self) -> f64 {
        self.duration.as_secs_f64() * 1000.0
    }

    fn version(&self) -> &'static str {
        match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2.0",
            Version::Http3 => "HTTP/3.0",
        }
    }
}

fn push(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(arguments);
    debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
}

fn cut(text: &[u8]) -> &[u8] {
    text.get(..TEXT_BYTES_MAX).unwrap_or(text)
}

/// Appends a text without blanks: other bytes than visible ASCII as `\x1b`.
fn push_visible(out: &mut Vec<u8>, text: &[u8]) {
    for byte in cut(text) {
        match byte {
            b'!'..=b'~' => out.push(*byte),
            _ => push(out, format_args!("\\x{byte:02x}")),
        }
    }
}

/// Appends a text between quotes, as nginx escapes it.
fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    for byte in cut(text) {
        match byte {
            b' '..=b'~' if !matches!(byte, b'"' | b'\\') => out.push(*byte),
            _ => push(out, format_args!("\\x{byte:02X}")),
        }
    }
}

/// Appends a string of JSON in ASCII; bytes that are not UTF-8 become U+FFFD.
fn push_json(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for character in String::from_utf8_lossy(cut(text)).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            ' '..='~' => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    push(out, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1994-11-15 08:12:31.089 UTC.
    fn moment() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(784_887_151_089)
    }

    fn entry() -> Entry<'static> {
        Entry {
            at: moment(),
            status: 200,
            method: "GET",
            target: "/a?b=%20c",
            version: Version::Http11,
            address: Some([203, 0, 113, 9].into()),
            duration: Duration::from_micros(1234),
            content_bytes: 5,
            referer: None,
            user_agent: Some(b"a \"b\" \\ \xc3\xa9\x1b"),
            route: Some("/{x}"),
            shard: 1,
            id: "abc",
            completion: Completion::Whole,
        }
    }

    fn line(entry: &Entry<'_>, format: AccessLogFormat) -> String {
        let mut out = Vec::new();
        entry.write(format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_format_has_its_own_line() {
        for (format, expected) in [
            (AccessLogFormat::Tornado, "200 GET /a?b=%20c (203.0.113.9) 1.23ms\n"),
            (
                AccessLogFormat::Combined,
                "203.0.113.9 - - [15/Nov/1994:08:12:31 +0000] \"GET /a?b=%20c HTTP/1.1\" 200 5 \"-\" \
                 \"a \\x22b\\x22 \\x5C \\xC3\\xA9\\x1B\"\n",
            ),
            (
                AccessLogFormat::Json,
                "{\"time\":\"1994-11-15T08:12:31.089Z\",\"status\":200,\"method\":\"GET\",\"target\":\"/a?b=%20c\",\
                 \"version\":\"HTTP/1.1\",\"address\":\"203.0.113.9\",\"ms\":1.234,\"bytes\":5,\"route\":\"/{x}\",\
                 \"id\":\"abc\",\"referer\":null,\"user_agent\":\"a \\\"b\\\" \\\\ \\u00e9\\u001b\",\"shard\":1,\
                 \"ended\":\"whole\"}\n",
            ),
        ] {
            assert_eq!(line(&entry(), format), expected);
        }
        let unix = Entry {
            address: None,
            content_bytes: 0,
            ..entry()
        };
        assert_eq!(
            line(&unix, AccessLogFormat::Tornado),
            "200 GET /a?b=%20c (unix) 1.23ms\n"
        );
        assert!(line(&unix, AccessLogFormat::Combined).contains("\" 200 - \"-\""));
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_of_visible_ascii_that_gives_its_texts_back(
            target in "\\PC{0,40}",
            agent in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let entry = Entry { target: &target, user_agent: Some(&agent), ..entry() };
            for format in [AccessLogFormat::Tornado, AccessLogFormat::Combined, AccessLogFormat::Json] {
                let line = line(&entry, format);
                let text = line.strip_suffix('\n').unwrap();
                prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
            }
            let json: serde_json::Value = serde_json::from_str(&line(&entry, AccessLogFormat::Json)).unwrap();
            prop_assert_eq!(json["target"].as_str(), Some(target.as_str()));
            let agent = String::from_utf8_lossy(&agent);
            prop_assert_eq!(json["user_agent"].as_str(), Some(&*agent));
            let combined = line(&entry, AccessLogFormat::Combined);
            prop_assert_eq!(combined.matches('"').count(), 6);
        }
    }
}
