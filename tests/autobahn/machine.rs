//! Runs cases through the machine: a server's end that echoes, without a socket.

use std::rc::Rc;
use std::time::Instant;

use squall::websocket::{Connection, Deflate, Deflaters, Event, Limits};

use crate::case::{Case, End, close};
use crate::support::websocket::Frame;
use crate::support::{Outcome, ensure, for_each_case, show};

/// A transcript up to so long is cut in two at every place, a longer one at so many places.
const CUTS_MAX: usize = 700;

/// A transcript up to so long is also run byte by byte.
const BYTE_BY_BYTE_MAX: usize = 128 * 1024;

/// A server's end that echoes, and what it has sent.
pub(crate) struct Echo {
    connection: Connection,
    deflaters: Deflaters,
    now: Instant,
    unread: Vec<u8>,
    pub(crate) sent: Vec<u8>,
}

impl Echo {
    pub(crate) fn new(limits: Limits, deflate: Option<Deflate>, deflaters: Deflaters) -> Self {
        let now = moment();
        Self {
            connection: Connection::server(Rc::new(limits), deflate, now),
            deflaters,
            now,
            unread: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Takes a piece of what the client sends, echoes and answers.
    pub(crate) fn receive(&mut self, piece: &[u8]) {
        // What was not consumed before stands in front; usually nothing.
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
                echoed.expect("nobody has begun to close");
            }
            self.connection.send_owed(&mut self.sent);
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

/// Checks every case.
#[track_caller]
pub(crate) fn hold(cases: &[Case]) {
    for_each_case(cases, |case| case.name(), |case| check(case));
}

/// Runs a case in every way its bytes can come, which must all lead to the same bytes sent; and those must be right.
fn check(case: &Case) -> Outcome<()> {
    let mut frames: Vec<&[u8]> = case.sent.iter().map(Vec::as_slice).collect();
    let end = close(1000, "");
    if case.end == End::Open {
        frames.push(&end);
    }
    let bytes = frames.concat();
    let whole = run([bytes.as_slice()]);
    judge(case, &whole)?;
    let same = |way: &str, sent: &[u8]| {
        ensure(sent == whole, || {
            format!("{way} it sends \"{}\", not \"{}\"", show(sent), show(&whole))
        })
    };
    same("frame by frame", &run(frames))?;
    if bytes.len() <= BYTE_BY_BYTE_MAX {
        same("byte by byte", &run(bytes.chunks(1)))?;
    }
    let step = bytes.len() / CUTS_MAX + 1;
    for cut in (1..bytes.len()).step_by(step) {
        let (first, second) = bytes.split_at(cut);
        same(&format!("cut at {cut}"), &run([first, second]))?;
    }
    Ok(())
}

fn run<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut echo = Echo::new(Limits::default(), None, Deflaters::new(1, 0));
    for piece in pieces {
        echo.receive(piece);
    }
    assert!(echo.is_over(), "every case ends with a close frame");
    echo.sent
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
