//! Every limit on what one HTTP/1 peer can cost, with its default and the reason for it.

use core::time::Duration;

use crate::settings::{Bytes, BytesFrom, Count, PositiveBytes, PositiveCount, PositiveTime, Time, settings};

settings! {
    /// Limits on the size and the pace of requests; all connections of a shard share one value.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Limits, set by http1_setters through http1 {
        /// Most bytes in a request head; more are answered 431.
        ///
        /// Counted from the method to the empty line inclusive. 32 KiB: nginx's `4 × 8 KiB`. At least 256: the shortest head
        /// of HTTP/2 counts 170, without any field of its own.
        [BytesFrom<256>] max_header_bytes: usize = 32 * 1024,
        /// Most field lines in a request head; more are answered 431.
        ///
        /// 100: the limit of hyper and Cowboy.
        [PositiveCount] max_header_count: usize = 100,
        /// Most bytes in a field name; more are answered 431.
        ///
        /// It applies to trailer fields too. 256: four times Cowboy's limit, and far above every name in use. At least 4,
        /// because every request of HTTP/1.1 has the field `Host`.
        [BytesFrom<4>] max_header_name_bytes: usize = 256,
        /// Most bytes in a request-target; more are answered 414.
        ///
        /// 8 KiB: RFC 9112 §3 recommends at least 8000 for the whole line.
        [PositiveBytes] max_target_bytes: usize = 8 * 1024,
        /// Most bytes of chunk extensions in a request; more are answered 400.
        ///
        /// Blanks and semicolons count. 4 KiB: extensions are unused, and without a limit one byte of content could
        /// cost any number of bytes on the wire (CVE-2023-39326).
        [Bytes] max_chunk_extension_bytes: usize = 4 * 1024,
        /// Most bytes in a trailer section; more are answered 431.
        ///
        /// Line ends count. 16 KiB: hyper's limit. At least 2, the line end of a section without fields.
        [BytesFrom<2>] max_trailer_bytes: usize = 16 * 1024,
        /// Most trailer fields in a request; more are answered 431.
        ///
        /// The default is 64.
        [Count] max_trailer_count: usize = 64,
        /// Most bytes of unread content discarded to keep a connection open; beyond them the connection closes.
        ///
        /// 256 KiB: beyond it a new connection is cheaper than the rest of the upload; Go has the same limit.
        [Bytes] max_drain_bytes: u64 = 256 * 1024,
        /// Longest time to discard unread content; then the connection closes.
        ///
        /// 5 s: nginx's idle time of a lingering close.
        [Time] drain_timeout: Duration = Duration::from_secs(5),
        /// Longest time from the first byte of a request head to its last; then the answer is 408.
        ///
        /// 10 s: h2o's.
        [PositiveTime] header_timeout: Duration = Duration::from_secs(10),
        /// Longest time from accepting a connection to its first byte; then it closes; by default as --header-timeout.
        ///
        /// A client connects because it has a request.
        [PositiveTime] first_byte_timeout: Duration,
        /// Longest time from a response to the first byte of the next request; then the connection closes.
        ///
        /// 75 s: nginx's `keepalive_timeout`.
        [PositiveTime] idle_timeout: Duration = Duration::from_secs(75),
        /// Longest pause in content that a handler reads; then the answer is 408.
        ///
        /// 30 s: half of nginx's, balanced by the minimum rate.
        [PositiveTime] body_timeout: Duration = Duration::from_secs(30),
        /// Fewest bytes per second of content that a handler reads; below them the answer is 408, and 0 turns this off.
        ///
        /// It is the average over the time in which content was awaited. 240: Kestrel's; Apache's `mod_reqtimeout` has
        /// 500.
        [Bytes] min_body_rate: u64 = 240,
        /// Time to read content before --min-body-rate applies.
        ///
        /// 20 s: one slow start of a mobile link.
        [PositiveTime] body_rate_grace: Duration = Duration::from_secs(20),
    }
}
