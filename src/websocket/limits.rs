//! Every number that bounds the cost of one WebSocket peer, with its default and the reason for it.

use core::time::Duration;

/// Bounds on the size and the pace of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest received message, in bytes of inflated payload; beyond it the connection closes with 1009. 1 MiB: a
    /// handler that holds whole messages can afford it, and Cowboy bounds a frame by it.
    pub message_bytes_max: usize,
    /// Most frames of one message, empty ones included; beyond it the connection closes with 1008. 1024: a peer that
    /// cuts finer does so to cause work (CVE-2026-42786).
    pub fragments_max: u32,
    /// Most pongs queued for a peer that does not read; beyond it the oldest is dropped, since only the latest ping
    /// needs an answer (RFC 6455 §5.5.3). 16: some peers send 10 pings and wait for 10 pongs.
    pub pongs_queued_max: u8,
    /// Most pings between two sent pongs; beyond it the connection closes with 1008. 1024: a peer with more unread
    /// pongs is an attack (`docs/threats.md#ping-flood`; CVE-2019-9512 for HTTP/2).
    pub pings_unread_max: u16,
    /// Longest time in which the peer must answer a close frame; a server must then also close the transport. 5 s:
    /// Tornado's.
    pub close_timeout: Duration,
    /// Silence of the peer after which it receives a ping; `None` sends none. 25 s: some proxies drop a quiet
    /// connection after 30 s.
    pub ping_interval: Option<Duration>,
    /// Longest silence of the peer after such a ping. 10 s.
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
