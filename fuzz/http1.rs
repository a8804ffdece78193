//! The invariants for any bytes of an HTTP/1 peer. A violation panics. libFuzzer calls these functions through
//! `fuzz_targets/`, and `tests/fuzz_smoke.rs` on stable Rust.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use squall::http1::{
    BodyLength, ClientConnection, Connection, Event, Limits, Next, ParseError, RequestLength, RequestLine,
    ResponseError, ResponseEvent, ResponseReader,
};
use squall::message::{HeaderValue, Headers, HttpDate, Method, RequestHead, ResponseHead, StatusCode, Version, header};

/// The reference parser of the machine's own tests.
#[path = "../src/http1/tests/reference.rs"]
mod reference;

/// Requests. Every split gives the same events, an accepted head survives encoding and parsing again, and the
/// reference parser reads the same first request.
pub(crate) fn head(data: &[u8]) {
    let whole = same_however_cut(data);
    for (request, _) in &whole.requests {
        let again = read([request.written.as_slice()]);
        assert_eq!(again.error, None, "{}", request.written.escape_ascii());
        assert_eq!(
            again.requests.first().map(|(again, _)| again),
            Some(request),
            "{}",
            request.written.escape_ascii()
        );
    }
    agrees_with_reference(data, &whole);
}

/// A chunked body: as [`head`], and no byte behind a malformed one counts as content.
pub(crate) fn chunked(data: &[u8]) {
    let bytes = [
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        data,
    ]
    .concat();
    let whole = same_however_cut(&bytes);
    agrees_with_reference(&bytes, &whole);
}

/// A whole connection under any order of calls: nothing panics, every written response is well-formed, and the
/// queries are consistent.
pub(crate) fn connection(data: &[u8]) {
    let Some((&count, rest)) = data.split_first() else {
        return;
    };
    let (operations, mut arriving) = rest.split_at(rest.len().min(usize::from(count)));
    let mut session = Session::new();
    for &operation in operations {
        session.operate(operation, &mut arriving);
        session.check();
    }
}

/// A response, as a client parses it. Every split gives the same events, and an accepted head survives encoding and
/// parsing again.
pub(crate) fn response(data: &[u8]) {
    let whole = response_in([data]);
    assert_eq!(response_in(data.chunks(1)), whole, "{}", data.escape_ascii());
    for cut in [data.len() / 3, data.len() / 2] {
        let (first, second) = data.split_at(cut);
        assert_eq!(response_in([first, second]), whole, "{}", data.escape_ascii());
    }
    if let Ok(Some(head)) = whole {
        let registered = head.status.canonical_reason().unwrap_or_default();
        let reason = head.reason.as_ref().map_or(registered, |reason| reason.as_str());
        let mut written = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).into_bytes();
        for (name, value) in head.headers.iter() {
            written.extend_from_slice(name.as_str().as_bytes());
            written.push(b':');
            written.extend_from_slice(value.as_bytes());
            written.extend_from_slice(b"\r\n");
        }
        written.extend_from_slice(b"\r\n");
        assert_eq!(
            response_in([written.as_slice()]),
            Ok(Some(head)),
            "{}",
            written.escape_ascii()
        );
    }
}

fn response_in<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<Option<ResponseHead>, ResponseError> {
    let mut reader = ResponseReader::default();
    let mut unread = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece);
        let mut input = unread.as_slice();
        if let Some(head) = reader.receive(&mut input)? {
            return Ok(Some(head));
        }
        unread = input.to_vec();
    }
    Ok(None)
}

/// A whole exchange of a client. The first byte selects the method and whether the server closes at the end; the rest is
/// the response. Every split gives the same response, and what ends it is never read beyond.
pub(crate) fn client(data: &[u8]) {
    let Some((&choice, response)) = data.split_first() else {
        return;
    };
    let whole = exchange_in(choice, [response]);
    assert_eq!(
        exchange_in(choice, response.chunks(1)),
        whole,
        "{}",
        response.escape_ascii()
    );
    for cut in [response.len() / 3, response.len() / 2] {
        let (first, second) = response.split_at(cut);
        assert_eq!(
            exchange_in(choice, [first, second]),
            whole,
            "{}",
            response.escape_ascii()
        );
    }
}

/// A response as its client saw it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Exchanged {
    interim: Vec<StatusCode>,
    head: Option<ResponseHead>,
    content: Content,
    error: Option<ResponseError>,
    persists: bool,
}

