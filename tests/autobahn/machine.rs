//! Runs cases through the protocol machine of an endpoint that echoes, without a socket. Server and client differ
//! only by their masks, so every case runs through both.

use std::rc::Rc;
use std::time::Instant;

use squall::websocket::{Connection, Deflate, Deflaters, Event, Limits};

use crate::case::{Case, End, close};
use crate::support::websocket::Frame;
use crate::support::{Outcome, ensure, for_each_case, show};

/// A transcript of at most this many bytes is cut in two at every place; a longer one at this many places.
const CUTS_MAX: usize = 700;

/// A transcript of at most this many bytes also runs byte by byte.
const BYTE_BY_BYTE_MAX: usize = 128 * 1024;

/// Which end a case runs through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

/// An endpoint that echoes, and the bytes it has sent.
pub(crate) struct Echo {
    connection: Connection,
    deflaters: Deflaters,
    now: Instant,
    unread: Vec<u8>,
    pub(crate) sent: Vec<u8>,
}

impl Echo {
    pub(crate) fn server(limits: Limits, deflate: Option<Deflate>, deflaters: Deflaters) -> Self {
        let connection = Connection::server(Rc::new(limits), deflate, moment());
        Self::over(connection, deflaters)
    }

    fn client() -> Self {
        let mask_keys = Box::new(|| [0x5a, 0xa5, 0x3c, 0xc3]);
        let connection = Connection::client(Rc::default(), None, mask_keys, moment());
        Self::over(connection, Deflaters::new(1, 0))
    }

    fn over(connection: Connection, deflaters: Deflaters) -> Self {
        Self {
            connection,
            deflaters,
            now: moment(),
            unread: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Receives a piece of the client's bytes, echoes and answers.
    pub(crate) fn receive(&mut self, piece: &[u8]) {
        // Unconsumed bytes come first; there are usually none.
        let mut joined = std::mem::take(&mut self.unread);
        let mut input = piece;
        if !joined.is_empty() {
            joined.extend_from_slice(piece);
            input = &joined;
        }
        loop {
            let event = self.connection.receive(&mut input, &mut self.deflaters, self.now);
            if let Ok(Event::Message(message)) = &event {
                let echoed = self.connection.send(message, &mut self.deflaters, &mut self.sent);
                echoed.expect("the connection is open");
            }
            self.connection.send_pending_control(&mut self.sent);
            if matches!(event, Ok(Event::NeedData | Event::Closed)) {
                break;
            }
        }
        self.unread = input.to_vec();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.connection.is_over()
    }
}

/// Some moment; no time passes in these cases.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made from a number")]
pub(crate) fn moment() -> Instant {
    Instant::now()
}

/// Checks every case, at either end.
#[track_caller]
pub(crate) fn hold(cases: &[Case]) {
    for role in [Role::Server, Role::Client] {
        for_each_case(
            cases,
            |case| format!("{} ({role:?})", case.name()),
            |case| check(case, role),
        );
    }
}

/// Runs a case with its bytes cut in every way. All must send the same bytes, and those must be right.
fn check(case: &Case, role: Role) -> Outcome<()> {
    let mut pieces = case.sent.clone();
    if case.end == End::Open {
        pieces.push(close(1000, ""));
    }
    let bytes = match role {
        Role::Server => pieces.concat(),
        Role::Client => unmasked(&pieces.concat()),
    };
    let whole = run(role, [bytes.as_slice()]);
    match role {
        Role::Server => judge(case, &whole)?,
        Role::Client => judge(case, &unmasked(&whole))?,
    }
    let same = |way: &str, sent: &[u8]| {
        ensure(sent == whole, || {
            format!("{way} it sends \"{}\", not \"{}\"", show(sent), show(&whole))
        })
    };
    if role == Role::Server {
        same("frame by frame", &run(role, pieces.iter().map(Vec::as_slice)))?;
    }
    if bytes.len() <= BYTE_BY_BYTE_MAX {
        same("byte by byte", &run(role, bytes.chunks(1)))?;
    }
    let step = bytes.len() / CUTS_MAX + 1;
    for cut in (1..bytes.len()).step_by(step) {
        let (first, second) = bytes.split_at(cut);
        same(&format!("cut at {cut}"), &run(role, [first, second]))?;
    }
    Ok(())
}

fn run<'p>(role: Role, pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut echo = match role {
        Role::Server => Echo::server(Limits::default(), None, Deflaters::new(1, 0)),
        Role::Client => Echo::client(),
    };
    for piece in pieces {
        echo.receive(piece);
    }
    assert!(echo.is_over(), "every case ends with a close frame");
    echo.sent
}

/// A client's frames, of which the last may be cut short, as a server would send them.
fn unmasked(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    while let [first, length, ..] = *bytes {
        assert!(length >= 0x80, "a client's frame is not masked");
        let (payload_bytes, key) = match length & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*bytes[2..].first_chunk().unwrap())), 4),
            127 => (u64::from_be_bytes(*bytes[2..].first_chunk().unwrap()), 10),
            length => (u64::from(length), 2),
        };
        plain.extend([first, length & 0x7f]);
        plain.extend_from_slice(&bytes[2..key]);
        let (key, rest) = bytes[key..].split_at(4);
        let (payload, rest) = rest.split_at(rest.len().min(usize::try_from(payload_bytes).unwrap()));
        plain.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes = rest;
    }
    plain
}

/// Whether these are the answers, and nothing else.
fn judge(case: &Case, sent: &[u8]) -> Outcome<()> {
    let mut frames = frames(sent)?;
    let last = frames.pop().ok_or("nothing was sent")?;
    ensure(frames == case.answers, || {
        format!("it sends {:?} before {last:?}", summary(&frames))
    })?;
    let is_right = match &case.end {
        End::Open => last == Frame::new(0x88, 1000_u16.to_be_bytes()),
        End::Closed(payload) => last == Frame::new(0x88, payload.as_slice()),
        End::Refused(code) => last.close_code() == Some(*code) && str::from_utf8(&last.payload[2..]).is_ok(),
    };
    ensure(is_right, || format!("it closes with {last:?}"))
}

/// Bytes a server has sent, as frames.
pub(crate) fn frames(mut bytes: &[u8]) -> Outcome<Vec<Frame>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, length) = Frame::read(bytes).ok_or_else(|| format!("half a frame: \"{}\"", show(bytes)))?;
        bytes = &bytes[length..];
        frames.push(frame);
    }
    Ok(frames)
}

fn summary(frames: &[Frame]) -> Vec<(u8, String)> {
    frames.iter().map(|frame| (frame.first, show(&frame.payload))).collect()
}
