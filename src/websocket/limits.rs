//! Every number that bounds the cost of one WebSocket peer, with its default and the reason for it.

use core::time::Duration;

use crate::settings::{Bytes, PositiveCount, PositiveTime, Time, settings};

settings! {
    /// Bounds on the size and the pace of one connection.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Limits, set by websocket_setters through websocket {
        /// Most bytes in a WebSocket message; more close the socket with 1009.
        ///
        /// Counted inflated. 1 MiB: a handler that holds whole messages can afford it, and Cowboy bounds a frame by it.
        [Bytes] max_message_bytes: usize = 1024 * 1024,
        /// Most fragments in a WebSocket message; more close the socket with 1008.
        ///
        /// Empty ones count. 1024: a peer that cuts finer does so to cause work (CVE-2026-42786).
        [PositiveCount] max_fragments: u32 = 1024,
        /// Most pongs queued for a WebSocket peer that does not read; beyond them the oldest is dropped.
        ///
        /// Only the latest ping needs an answer (RFC 6455 §5.5.3). 16: some peers send 10 pings and wait for 10 pongs.
        [PositiveCount] max_queued_pongs: u8 = 16,
        /// Most pings of a WebSocket peer between two sent pongs; more close the socket with 1008.
        ///
        /// 1024: a peer with more unread pongs is an attack (`docs/threats.md#ping-flood`; CVE-2019-9512 for HTTP/2).
        [PositiveCount] max_unread_pings: u16 = 1024,
        /// Longest time for a WebSocket peer to answer a close frame; then the server aborts the connection.
        ///
        /// A server must then also close the transport. 5 s: Tornado's.
        [PositiveTime] close_timeout: Duration = Duration::from_secs(5),
        /// Pings a WebSocket peer that has been silent for this long; 0 turns pings off.
        ///
        /// 25 s: some proxies drop a quiet connection after 30 s.
        [Time] ping_interval: Duration = Duration::from_secs(25),
        /// Closes a WebSocket whose peer stays silent for this long after a ping.
        ///
        /// The default is 10 s.
        [PositiveTime] ping_timeout: Duration = Duration::from_secs(10),
    }
}
