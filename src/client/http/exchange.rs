//! One exchange on a connection: sends the request and receives the response, both at once, with timeouts.
//!
//! It has no task of its own. The application's future drives it: while it waits for the response, the content of the
//! request is sent. What the application does not read stays in the socket, and TCP slows the server down.
//!
//! Invariant: the connection returns to its pool only after a complete exchange. Otherwise it is closed.

use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use squall_shards::{Deadline, Shard};

use super::connection::{Arrived, Connection};
use super::error::{FetchFailure, Step};
use super::outgoing::Outgoing;
use super::pool::Pool;
use crate::http1::ResponseError;
use crate::message::{Headers, ResponseHead};

/// How many pieces are received, or sent, before other tasks get a turn.
const PIECES_AT_ONCE_MAX: u32 = 64;

/// How long the steps of an exchange may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) head: Duration,
    pub(super) gap: Duration,
    /// How long content waits for the server's consent.
    pub(super) consent: Duration,
    /// When the whole fetch must be over, and the time that it had.
    pub(super) whole: Option<(Instant, Duration)>,
}

/// Whether the content of the request may be sent (RFC 9110 §10.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    Given,
    /// It is sent at this time even without consent.
    Awaited(Instant),
    /// The server has answered without the content.
    Refused,
}

/// One exchange, from the head of the request to the end of the response.
pub(super) struct Exchange {
    /// `None` once the response is complete, or broken.
    connection: Option<Connection>,
    pool: Weak<Pool>,
    outgoing: Outgoing,
    consent: Consent,
    timer: Deadline,
    timeouts: Timeouts,
    /// The step that is awaited, and since when.
    awaited: Option<(Step, Instant)>,
    /// What the kernel had taken when that was noted.
    sent_bytes: u64,
    /// What it had taken before the request.
    sent_before: u64,
    /// Sending has failed. The server may have answered before.
    send_error: Option<io::Error>,
    trailers: Headers,
    pieces: u32,
}

/// An exchange that failed.
pub(super) struct Failed {
    pub(super) failure: FetchFailure,
    /// The connection broke, and the server may not have seen the request.
    pub(super) was_lost: bool,
    /// The kernel has taken no byte of the request.
    pub(super) was_unsent: bool,
}

impl Exchange {
    /// Begins with the head of the request, which is not sent yet.
    pub(super) fn new(connection: Connection, pool: &Rc<Pool>, outgoing: Outgoing, timeouts: Timeouts) -> Self {
        let sent_before = connection.socket.sent().bytes;
        Self {
            connection: Some(connection),
            pool: Rc::downgrade(pool),
            outgoing,
            consent: Consent::Given,
            timer: Deadline::new(),
            timeouts,
            awaited: None,
            sent_bytes: sent_before,
            sent_before,
            send_error: None,
            trailers: Headers::new(),
            pieces: 0,
        }
    }

    /// Starts to send the head of the request, and content behind it.
    pub(super) fn start(&mut self, head: Vec<u8>) {
        if let Some(connection) = &self.connection
            && let Err(error) = connection.socket.start_send(head)
        {
            self.send_error = Some(error);
        }
    }

    /// Lets the content wait for the server's consent.
    pub(super) fn await_consent(&mut self) {
        self.consent = Consent::Awaited(Shard::current().now() + self.timeouts.consent);
    }

