//! A server's WebSocket: the [`Owner`] that [`transport`](crate::transport) drives.

use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use squall_shards::SendBuffer;

use super::shard::{Registration, ShardServer};
use crate::app::{HandlerTask, SocketState};
use crate::transport::byte_stream::ByteStream;
use crate::transport::progress::WriteLimits;
use crate::transport::websocket::{Connected, Owner, drive};
use crate::websocket::{Duplex, ProtocolError};

/// How many sockets a graceful stop closes at once. 1024.
///
/// Batches spread out the close frames, and the new connections of the clients.
const CLOSE_BATCH_SOCKETS: usize = 1024;

/// The time between two batches: the 65,536 sockets of a full shard close within seven seconds.
///
/// It shrinks if the last batch would otherwise come after half of the shutdown timeout.
const CLOSE_BATCH_INTERVAL: Duration = Duration::from_millis(100);

/// A WebSocket's handler and its registration in the server.
struct ServerSocket<G> {
    state: Rc<SocketState>,
    /// `None` once the handler has ended.
    task: Option<HandlerTask>,
    place: Place<G>,
}

/// The place of a WebSocket in its server.
pub(super) struct Place<G> {
    pub(super) server: Rc<ShardServer>,
    registration: Registration,
    /// Counts the WebSocket until its handler has ended.
    _guard: G,
}

impl<G> Place<G> {
    pub(super) fn new(server: Rc<ShardServer>, registration: Registration, guard: G) -> Self {
        Self {
            server,
            registration,
            _guard: guard,
        }
    }
}

/// Serves a WebSocket to its end.
///
/// Not an `async fn`: its arguments would take space in the task twice.
pub(super) fn serve<S: ByteStream, G>(
    connected: Connected<S>,
    place: Place<G>,
    state: Rc<SocketState>,
    task: HandlerTask,
) -> impl Future<Output = ()> {
    let socket = ServerSocket {
        state,
        task: Some(task),
        place,
    };
    drive(connected, socket)
}

impl<G> Owner for ServerSocket<G> {
    fn duplex(&self) -> &Duplex {
        self.state.duplex()
    }

    fn now(&self) -> Instant {
        self.place.server.shard.now()
    }

    fn write_limits(&self) -> &WriteLimits {
        &self.place.server.write
    }

    fn linger_timeout(&self) -> Duration {
        self.place.server.config.own.linger_timeout
    }

    fn begin_turn(&self, cx: &Context<'_>) {
        self.place.registration.set_waker(cx);
    }

    fn run(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(task) = &mut self.task else {
            return false;
        };
        let has_ended = task.poll(cx).is_ready();
        if has_ended {
            self.task = None;
        }
        has_ended
    }

    fn has_ended(&self) -> bool {
        self.task.is_none()
    }

    fn has_deliveries(&self) -> bool {
        self.state.has_deliveries()
    }

    fn take_deliveries(&self) -> Option<SendBuffer> {
        self.state.take_deliveries(self.now())
    }

    /// Returns when a graceful stop closes this socket, if a stop has begun and the socket is open.
    fn going_away(&self) -> Option<Instant> {
        let since = self
            .place
            .server
            .draining_since()
            .filter(|_| self.state.duplex().is_open())?;
        let (index, last) = (self.place.registration.index(), self.place.server.last_index());
        Some(since + close_delay(index, last, self.place.server.config.own.shutdown_timeout))
    }

    fn send_reconnect_hint(&self) {
        self.state
            .send_reconnect_hint(self.place.registration.index(), self.place.server.last_index());
    }

    fn log_failure(&self, error: ProtocolError) {
        self.state.log_failure(error);
    }

    fn leave(&self) {
        self.state.leave();
    }
}

/// Returns how long after the start of a graceful stop the socket at an index is closed.
fn close_delay(index: usize, last_index: usize, shutdown_timeout: Duration) -> Duration {
    let batch = |index: usize| u32::try_from(index / CLOSE_BATCH_SOCKETS).unwrap_or(u32::MAX);
    let last = batch(last_index);
    // The last batch needs the second half of the timeout for its close handshakes.
    let interval = CLOSE_BATCH_INTERVAL.min(shutdown_timeout / 2 / last.max(1));
    interval.saturating_mul(batch(index).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_closes_sockets_in_batches_a_tenth_of_a_second_apart() {
        let delay = |index| close_delay(index, 65_535, Duration::from_secs(30));
        assert_eq!([delay(0), delay(1023)], [Duration::ZERO; 2]);
        assert_eq!([delay(1024), delay(2047)], [Duration::from_millis(100); 2]);
        assert_eq!(delay(65_535), Duration::from_millis(6300));
        // A socket that came after the stop began closes with the last batch.
        assert_eq!(delay(100_000), delay(65_535));
    }

    #[test]
    fn a_short_stop_closes_all_sockets_in_half_of_its_time() {
        for (last_index, millis) in [(3000, 150), (65_535, 150), (65_535, 5000), (3000, 0)] {
            let timeout = Duration::from_millis(millis);
            assert!(
                close_delay(last_index, last_index, timeout) <= timeout / 2,
                "{last_index} {millis}"
            );
        }
        assert_eq!(close_delay(1023, 1023, Duration::ZERO), Duration::ZERO);
    }
}
