//! The invariants for any bytes of an HTTP/2 peer. A violation panics. libFuzzer calls these functions through
//! `fuzz_targets/`, and `tests/fuzz_smoke.rs` on stable Rust.

use std::rc::Rc;
use std::time::{Instant, SystemTime};

use squall::http2::hpack::{DecodeError, Decoder, Encoder, Indexing};
use squall::http2::{Connection, ContentLength, Event, Limits, PREFACE, ResponseStart, StreamKey};
use squall::message::{HttpDate, RequestHead, ResponseHead};

/// Frames behind the preface. Every split gives the same events and the same output, every written byte belongs to a
/// frame, and nothing remains once all streams are released.
pub(crate) fn connection(data: &[u8]) {
    let bytes = [&PREFACE[..], data].concat();
    let whole = run([bytes.as_slice()]);
    assert_eq!(run(bytes.chunks(1)), whole, "{}", data.escape_ascii());
    for cut in [bytes.len() / 3, bytes.len() / 2] {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(run([first, second]), whole, "{}", data.escape_ascii());
    }
    check_frames(&whole.output);
}

/// A header block, twice: it is decoded or refused, and what was decoded survives the encoder.
pub(crate) fn hpack(data: &[u8]) {
    let mut decoder = Decoder::new();
    let (mut encoder, mut again) = (Encoder::new(), Decoder::new());
    for _ in 0..2 {
        let Ok(fields) = decode(&mut decoder, data) else {
            return;
        };
        for indexing in [Indexing::Insert, Indexing::Omit, Indexing::Never] {
            let mut block = Vec::new();
            encoder.begin_block(&mut block);
            for (name, value) in &fields {
                encoder.put(name, value, indexing, &mut block);
            }
            assert_eq!(
                decode(&mut again, &block).as_ref(),
                Ok(&fields),
                "{}",
                data.escape_ascii()
            );
        }
    }
}

type FieldList = Vec<(Vec<u8>, Vec<u8>)>;

fn decode(decoder: &mut Decoder, mut block: &[u8]) -> Result<FieldList, DecodeError> {
    let (mut fields, mut out) = (FieldList::new(), Vec::new());
    decoder.begin_block();
    while let Some(field) = decoder.next_field(&mut block, &mut out)? {
        let (name, value) = out.split_at(field.name_bytes);
        assert_eq!(value.len(), field.value_bytes);
        fields.push((name.to_vec(), value.to_vec()));
        out.clear();
    }
    Ok(fields)
}

/// What a run gave.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    events: Vec<String>,
    error: Option<String>,
    output: Vec<u8>,
}

/// A server that answers every complete request at once.
struct Session {
    connection: Connection,
    head: RequestHead,
    now: Instant,
    held: Vec<StreamKey>,
}

fn run<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    let now = Instant::now();
    let mut session = Session {
        connection: Connection::server(Rc::new(Limits::default()), false, now),
        head: RequestHead::new(),
        now,
        held: Vec::new(),
    };
    let mut outcome = Outcome::default();
    session.connection.begin(now, &mut outcome.output);
    let mut unread = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece);
        let mut input = unread.as_slice();
        loop {
            let mut out = Vec::new();
            let received = session.connection.receive(&mut input, &mut session.head, now, &mut out);
            let goes_on = match received {
                Ok(Event::NeedData | Event::Blocked | Event::Closed) => false,
                Ok(event) => {
                    session.handle(event, &mut outcome.events, &mut out);
                    true
                }
                Err(error) => {
                    outcome.error = Some(error.to_string());
                    false
                }
            };
            outcome.output.extend(out);
            if !goes_on {
                break;
            }
        }
        unread = input.to_vec();
    }
    for stream in std::mem::take(&mut session.held) {
        session.connection.release(stream, now, &mut outcome.output);
    }
    assert!(session.connection.is_idle(), "a stream was not released");
    outcome
}

impl Session {
    fn handle(&mut self, event: Event<'_>, events: &mut Vec<String>, out: &mut Vec<u8>) {
        match event {
            Event::Data { stream, data } => {
                let name = format!("content of {}: ", stream.id());
                // Pieces of one run of content are one event, whatever the split.
                match events.last_mut().filter(|last| last.starts_with(&name)) {
                    Some(last) => *last += &data.escape_ascii().to_string(),
                    None => events.push(name + &data.escape_ascii().to_string()),
                }
                return;
            }
            Event::Request { stream, length } => {
                events.push(format!(
                    "{event:?} {} {:?}",
                    self.head.target(),
                    self.head.fields().len()
                ));
                self.held.push(stream);
                if length == ContentLength::Empty {
                    self.answer(stream, out);
                }
                return;
            }
            Event::Refused { stream, .. } if !self.held.contains(&stream) => self.held.push(stream),
            Event::Refused { stream, .. } | Event::End { stream } | Event::Trailers { stream } => {
                self.connection.set_unread(stream, 0, out);
                self.answer(stream, out);
            }
            Event::Reset { stream, .. } => {
                self.held.retain(|held| *held != stream);
                self.connection.release(stream, self.now, out);
            }
            Event::GoAway { .. } | Event::Response { .. } | Event::NeedData | Event::Blocked | Event::Closed => {}
        }
        events.push(format!("{event:?}"));
    }

    fn answer(&mut self, stream: StreamKey, out: &mut Vec<u8>) {
        let date = HttpDate::from(SystemTime::UNIX_EPOCH);
        let head = ResponseHead::default();
        let start = ResponseStart {
            head: &head,
            length: Some(5),
            ends: false,
            date: &date,
        };
        self.connection
            .send_head(stream, start, out)
            .expect("the head is valid");
        if self.connection.fits(stream, 5) {
            self.connection
                .send_last(stream, b"hello", None, out)
                .expect("the content is");
        }
        self.held.retain(|held| *held != stream);
        self.connection.release(stream, self.now, out);
    }
}

fn check_frames(mut output: &[u8]) {
    while let [a, b, c, rest @ ..] = output {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        assert!(length <= 16_384);
        output = &rest[6 + length..];
    }
    assert!(output.is_empty());
}