    /// Receives the head of the response, while the request is sent.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Failed>> {
        loop {
            match self.poll_arrived(cx) {
                Poll::Ready(Ok(Arrived::Head(head))) => {
                    if self.consent != Consent::Given {
                        self.consent = Consent::Refused;
                    }
                    self.finish_without_content();
                    return Poll::Ready(Ok(head));
                }
                Poll::Ready(Ok(Arrived::Interim(StatusCode::CONTINUE))) => self.consent = Consent::Given,
                Poll::Ready(Ok(Arrived::Interim(_))) => {}
                // The machine gives a head first.
                Poll::Ready(Ok(Arrived::Data(_) | Arrived::End)) => {
                    return Poll::Ready(Err(self.fail(ResponseError::Truncated.into())));
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(self.fail(failure))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Receives some content; `None` at the end of the response.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FetchFailure>> {
        loop {
            if self.connection.is_none() {
                return Poll::Ready(Ok(None));
            }
            match self.poll_arrived(cx) {
                Poll::Ready(Ok(Arrived::Data(data))) => return Poll::Ready(Ok(Some(data))),
                Poll::Ready(Ok(Arrived::End)) => {
                    self.finish();
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(Ok(Arrived::Head(_) | Arrived::Interim(_))) => {}
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(self.fail(failure).failure)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes the trailer fields that have arrived.
    pub(super) fn trailers(&self) -> &Headers {
        &self.trailers
    }

    /// Returns whether the response is complete.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_none()
    }

    /// Returns how many bytes of content are still to come, if known.
    pub(super) fn remaining(&self) -> Option<u64> {
        match &self.connection {
            Some(connection) => connection.machine.remaining(),
            None => Some(0),
        }
    }

    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrived, FetchFailure>> {
        if self.pieces >= PIECES_AT_ONCE_MAX {
            self.pieces = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.send(cx)?;
        let arrived = self.receive(cx);
        let Some(connection) = &mut self.connection else {
            return arrived;
        };
        connection.input.set_aside(&connection.socket)?;
        match arrived {
            Poll::Ready(arrived) => {
                self.pieces += 1;
                self.awaited = None;
                Poll::Ready(arrived)
            }
            Poll::Pending => match self.poll_time(cx) {
                Poll::Ready(failure) => Poll::Ready(Err(failure)),
                Poll::Pending => {
                    self.pieces = 0;
                    Poll::Pending
                }
            },
        }
    }

    /// Sends content of the request, as far as the socket takes it.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), FetchFailure> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let socket = &connection.socket;
        if self.send_error.is_some() || !(socket.is_sending() || connection.machine.is_sending()) {
            return Ok(());
        }
        for _ in 0..PIECES_AT_ONCE_MAX {
            match socket.poll_sent(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) if !connection.machine.is_sending() || self.consent != Consent::Given => {
                    return Ok(());
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.send_error = Some(error);
                    return Ok(());
                }
            }
            let mut out = Vec::new();
            let sent = match self.outgoing.poll_piece(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Err(error))) => return Err(FetchFailure::Content(error.to_string())),
                Poll::Ready(Some(Ok(piece))) if piece.is_empty() => Ok(()),
                Poll::Ready(Some(Ok(piece))) => match connection.machine.send_unframed(piece.len())? {
                    true => socket.start_send(piece),
                    false => {
                        out = socket.take_buffer();
                        connection.machine.send_data(&piece, &mut out)?;
                        socket.start_send(out)
                    }
                },
                Poll::Ready(None) => {
                    connection.machine.send_end(None, &mut out)?;
                    match out.is_empty() {
                        true => Ok(()),
                        false => socket.start_send(out),
                    }
                }
            };
            self.awaited = None;
            if let Err(error) = sent {
                self.send_error = Some(error);
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrived, FetchFailure>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Ok(Arrived::End));
        };
        loop {
            if let Some(arrived) = connection.next(&mut self.trailers)? {
                return Poll::Ready(Ok(arrived));
            }
            match connection.socket.poll_receive(cx) {
                Poll::Ready(Ok(Some(received))) => connection.input.push(received, &connection.socket)?,
                Poll::Ready(Ok(None)) => {
                    // Anyone on the way can forge an end without a close_notify, so no content ends with it.
                    let ended = match connection.socket.is_truncated() {
                        true => Err(ResponseError::Truncated),
                        false => connection.machine.receive_eof(),
                    };
                    if let Err(error) = ended {
                        let failure = self.send_error.take().map(FetchFailure::Broken);
                        return Poll::Ready(Err(failure.unwrap_or_else(|| error.into())));
                    }
                }
                Poll::Ready(Err(error)) => {
                    let error = self.send_error.take().unwrap_or(error);
                    return Poll::Ready(Err(FetchFailure::Broken(error)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Waits for the deadline of the awaited step.
    fn poll_time(&mut self, cx: &Context<'_>) -> Poll<FetchFailure> {
        loop {
            let now = Shard::current().now();
            let consent = match self.consent {
                Consent::Awaited(until) if now >= until => {
                    // The next poll sends the content.
                    self.consent = Consent::Given;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Consent::Awaited(until) => Some(until),
                Consent::Given | Consent::Refused => None,
            };
            let step = self.step();
            let whole = self.timeouts.whole;
            let due = step.map(|step| {
                let timeout = match step {
                    Step::Head => self.timeouts.head,
                    _ => self.timeouts.gap,
                };
                (self.since(step, now) + timeout, step, timeout)
            });
            let whole = whole.map(|(at, timeout)| (at, Step::Whole, timeout));
            let first = [due, whole].into_iter().flatten().min_by_key(|(at, ..)| *at);
            if let Some((at, step, timeout)) = first
                && now >= at
            {
                return Poll::Ready(FetchFailure::Timeout { step, timeout });
            }
            let at = first.map(|(at, ..)| at).into_iter().chain(consent).min();
            let Some(at) = at else { return Poll::Pending };
            self.timer.set(Some(at));
            if self.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The step that is the server's; `None` while the application's stream has nothing to send, or consent is awaited.
    fn step(&self) -> Option<Step> {
        let connection = self.connection.as_ref()?;
        if self.send_error.is_none() && connection.socket.is_sending() {
            Some(Step::Send)
        } else if self.send_error.is_none() && connection.machine.is_sending() && self.consent != Consent::Refused {
            None
        } else if connection.machine.has_head() {
            Some(Step::Content)
        } else {
            Some(Step::Head)
        }
    }

    /// Since when a step has been awaited. Bytes that the server takes begin it anew.
    fn since(&mut self, step: Step, now: Instant) -> Instant {
        let sent_bytes = self
            .connection
            .as_ref()
            .map_or(0, |connection| connection.socket.sent().bytes);
        match self.awaited {
            Some((known, since)) if known == step && sent_bytes == self.sent_bytes => since,
            _ => {
                self.sent_bytes = sent_bytes;
                self.awaited = Some((step, now));
                now
            }
        }
    }

    /// Ends a response without content at once, so that its connection is free before the application reads.
    fn finish_without_content(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if connection.machine.remaining() == Some(0)
            && let Ok(Some(Arrived::End)) = connection.next(&mut self.trailers)
        {
            self.finish();
        }
    }

    /// Gives the connection back after a complete response, or closes it.
    fn finish(&mut self) {
        self.timer.set(None);
        self.outgoing = Outgoing::Nothing;
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if self.send_error.is_some() {
            return;
        }
        match self.pool.upgrade().filter(|_| connection.renew()) {
            Some(pool) => pool.give_back(connection),
            None => connection.close(),
        }
    }

    /// Closes the connection: the rest of the response is of no use.
    pub(super) fn abort(&mut self) {
        self.timer.set(None);
        self.outgoing = Outgoing::Nothing;
        self.connection = None;
    }

    /// Closes the connection.
    fn fail(&mut self, failure: FetchFailure) -> Failed {
        self.timer.set(None);
        self.outgoing = Outgoing::Nothing;
        let connection = self.connection.take();
        let has_response = connection
            .as_ref()
            .is_some_and(|connection| connection.machine.has_response());
        let sent_bytes = connection
            .as_ref()
            .map_or(self.sent_before, |connection| connection.socket.sent().bytes);
        let is_end = matches!(
            failure,
            FetchFailure::Broken(_) | FetchFailure::Response(ResponseError::Truncated)
        );
        Failed {
            failure,
            was_lost: is_end && !has_response,
            was_unsent: sent_bytes == self.sent_before,
        }
    }
}
