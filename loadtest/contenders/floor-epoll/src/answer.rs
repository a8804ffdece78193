//! The encoded responses, rewritten once a second because they contain `Date`.

use std::time::{Duration, UNIX_EPOCH};

use crate::request::Resource;

const PLAINTEXT: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nDate: ";
const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\nDate: ";
const MISSING: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nDate: ";
const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\nDate: ";

pub struct Answers {
    seconds: u64,
    plaintext: Vec<u8>,
    json: Vec<u8>,
    missing: Vec<u8>,
    bad_request: Vec<u8>,
}

impl Answers {
    pub fn new() -> Self {
        let mut answers = Self {
            seconds: 0,
            plaintext: Vec::new(),
            json: Vec::new(),
            missing: Vec::new(),
            bad_request: Vec::new(),
        };
        answers.refresh(1);
        answers
    }

    /// Rewrites the responses if the Unix time `seconds` has changed.
    pub fn refresh(&mut self, seconds: u64) {
        if self.seconds == seconds {
            return;
        }
        self.seconds = seconds;
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        let write = |answer: &mut Vec<u8>, head: &str, content: &str| {
            answer.clear();
            for part in [head, &date, "\r\n\r\n", content] {
                answer.extend_from_slice(part.as_bytes());
            }
        };
        write(&mut self.plaintext, PLAINTEXT, "Hello, World!");
        write(&mut self.json, JSON, r#"{"message":"Hello, World!"}"#);
        write(&mut self.missing, MISSING, "");
        write(&mut self.bad_request, BAD_REQUEST, "");
    }

    pub fn to(&self, resource: Resource) -> &[u8] {
        match resource {
            Resource::Plaintext => &self.plaintext,
            Resource::Json => &self.json,
            Resource::Missing => &self.missing,
        }
    }

    pub fn bad_request(&self) -> &[u8] {
        &self.bad_request
    }
}
