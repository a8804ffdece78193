//! Every limit on what one HTTP/1 peer can cost, with its default and the reason for it.

use core::time::Duration;

/// Limits on the size and the pace of requests; all connections of a shard share one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest request-target in bytes; beyond it 414. 8 KiB: RFC 9112 §3 recommends at least 8000 for the whole line.
    pub target_bytes_max: usize,
    /// Largest head in bytes, from the method to the empty line inclusive; beyond it 431. 32 KiB: nginx's `4 × 8 KiB`.
    pub header_bytes_max: usize,
    /// Most field lines of one request; beyond it 431. 100: the limit of hyper and Cowboy.
    pub header_count_max: usize,
    /// Longest field name in bytes, also of a trailer field; beyond it 431. 256: four times Cowboy's limit, and far
    /// above every name in use.
    pub header_name_bytes_max: usize,
    /// Most bytes of chunk extensions in one body, including blanks and semicolons; beyond it 400. 4 KiB: extensions
    /// are unused, and without a limit one byte of content could cost any number of bytes on the wire (CVE-2023-39326).
    pub chunk_extension_bytes_max: usize,
    /// Largest trailer section in bytes, including line ends; beyond it 431. 16 KiB: hyper's limit.
    pub trailer_bytes_max: usize,
    /// Most trailer fields; beyond it 431. 64.
    pub trailer_count_max: usize,
    /// Most bytes of unread content that are discarded to keep a connection. 256 KiB: beyond it a new connection is
    /// cheaper than the rest of the upload; Go has the same limit.
    pub drain_bytes_max: u64,
    /// Maximum time to discard unread content. 5 s: nginx's idle time of a lingering close.
    pub drain_timeout: Duration,
    /// Time from accepting a connection to the first byte of its first request. 10 s: a client connects because it has
    /// a request.
    pub first_byte_timeout: Duration,
    /// Time from the first byte of a head to its last; then 408. 10 s: h2o's.
    pub header_timeout: Duration,
    /// Time from the end of one exchange to the first byte of the next request. 75 s: nginx's `keepalive_timeout`.
    pub idle_timeout: Duration,
    /// Longest pause of the peer while its content is awaited; then 408. 30 s: half of nginx's, balanced by the minimum
    /// rate.
    pub body_gap_timeout: Duration,
    /// Lowest average rate of content in bytes per second, over the time it was awaited; below it the connection is
    /// aborted. 0 disables the rule. 240: Kestrel's; Apache's `mod_reqtimeout` has 500.
    pub body_bytes_per_second_min: u64,
    /// How long content must have been awaited before its rate is checked. 20 s: one slow start of a mobile link.
    pub body_rate_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            target_bytes_max: 8 * 1024,
            header_bytes_max: 32 * 1024,
            header_count_max: 100,
            header_name_bytes_max: 256,
            chunk_extension_bytes_max: 4 * 1024,
            trailer_bytes_max: 16 * 1024,
            trailer_count_max: 64,
            drain_bytes_max: 256 * 1024,
            drain_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_gap_timeout: Duration::from_secs(30),
            body_bytes_per_second_min: 240,
            body_rate_grace: Duration::from_secs(20),
        }
    }
}
