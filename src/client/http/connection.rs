//! One connection to a server: the socket, its received bytes, and the machine.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use squall_shards::{clock, spawn_detached, timeout_at};

use super::address::Endpoint;
use super::error::FetchFailure;
use super::lease::Lease;
use crate::http1::{ClientConnection, Limits, ResponseEvent};
use crate::message::{Headers, ResponseHead};
use crate::transport::input::Input;
use crate::transport::socket::Socket;

/// How long a server may take the last bytes of a secure connection. 1 s: they are few, and most servers take them at once.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection, in use or in the pool.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) input: Input,
    pub(super) machine: ClientConnection,
    /// Whether it has served an exchange before this one.
    pub(super) is_reused: bool,
    /// Declared last: the place becomes free after the socket is closed.
    lease: Lease,
}

/// What has arrived of a response.
#[derive(Debug)]
pub(super) enum Arrived {
    Interim(StatusCode),
    Head(ResponseHead),
    Data(Bytes),
    End,
}

impl Connection {
    pub(super) fn new(socket: Socket, lease: Lease, limits: Rc<Limits>) -> Self {
        Self {
            socket,
            input: Input::default(),
            machine: ClientConnection::new(limits),
            is_reused: false,
            lease,
        }
    }

    pub(super) fn endpoint(&self) -> &Rc<Endpoint> {
        self.lease.endpoint()
    }

    /// Returns what the received bytes hold next; `None` if they hold nothing whole. Trailer fields are added to
    /// `trailers`.
    pub(super) fn next(&mut self, trailers: &mut Headers) -> Result<Option<Arrived>, FetchFailure> {
        loop {
            let mut rest = self.input.bytes();
            let presented = rest.len();
            let event = self.machine.receive(&mut rest)?;
            let consumed = presented - rest.len();
            let arrived = match event {
                ResponseEvent::NeedData => None,
                ResponseEvent::Interim(head) => Some(Arrived::Interim(head.status)),
                ResponseEvent::Head(head) => Some(Arrived::Head(head)),
                ResponseEvent::Data(data) => Some(Arrived::Data(Bytes::copy_from_slice(data))),
                ResponseEvent::Trailer { name, value } => {
                    let name = HeaderName::from_bytes(name.as_bytes());
                    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                        trailers.add(name, value);
                    }
                    self.input.consume(consumed, &self.socket);
                    continue;
                }
                ResponseEvent::End => Some(Arrived::End),
            };
            self.input.consume(consumed, &self.socket);
            return Ok(arrived);
        }
    }

    /// Whether an unused connection is still open and silent. Its end, or bytes that answer no request, make it useless.
    ///
    /// The waker is woken when that changes.
    pub(super) fn is_alive(&self, waker: &Waker) -> bool {
        let mut cx = Context::from_waker(waker);
        matches!(self.socket.poll_receive(&mut cx), Poll::Pending)
    }

    /// Closes an unused connection. Over TLS its server learns first that this is the end (RFC 8446 §6.1).
    ///
    /// The place of the connection is free at once.
    pub(super) fn close(self) {
        let Self { socket, .. } = self;
        if socket.is_secure() {
            spawn_detached(async move {
                socket.announce_end();
                // A server that takes nothing more is owed nothing.
                let sent = timeout_at(clock::after(FAREWELL), poll_fn(|cx| socket.poll_sent(cx)));
                sent.await.unwrap_or(Ok(())).unwrap_or_default();
            });
        }
    }

    /// Prepares for the next exchange; false if the connection must close.
    pub(super) fn renew(&mut self) -> bool {
        self.is_reused = true;
        // Bytes behind a complete response answer no request.
        !self.socket.is_sending() && self.input.is_empty() && self.machine.next_exchange()
    }
}
