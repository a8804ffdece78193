//! Every number that bounds what one HTTP/1 peer can cost, with its default and the reason for it.

use core::time::Duration;

/// Bounds on the size and the pace of requests. One value serves every connection of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest request-target in bytes; beyond it 414. 8 KiB: RFC 9112 §3 recommends at least 8000 for the whole line.
    pub target_bytes_max: usize,
    /// Largest head in bytes, from the method to the empty line inclusive; beyond it 431. 32 KiB: nginx's `4 × 8 KiB`.
    pub header_bytes_max: usize,
    /// Most field lines of one request; beyond it 431. 100: what hyper and Cowboy allow.
    pub header_count_max: usize,
    /// Longest field name in bytes, also of a trailer field; beyond it 431. 256: four times Cowboy's, and no name in
    /// use is near it.
    pub header_name_bytes_max: usize,
    /// Chunk extensions of one body in bytes, blanks and semicolons included; beyond it 400. 4 KiB: nobody uses them,
    /// and without a bound they make one byte of content cost any number on the wire (CVE-2023-39326).
    pub chunk_extension_bytes_max: usize,
    /// Largest trailer section in bytes, line ends included; beyond it 431. 16 KiB: hyper's.
    pub trailer_bytes_max: usize,
    /// Most trailer fields; beyond it 431. 64.
    pub trailer_count_max: usize,
    /// How many bytes of unwanted content are read and thrown away to keep a connection. 256 KiB: beyond that a new
    /// connection is cheaper than the rest of the upload, which is where Go draws the line too.
    pub drain_bytes_max: u64,
    /// How long throwing away unwanted content may take. 5 s: nginx's idle time of a lingering close.
    pub drain_timeout: Duration,
    /// From accepting a connection to the first byte of its first request. 10 s: a client connects because it has
    /// something to say.
    pub first_byte_timeout: Duration,
    /// From the first byte of a head to its last, however steadily it trickles; then 408. 10 s: h2o's.
    pub header_timeout: Duration,
    /// From the end of one exchange to the first byte of the next request. 75 s: nginx's `keepalive_timeout`.
    pub idle_timeout: Duration,
    /// How long the peer may pause while its content is awaited; then 408. 30 s: half of nginx's, made up for by the
    /// minimum rate.
    pub body_gap_timeout: Duration,
    /// Bytes per second, averaged over the time its content was awaited, below which a peer is cut; 0 turns the rule
    /// off. 240: Apache's `mod_reqtimeout` asks for 500, Kestrel for 240.
    pub body_bytes_per_second_min: u64,
    /// How long content must have been awaited before its rate is judged. 20 s: one slow start of a mobile link.
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
