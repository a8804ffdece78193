//! Every number that bounds what one WebSocket peer can cost, with its default and the reason for it.

use core::time::Duration;

/// Bounds on the size and the pace of one connection. One value serves every connection of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest message received, in bytes of payload, after inflating; beyond it 1009. 1 MiB: what a handler that
    /// holds whole messages can be asked to hold, and Cowboy's bound on a frame.
    pub message_bytes_max: usize,
    /// Most frames of one message, empty ones too; beyond it 1008. 1024: a peer that cuts finer does so to make work
    /// (CVE-2026-42786).
    pub fragments_max: u32,
    /// Most pongs kept for a peer that does not read; beyond it the oldest is dropped, since only the latest ping need
    /// be answered (RFC 6455 §5.5.3). 16: some peers send ten pings and wait for ten pongs.
    pub pongs_queued_max: u8,
    /// Most pings answered without [`send`](super::Connection::send) or [`send_pending_control`](super::Connection::send_pending_control) having
    /// got rid of a pong in between; beyond it 1008. 1024: a peer that pings so often and reads nothing means no good (as CVE-2019-9512 for HTTP/2).
    pub pings_unread_max: u16,
    /// How long the peer may take to answer a close frame, or, if it is the server, to close the transport after both
    /// went. 5 s: Tornado's.
    pub close_timeout: Duration,
    /// After how long without a byte from the peer it is sent a ping; `None` never. 25 s: below the 30 s after which
    /// the most impatient proxies drop a quiet connection.
    pub ping_interval: Option<Duration>,
    /// How long after such a ping the peer may stay silent before it counts as gone. 10 s.
    pub ping_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 1024 * 1024,
            fragments_max: 1024,
            pongs_queued_max: 16,
            pings_unread_max: 1024,
            close_timeout: Duration::from_secs(5),
            ping_interval: Some(Duration::from_secs(25)),
            ping_timeout: Duration::from_secs(10),
        }
    }
}