fn exchange_in<'p>(choice: u8, pieces: impl IntoIterator<Item = &'p [u8]>) -> Exchanged {
    let mut machine = ClientConnection::new(Rc::new(Limits::default()));
    let method = if choice & 1 == 0 { Method::GET } else { Method::HEAD };
    let line = RequestLine {
        method: &method,
        target: "/",
    };
    let mut fields = Headers::new();
    fields.set(header::HOST, HeaderValue::from_static("a"));
    let mut out = Vec::new();
    machine
        .send_head(line, &fields, RequestLength::Empty, &mut out)
        .expect("a simple request can be sent");
    machine.send_end(None, &mut out).expect("and ended");
    let mut seen = Exchanged::default();
    let mut unread = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece);
        if exchange_events(&mut machine, &mut unread, &mut seen) {
            break;
        }
    }
    if choice & 2 != 0 && seen.error.is_none() && !seen.content.is_complete {
        match machine.receive_eof() {
            Ok(()) => {
                exchange_events(&mut machine, &mut unread, &mut seen);
            }
            Err(error) => seen.error = Some(error),
        }
    }
    seen.persists = machine.next_exchange();
    assert!(
        !seen.persists || seen.content.is_complete,
        "only a complete response leaves the connection usable"
    );
    seen
}

/// Reads as far as the bytes go; true once the response has ended or failed.
fn exchange_events(machine: &mut ClientConnection, unread: &mut Vec<u8>, seen: &mut Exchanged) -> bool {
    let bytes = std::mem::take(unread);
    let mut input = bytes.as_slice();
    let is_over = loop {
        match machine.receive(&mut input) {
            Ok(ResponseEvent::NeedData) => break false,
            Ok(ResponseEvent::Interim(head)) => seen.interim.push(head.status),
            Ok(ResponseEvent::Head(head)) => assert!(seen.head.replace(head).is_none(), "one head"),
            Ok(ResponseEvent::Data(data)) => {
                assert!(!data.is_empty());
                seen.content.data.extend_from_slice(data);
            }
            Ok(ResponseEvent::Trailer { name, value }) => seen.content.trailers.push((name.to_owned(), value.to_vec())),
            Ok(ResponseEvent::End) => {
                seen.content.is_complete = true;
                break true;
            }
            Err(error) => {
                seen.error = Some(error);
                break true;
            }
        }
    };
    *unread = input.to_vec();
    is_over
}

/// The events of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Transcript {
    requests: Vec<(Request, Content)>,
    error: Option<ParseError>,
    consumed: usize,
}

/// A request's head, in parts and encoded again.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    method: String,
    target: String,
    parts: (String, String, Option<String>),
    is_http_1_0: bool,
    fields: Vec<(String, Vec<u8>)>,
    written: Vec<u8>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    data: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    is_complete: bool,
    /// How many bytes the request and those before it took.
    end: usize,
}

impl Request {
    fn new(head: &RequestHead) -> Self {
        let is_http_1_0 = head.version() == Version::Http10;
        let version = if is_http_1_0 { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut written = format!("{} {} {version}\r\n", head.method(), head.target()).into_bytes();
        let mut fields = Vec::new();
        for (name, value) in head.fields().iter() {
            assert!(
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
            );
            assert!(
                value
                    .iter()
                    .all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
            );
            written.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
            fields.push((name.to_owned(), value.to_vec()));
        }
        written.extend_from_slice(b"\r\n");
        assert!(!head.target().is_empty() && head.target().bytes().all(|byte| byte.is_ascii_graphic()));
        Self {
            method: head.method().to_string(),
            target: head.target().to_owned(),
            parts: (
                head.authority().to_owned(),
                head.path().to_owned(),
                head.query().map(str::to_owned),
            ),
            is_http_1_0,
            fields,
            written,
        }
    }
}

fn same_however_cut(bytes: &[u8]) -> Transcript {
    let whole = read([bytes]);
    assert_eq!(read(bytes.chunks(1)), whole, "byte by byte: {}", bytes.escape_ascii());
    // The bytes themselves choose the cuts.
    let cut = bytes.iter().fold(7_usize, |sum, &byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(byte))
    });
    let (first, second) = bytes.split_at(cut % (bytes.len() + 1));
    assert_eq!(
        read([first, second]),
        whole,
        "cut at {}: {}",
        first.len(),
        bytes.escape_ascii()
    );
    assert_eq!(
        read(bytes.chunks(cut % 13 + 2)),
        whole,
        "by {}: {}",
        cut % 13 + 2,
        bytes.escape_ascii()
    );
    whole
}

