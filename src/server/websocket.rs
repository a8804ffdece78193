//! A server's WebSocket: the handler's session as the owner of what [`transport`](crate::transport) drives.

use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use squall_shards::{GateGuard, SendBuffer};

use super::connection::Connection;
use super::shard::{Registration, ShardServer};
use crate::app::{Batch, Duplex, Link, Session};
use crate::transport::progress::WriteLimits;
use crate::transport::websocket::{Connected, Owner, drive};

/// How many sockets are told of a graceful stop at once, so that their answers and the new connections of their clients come in waves.
const CLOSE_BATCH_SOCKETS: usize = 1024;

/// How long after one batch the next is told: the 65,536 sockets of a full shard within seven seconds.
const CLOSE_BATCH_INTERVAL: Duration = Duration::from_millis(100);

/// A handler at work, and its place in the server.
struct Handling {
    server: Rc<ShardServer>,
    link: Rc<Link>,
    /// `None` once the handler has ended.
    session: Option<Session>,
    registration: Registration,
    _guard: GateGuard,
}

/// Serves a WebSocket to its end. Not an `async fn`, whose arguments would lie in the task's memory twice.
pub(super) fn serve(connection: Connection, link: Rc<Link>, session: Session) -> impl Future<Output = ()> {
    let handling = Handling {
        server: connection.server,
        link,
        session: Some(session),
        registration: connection.registration,
        _guard: connection.guard,
    };
    let connected = Connected {
        stream: connection.stream,
        input: connection.input,
        input_ended: connection.input_ended,
        deadline: connection.deadline,
    };
    drive(connected, handling)
}

impl Owner for Handling {
    fn duplex(&self) -> &Duplex {
        &self.link
    }

    fn now(&self) -> Instant {
        self.server.shard.now()
    }

    fn write_limits(&self) -> &WriteLimits {
        &self.server.write
    }

    fn linger_timeout(&self) -> Duration {
        self.server.config.linger_timeout
    }

    fn begin_turn(&self, cx: &Context<'_>) {
        self.registration.note(cx);
    }

    fn run(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(session) = &mut self.session else {
            return false;
        };
        let has_ended = session.poll(cx).is_ready();
        if has_ended {
            self.session = None;
        }
        has_ended
    }

    fn has_ended(&self) -> bool {
        self.session.is_none()
    }

    fn has_deliveries(&self) -> bool {
        self.link.has_deliveries()
    }

    fn take_deliveries(&self) -> Option<SendBuffer> {
        let deliveries = self.link.take_deliveries(self.now());
        deliveries.map(|batch| match batch {
            Batch::Whole(frames) => SendBuffer::from(frames),
            Batch::Pieces(frames) => SendBuffer::from(frames),
        })
    }

    /// The graceful stop, batch by batch, if there is one and this socket has not been told.
    fn going_away(&self) -> Option<Instant> {
        let since = self.server.draining_since().filter(|_| self.link.is_open())?;
        let batch = u32::try_from(self.registration.place() / CLOSE_BATCH_SOCKETS).unwrap_or(u32::MAX);
        Some(since + CLOSE_BATCH_INTERVAL.saturating_mul(batch))
    }

    fn leave(&self) {
        self.link.leave();
    }
}
