//! One case: the frames of the client and the required frames of the server.

use crate::support::websocket::Frame;

/// FIN, the reserved bits and the opcodes, as they stand in a frame's first byte (RFC 6455 §5.2).
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A transcript with one right outcome.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its number in the suite.
    pub(crate) number: String,
    /// The requirement.
    pub(crate) holds: String,
    /// The frames of the client. The last one may be incomplete, where the server must not wait for its end.
    pub(crate) sent: Vec<Vec<u8>>,
    /// What the server sends before its close frame.
    pub(crate) answers: Vec<Frame>,
    pub(crate) end: End,
}

/// How the connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It is still open, so that the client closes it with 1000 and gets its code back.
    Open,
    /// A close frame among those the client has sent is answered with this payload.
    Closed(Vec<u8>),
    /// The server closes it with this code.
    Refused(u16),
}

impl Case {
    /// A case after which the connection is still open.
    pub(crate) fn open(number: impl Into<String>, holds: impl Into<String>, sent: Vec<Vec<u8>>) -> Self {
        Self {
            number: number.into(),
            holds: holds.into(),
            sent,
            answers: Vec::new(),
            end: End::Open,
        }
    }

    /// A case in which the client closes.
    pub(crate) fn closed(
        number: impl Into<String>,
        holds: impl Into<String>,
        sent: Vec<Vec<u8>>,
        payload: &[u8],
    ) -> Self {
        Self {
            end: End::Closed(payload.to_vec()),
            ..Self::open(number, holds, sent)
        }
    }

    /// A case in which the server closes, with this code.
    pub(crate) fn refused(number: impl Into<String>, holds: impl Into<String>, sent: Vec<Vec<u8>>, code: u16) -> Self {
        Self {
            end: End::Refused(code),
            ..Self::open(number, holds, sent)
        }
    }

    /// Adds a frame the server must send, after those before.
    pub(crate) fn answer(mut self, first: u8, payload: impl Into<Vec<u8>>) -> Self {
        self.answers.push(Frame::new(first, payload));
        self
    }

    /// The name that a failure is reported under.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.number, self.holds)
    }
}

/// A frame the client sends, masked.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    crate::support::websocket::frame(first, payload.as_ref())
}

/// A message the client sends in fragments; `first` is its opcode.
pub(crate) fn fragments<P: AsRef<[u8]>>(first: u8, pieces: impl IntoIterator<Item = P>) -> Vec<Vec<u8>> {
    let mut pieces = pieces.into_iter().peekable();
    let mut opcode = first;
    let mut frames = Vec::new();
    while let Some(piece) = pieces.next() {
        let fin = if pieces.peek().is_none() { FIN } else { 0 };
        frames.push(frame(fin | opcode, piece));
        // RSV1 belongs to the first frame alone, like the opcode.
        opcode = CONTINUATION;
    }
    frames
}

/// A close frame the client sends.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    crate::support::websocket::close(code, reason)
}