fn agrees_with_reference(bytes: &[u8], whole: &Transcript) {
    let Some((request, content)) = whole.requests.first().filter(|(_, content)| content.is_complete) else {
        return;
    };
    let expected = reference::read(bytes);
    let seen = reference::Reference {
        method: request.method.clone(),
        target: request.target.clone(),
        is_http_1_0: request.is_http_1_0,
        fields: request.fields.clone(),
        content: content.data.clone(),
        trailers: content
            .trailers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect(),
        consumed: content.end,
    };
    assert_eq!(expected, Some(seen), "{}", bytes.escape_ascii());
}

/// Runs bytes through a connection in pieces, answering each request when it is complete.
fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Transcript {
    let now = start();
    let mut connection = Connection::new(Rc::new(Limits::default()), now);
    let mut head = RequestHead::new();
    let mut transcript = Transcript::default();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let mut input = buffer.as_slice();
            let event = connection.receive(&mut input, &mut head, now);
            transcript.consumed += buffer.len() - input.len();
            let is_waiting = event == Ok(Event::NeedData);
            let is_complete = event == Ok(Event::End);
            match event {
                Ok(Event::Request) => transcript.requests.push((Request::new(&head), Content::default())),
                Ok(Event::Closed) => return transcript,
                Ok(event) => note_content(&mut transcript, event),
                Err(error) => {
                    transcript.error = Some(error);
                    return transcript;
                }
            }
            let consumed = buffer.len() - input.len();
            buffer.drain(..consumed);
            if is_complete {
                answer(&mut connection, now);
            }
            if is_waiting {
                break;
            }
        }
    }
    transcript
}

fn note_content(transcript: &mut Transcript, event: Event<'_>) {
    let end = transcript.consumed;
    let Some((_, content)) = transcript.requests.last_mut() else {
        return;
    };
    match event {
        Event::Data(data) => {
            assert!(!data.is_empty());
            content.data.extend_from_slice(data);
        }
        Event::Trailer { name, value } => content.trailers.push((name.to_owned(), value.to_vec())),
        Event::End => {
            assert!(!content.is_complete, "a request ends once");
            content.is_complete = true;
            content.end = end;
        }
        Event::NeedData | Event::Request | Event::Blocked | Event::Upgraded | Event::Closed => {}
    }
}

fn answer(connection: &mut Connection, now: Instant) {
    let mut out = Vec::new();
    let date = HttpDate::from(SystemTime::UNIX_EPOCH);
    connection
        .send_head(
            &ResponseHead::new(StatusCode::OK),
            BodyLength::Known(0),
            &date,
            &mut out,
        )
        .expect("a complete request can be answered");
    connection.send_end(None, &mut out).expect("and its answer ended");
    connection.next_exchange(now);
}

/// A connection that is driven by single bytes.
struct Session {
    connection: Connection,
    head: RequestHead,
    now: Instant,
    buffer: Vec<u8>,
    /// The bytes written of the current response.
    out: Vec<u8>,
    is_head_request: bool,
    is_over: bool,
}

impl Session {
    fn new() -> Self {
        let now = start();
        let limits = Limits::default().max_drain_bytes(40);
        Self {
            connection: Connection::new(Rc::new(limits), now),
            head: RequestHead::new(),
            now,
            buffer: Vec::new(),
            out: Vec::new(),
            is_head_request: false,
            is_over: false,
        }
    }

    fn operate(&mut self, operation: u8, arriving: &mut &[u8]) {
        let amount = operation >> 4;
        match operation & 0xf {
            0..=3 => {
                let (arrived, later) = arriving.split_at(arriving.len().min(usize::from(amount) * 8 + 1));
                self.buffer.extend_from_slice(arrived);
                *arriving = later;
                self.receive();
            }
            4 => {
                self.connection.send_continue(self.now, &mut self.out);
            }
            5 | 6 => self.send_head(amount),
            7 | 8 => {
                let before = self.out.len();
                if self
                    .connection
                    .send_data(&[b'x'; 15][..usize::from(amount)], &mut self.out)
                    .is_err()
                {
                    assert_eq!(self.out.len(), before, "a failed call writes nothing");
                }
            }
            9 | 10 => self.send_end(),
            11 | 12 => {
                let next = self.connection.next_exchange(self.now);
                self.is_over |= next == Next::Close;
                // An unfinished response is written on; a later one is not.
                if next != Next::Close {
                    self.out.clear();
                    self.is_head_request = false;
                }
            }
            13 => {
                self.now += Duration::from_secs(u64::from(amount));
                let due = self.connection.poll_deadline().is_some_and(|at| at <= self.now);
                let expired = self.connection.handle_deadline(self.now);
                assert_eq!(expired.is_some(), due);
                self.is_over |= expired.is_some();
            }
            14 => self.connection.close_after_response(),
            _ => self.is_over |= self.connection.receive_eof().is_err(),
        }
    }

