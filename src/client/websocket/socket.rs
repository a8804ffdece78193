//! A client's WebSocket: the application's handle, and the owner that the driver runs.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use squall_shards::{Shard, spawn_detached};

use super::inbox::{Inbox, feed};
use super::options::ClientOptions;
use crate::message::HeaderValue;
use crate::transport::progress::WriteLimits;
use crate::transport::websocket::{Connected, Owner, drive};
use crate::websocket::{CloseCode, Duplex, End, Message, ProtocolError, SendError};

/// Time after which the peer's rate counts. A client's minimum rate is 0, so only a stall ends a send.
const RATE_GRACE: Duration = Duration::from_secs(60);

/// An open WebSocket, as its client sees it.
///
/// It stays on its shard. Clones share the connection, so that one task may send while another receives.
///
/// A task of Squall's answers pings and keeps the connection alive while messages are read. One received message waits
/// for [`next`](Self::next); until it is taken nothing more is read, and TCP slows the server down.
///
/// Dropping the last clone closes the connection with 1001.
#[derive(Clone)]
#[must_use = "the connection closes when its last clone is dropped"]
pub struct WebSocketClient {
    shared: Rc<Shared>,
}

/// The state that clones share.
struct Shared {
    duplex: Rc<Duplex>,
    inbox: Rc<Inbox>,
    subprotocol: Option<String>,
    shard: Shard,
}

impl WebSocketClient {
    /// Starts the task that drives a WebSocket after its handshake.
    pub(in crate::client) fn start(
        connected: Connected,
        duplex: Duplex,
        subprotocol: Option<String>,
        host: HeaderValue,
        options: &ClientOptions,
    ) -> Self {
        let (duplex, inbox) = (Rc::new(duplex), Rc::new(Inbox::default()));
        let shard = Shard::current();
        let receiving = ClientOwner {
            duplex: Rc::clone(&duplex),
            inbox: Rc::clone(&inbox),
            feeding: Some(Box::pin(feed(Rc::clone(&duplex), Rc::clone(&inbox)))),
            shard: shard.clone(),
            write_limits: WriteLimits {
                write_timeout: options.write_timeout,
                min_write_rate: 0,
                write_rate_grace: RATE_GRACE,
            },
            close_timeout: options.limits.close_timeout,
            host,
        };
        spawn_detached(drive(connected, receiving));
        Self {
            shared: Rc::new(Shared {
                duplex,
                inbox,
                subprotocol,
                shard,
            }),
        }
    }

    /// Sends a message, compressed if negotiated and if that makes it smaller.
    ///
    /// Waits while more than [`OUTGOING_BYTES_MAX`](crate::websocket::OUTGOING_BYTES_MAX) bytes wait for the server. Ready
    /// means queued, not received.
    ///
    /// # Errors
    ///
    /// The connection is closed or closing, or memory is short.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the whole message is lost: the server receives no byte of it.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        poll_fn(|cx| self.shared.duplex.poll_send(&message, cx)).await
    }

    /// Sends a message if the output has room.
    ///
    /// # Errors
    ///
    /// [`SendError`]: the output is full, memory is short, or the connection is closed.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.shared.duplex.try_send(&message.into())
    }

    /// Waits for the next message; `None` once the connection has ended.
    ///
    /// [`end`](Self::end) returns how.
    ///
    /// If several tasks wait, each message goes to one of them.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the message is returned by the next call.
    pub async fn next(&self) -> Option<Message> {
        poll_fn(|cx| self.shared.inbox.poll_next(cx)).await
    }

    /// Sends a ping with at most 125 bytes of payload; Squall sends keep-alive pings itself.
    ///
    /// # Errors
    ///
    /// The payload is too long, the connection is closed, or the output is full as for [`try_send`](Self::try_send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.shared.duplex.ping(payload)
    }

    /// Closes with a code (RFC 6455 §7.4) and a reason of at most 123 bytes, and waits for the server's answer.
    ///
    /// It waits at most [`Limits::close_timeout`](crate::websocket::Limits::close_timeout). A message that has arrived
    /// before can still be read; later ones are ignored. On a closed connection it returns how that ended.
    ///
    /// # Errors
    ///
    /// The code may not be sent (1004–1006, 1015 and unassigned codes), or the reason is too long.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the connection still closes.
    pub async fn close(&self, code: u16, reason: &str) -> Result<End, SendError> {
        let code = CloseCode::new(code).ok_or(SendError::CloseCode(code))?;
        self.shared.close(code, reason)?;
        let end = poll_fn(|cx| self.shared.inbox.poll_end(cx).map(End::clone));
        Ok(end.await)
    }

    /// Waits until the connection has ended, or the server has closed or reset it.
    ///
    /// A task that takes no messages learns of it too. Messages that came before can still be read: call
    /// [`next`](Self::next) until it returns `None`, then [`end`](Self::end).
    ///
    /// A close frame counts once it is read, so only after the messages before it were taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call ends at the same time.
    pub async fn closed(&self) {
        self.shared.duplex.closed().await;
    }

    /// Returns how the connection ended, if it has.
    ///
    /// A code of `None` means that it broke, or that the server's close frame had none.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.shared.inbox.end()
    }

    /// Returns whether messages can be sent: neither end has begun to close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.duplex.is_open()
    }

    /// Returns the subprotocol that the server chose among those offered.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared.subprotocol.as_deref()
    }
}

impl Shared {
    /// Begins to close, unless either end has.
    fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        match self.duplex.close(code, reason, self.shard.now()) {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => return Err(error),
        }
        self.inbox.close();
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // An empty reason fits, so the only error is a closed connection.
        self.close(CloseCode::GOING_AWAY, "").unwrap_or_default();
    }
}

impl fmt::Debug for WebSocketClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebSocketClient")
            .field("is_open", &self.is_open())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

/// The driver's side, which moves received messages into the inbox.
struct ClientOwner {
    duplex: Rc<Duplex>,
    inbox: Rc<Inbox>,
    /// `None` once the end is in the inbox.
    feeding: Option<Pin<Box<dyn Future<Output = ()>>>>,
    shard: Shard,
    write_limits: WriteLimits,
    close_timeout: Duration,
    /// The host that the client has connected to, for the log.
    host: HeaderValue,
}

impl Owner for ClientOwner {
    fn duplex(&self) -> &Duplex {
        &self.duplex
    }

    fn now(&self) -> Instant {
        self.shard.now()
    }

    fn write_limits(&self) -> &WriteLimits {
        &self.write_limits
    }

    fn linger_timeout(&self) -> Duration {
        self.close_timeout
    }

    fn log_failure(&self, error: ProtocolError) {
        let host = &self.host;
        match error {
            ProtocolError::OutOfMemory => tracing::warn!(?host, "closing a WebSocket with 1013: memory is short"),
            _ => tracing::debug!(?host, %error, "a server violated the WebSocket protocol"),
        }
    }

    fn run(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(feeding) = &mut self.feeding else {
            return false;
        };
        let has_ended = feeding.as_mut().poll(cx).is_ready();
        if has_ended {
            self.feeding = None;
        }
        has_ended
    }

    fn has_ended(&self) -> bool {
        self.feeding.is_none()
    }
}

impl Drop for ClientOwner {
    /// If the shard ends first, readers that still wait receive the end.
    fn drop(&mut self) {
        self.inbox.finish(End::default());
    }
}
