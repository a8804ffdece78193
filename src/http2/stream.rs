//! One stream: its state, its windows, and what it owes (RFC 9113 §5.1).
//!
//! A request and its response, as the states of a stream:
//!
//! | state | received: end | sent: end | a reset |
//! |---|---|---|---|
//! | open | half-closed (remote) | half-closed (local) | closed |
//! | half-closed (remote) | – | closed | closed |
//! | half-closed (local) | closed | – | closed |
//! | closed | – | – | – |
//!
//! The id of a closed stream finds nothing. Its place stays taken until the caller releases it, because its
//! handler may still run.

use std::time::Instant;

use super::error::ErrorCode;
use super::pace::Pace;
use super::priority::Priority;
use super::window::{WINDOW_INITIAL, Window};

/// The state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    HalfClosedRemote,
    HalfClosedLocal,
    Closed,
}

/// What changes a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    ReceiveEnd,
    SendEnd,
    Reset,
}

impl State {
    /// Returns the state after a step; `None` if the step cannot happen.
    pub(super) fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Open, Step::ReceiveEnd) => Some(Self::HalfClosedRemote),
            (Self::Open, Step::SendEnd) => Some(Self::HalfClosedLocal),
            (Self::HalfClosedRemote, Step::SendEnd) | (Self::HalfClosedLocal, Step::ReceiveEnd) => Some(Self::Closed),
            (Self::Open | Self::HalfClosedRemote | Self::HalfClosedLocal, Step::Reset) => Some(Self::Closed),
            (Self::HalfClosedRemote, Step::ReceiveEnd) | (Self::HalfClosedLocal, Step::SendEnd) | (Self::Closed, _) => {
                None
            }
        }
    }

    pub(super) fn may_receive(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedLocal)
    }

    pub(super) fn may_send(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedRemote)
    }
}

/// How far the message that this end sends has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// No final head yet.
    Head,
    /// Content follows: this many bytes, or any number.
    Content(Option<u64>),
    /// The end was sent, or status or method rule content out: what the application sends is dropped.
    Ended,
}

/// Whether bytes follow the heads in both directions in place of content (RFC 8441 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tunnel {
    No,
    /// An extended CONNECT asks for it, and no final head has answered.
    Asked,
    Open,
}

/// Content that waits for a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// When the current check began.
    pub(super) since: Instant,
    /// Bytes sent since then.
    pub(super) bytes: u64,
}

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) state: State,
    pub(super) sending: Sending,
    /// What the peer may still send.
    pub(super) receive_window: Window,
    /// What `receive_window` and unread content may be together.
    pub(super) receive_target: i64,
    /// Received content that the application has not taken.
    pub(super) unread_bytes: usize,
    /// Small DATA frames among it.
    pub(super) small_frames: u32,
    /// The rest of the announced content-length.
    pub(super) content_left: Option<u64>,
    pub(super) send_window: Window,
    /// Content that the application has ready.
    pub(super) ready_bytes: usize,
    pub(super) priority: Priority,
    /// When the stream was served last, counted in turns of the connection.
    pub(super) turn: u64,
    /// Set while ready content waits for the window of the stream.
    pub(super) progress: Option<Progress>,
    pub(super) pace: Pace,
    /// The message is the request of a HEAD, or its response.
    pub(super) is_head: bool,
    /// The peer waits for `100 Continue`.
    pub(super) awaits_continue: bool,
    pub(super) tunnel: Tunnel,
    /// The final head of the peer's response has come, so another block is trailers. Clients only.
    pub(super) has_response: bool,
}

impl Stream {
    pub(super) fn new(id: u32, send_window: i64) -> Self {
        Self {
            id,
            state: State::Open,
            sending: Sending::Head,
            receive_window: Window::new(WINDOW_INITIAL),
            receive_target: WINDOW_INITIAL,
            unread_bytes: 0,
            small_frames: 0,
            content_left: None,
            send_window: Window::new(send_window),
            ready_bytes: 0,
            priority: Priority::UNSET,
            turn: 0,
            progress: None,
            pace: Pace::default(),
            is_head: false,
            awaits_continue: false,
            tunnel: Tunnel::No,
            has_response: false,
        }
    }

    /// Returns whether bytes follow the heads in place of content, or may.
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel != Tunnel::No
    }

    /// Returns the code with which this end gives the stream up: that of a tunnel is TCP's reset (RFC 8441 §5).
    pub(super) fn give_up_code(&self) -> ErrorCode {
        if self.is_tunnel() {
            ErrorCode::CANCEL
        } else {
            ErrorCode::INTERNAL_ERROR
        }
    }

    /// Returns whether the peer may send more than its window admits: the message goes on, and the rest of an announced
    /// length exceeds the window.
    pub(super) fn wants_credit(&self) -> bool {
        let room = self.receive_window.room() as u64;
        self.state.may_receive() && self.content_left.is_none_or(|left| left > room)
    }

    /// Takes a step of the table above; a step that cannot happen leaves the state.
    pub(super) fn advance(&mut self, step: Step) {
        match self.state.after(step) {
            Some(state) => self.state = state,
            None => debug_assert!(false, "{step:?} cannot happen in {:?}", self.state),
        }
    }
}