    fn receive(&mut self) {
        let mut input = self.buffer.as_slice();
        let result = self.connection.receive(&mut input, &mut self.head, self.now);
        let consumed = self.buffer.len() - input.len();
        match result {
            Ok(Event::Request) => {
                assert!(!self.is_over, "nothing comes after the end");
                self.is_head_request = self.head.method() == Method::HEAD;
                self.out.clear();
            }
            Ok(Event::Closed) if self.is_over => assert_eq!(consumed, 0, "a closed connection consumes nothing"),
            Ok(Event::Blocked | Event::Upgraded) => assert_eq!(consumed, 0, "a blocked connection consumes nothing"),
            Ok(Event::NeedData | Event::Data(_) | Event::Trailer { .. } | Event::End) => {
                assert!(!self.is_over, "nothing comes after the end");
            }
            Ok(Event::Closed) | Err(_) => self.is_over = true,
        }
        self.buffer.drain(..consumed);
    }

    fn send_head(&mut self, choice: u8) {
        let statuses = [200, 204, 304, 101, 103, 404, 205, 500];
        let status = statuses.get(usize::from(choice & 7)).copied().unwrap_or(200);
        let mut head = ResponseHead::new(StatusCode::from_u16(status).unwrap_or_default());
        match choice {
            3 => head.headers.set(header::UPGRADE, HeaderValue::from_static("x")),
            5 => head.headers.set(header::CONTENT_LENGTH, HeaderValue::from_static("7")),
            13 => head.headers.set(header::CONNECTION, HeaderValue::from_static("close")),
            _ => {}
        }
        let length = if choice & 8 == 0 {
            BodyLength::Known(5)
        } else {
            BodyLength::Unknown
        };
        let before = self.out.len();
        let date = HttpDate::from(SystemTime::UNIX_EPOCH);
        let foreseen = self.connection.persists();
        let result = self.connection.send_head(&head, length, &date, &mut self.out);
        match result {
            Ok(()) if status == 103 => {}
            Ok(()) => {
                assert!(self.connection.is_head_sent());
                assert!(
                    foreseen || !self.connection.persists(),
                    "a head never promises more than was foreseen"
                );
                self.out.drain(..before);
            }
            Err(_) => assert_eq!(self.out.len(), before, "a failed call writes nothing"),
        }
    }

    fn send_end(&mut self) {
        let before = self.out.len();
        if self.connection.send_end(None, &mut self.out).is_err() {
            assert_eq!(self.out.len(), before, "a failed call writes nothing");
            return;
        }
        self.check_response();
    }

    /// The finished response, parsed by another implementation.
    fn check_response(&self) {
        let mut slots = [httparse::EMPTY_HEADER; 8];
        let mut response = httparse::Response::new(&mut slots);
        let Ok(httparse::Status::Complete(head_bytes)) = response.parse(&self.out) else {
            panic!("not a response: {}", self.out.escape_ascii());
        };
        let content = &self.out[head_bytes..];
        let values = |name: &str| -> Vec<_> {
            let fields = response
                .headers
                .iter()
                .filter(|field| field.name.eq_ignore_ascii_case(name));
            fields.map(|field| field.value).collect()
        };
        let has_no_content = self.is_head_request || matches!(response.code, Some(204 | 205 | 304));
        match (
            values("content-length").as_slice(),
            values("transfer-encoding").as_slice(),
        ) {
            (_, _) if has_no_content => assert_eq!(content, b""),
            ([length], []) => assert_eq!(*length, content.len().to_string().as_bytes()),
            ([], [b"chunked"]) => assert!(content.ends_with(b"0\r\n\r\n")),
            ([], []) => assert!(!self.connection.persists(), "delimited by the end of the connection"),
            framing => panic!("two framings: {framing:?}"),
        }
        if values("connection").contains(&&b"close"[..]) {
            assert!(!self.connection.persists());
        }
    }

    /// The queries must be consistent at any time.
    fn check(&self) {
        let connection = &self.connection;
        if connection.is_idle() {
            assert!(!connection.is_responding() && connection.is_request_complete());
        }
        if connection.expects_continue() {
            assert!(connection.is_responding() && !connection.is_head_sent() && !connection.is_request_complete());
        }
        if self.is_over {
            assert!(!connection.persists() && connection.poll_deadline().is_none());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made from a number")]
fn start() -> Instant {
    Instant::now()
}
