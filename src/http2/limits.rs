//! Every limit on what one HTTP/2 peer can cost, with its default and the reason for it.

use core::time::Duration;

use crate::settings::{BytesFrom, PositiveCount, Switch, settings};

settings! {
    /// The limits that an operator sets for HTTP/2 alone; those of HTTP/1.1 that concern both have the same flags.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Settings, set by http2_setters through http2 {
        /// Most requests of an HTTP/2 connection at a time; further ones are refused with REFUSED_STREAM.
        ///
        /// 100: what RFC 9113 §6.5.2 recommends at least. It is also how many event streams a browser gets. A request
        /// counts until its handler has ended, even if the client has cancelled it (CVE-2023-44487).
        [PositiveCount] max_concurrent_streams: u32 = 100,
        /// Most bytes of content that an HTTP/2 connection may send ahead of its handlers.
        ///
        /// 8 MiB. A stream starts with 64 KiB and a connection with 1 MiB; both grow while handlers keep up. So 1 MiB is the
        /// least.
        [BytesFrom<{ 1 << 20 }>] max_receive_window: usize = 8 * 1024 * 1024,
        /// Lets clients open WebSockets over HTTP/2 (RFC 8441), many of them on one connection.
        ///
        /// Off by default: a browser then opens a connection of HTTP/1.1 for each. It has no effect on an application
        /// without WebSockets.
        [Switch] http2_websockets: bool = false,
    }
}

/// Limits on the size and the pace of a connection; all connections of a shard share one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a head: decoded names and values, and 32 for each field; more are answered 431.
    ///
    /// Above four times as many the connection ends. 32 KiB, as in HTTP/1.1. It is announced as
    /// SETTINGS_MAX_HEADER_LIST_SIZE.
    pub max_header_bytes: usize,
    /// Most fields of a head; more are answered 431. 100, as in HTTP/1.1.
    ///
    /// Crumbs of `cookie` and repeated fields count (CVE-2026-49975).
    pub max_header_count: usize,
    /// Most bytes in a field name; more are answered 431. 256, as in HTTP/1.1.
    pub max_header_name_bytes: usize,
    /// Most bytes in `:path`; more are answered 414. 8 KiB, as in HTTP/1.1.
    pub max_target_bytes: usize,
    /// Most bytes of trailers, counted as a head's; more are answered 431. 16 KiB, as in HTTP/1.1.
    pub max_trailer_bytes: usize,
    /// Most trailer fields; more are answered 431. 64, as in HTTP/1.1.
    pub max_trailer_count: usize,
    /// Longest time for the preface with the first SETTINGS, and for a header block with its continuations.
    ///
    /// 10 s, as for a head in HTTP/1.1.
    pub header_timeout: Duration,
    /// Longest time without a stream; then the connection ends with GOAWAY(NO_ERROR). 75 s, as in HTTP/1.1.
    pub idle_timeout: Duration,
    /// Longest pause in content that a handler reads. 30 s, as in HTTP/1.1.
    pub body_timeout: Duration,
    /// Fewest bytes per second of content that a handler reads. 240, as in HTTP/1.1.
    pub min_body_rate: u64,
    /// Time to read content before the minimum rate applies. 20 s, as in HTTP/1.1.
    pub body_rate_grace: Duration,
    /// [`Settings::max_concurrent_streams`].
    pub max_concurrent_streams: u32,
    /// [`Settings::max_receive_window`].
    pub max_receive_window: usize,
    /// Whether an extended CONNECT for a WebSocket is accepted; SETTINGS_ENABLE_CONNECT_PROTOCOL says so.
    ///
    /// Such a stream is a tunnel: it has no pace, and its small frames count against its window alone.
    pub accepts_websockets: bool,
    /// Most bytes of an encoded header block over all its frames; more end the connection.
    ///
    /// 64 KiB: twice the largest head that is accepted, so that its 431 can still be sent (CVE-2024-27316).
    pub max_block_bytes: usize,
    /// Most CONTINUATION frames of a block; more end the connection. 8: two frames of 16 KiB hold every accepted head.
    pub max_continuations: u32,
    /// Resets that the peer may cause at once, by its own or by ours; more end the connection.
    ///
    /// 100: as many as it has streams. Lower budgets hit clients that cancel pages (h2#856).
    pub max_resets: u32,
    /// Resets that are forgiven each second: 10.
    pub resets_per_second: u32,
    /// Frames without use that the peer may send at once; more end the connection.
    ///
    /// The default is 200. PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, frames of unknown types and frames for
    /// closed streams count (CVE-2019-9512 to -9518).
    pub max_control_frames: u32,
    /// Such frames that are forgiven each second.
    ///
    /// The default is 20. Each 16 KiB of received content forgives one, and of sent content four: a client answers a
    /// DATA frame with up to two updates. Each request forgives two: some clients send an update with it.
    pub control_frames_per_second: u32,
    /// DATA frames below 256 bytes that the peer may send ahead of its handlers; more end the connection. 100.
    ///
    /// The last frame of a request is not counted. All are forgiven when a handler has taken all content.
    pub max_small_data_frames: u32,
    /// Most unsent bytes of output before reading stops: 64 KiB, so that acknowledgements cannot pile up.
    pub max_queued_bytes: usize,
    /// Bytes that the peer must admit in each [`progress_timeout`](Self::progress_timeout) of a stream that waits for
    /// its window; otherwise the stream is reset. 1 KiB.
    pub min_progress_bytes: u64,
    /// 10 s: how often the progress of a stream is checked.
    pub progress_timeout: Duration,
    /// Longest time in which no stream moves although content waits; then the connection ends. 60 s.
    pub stall_timeout: Duration,
    /// Longest time for the acknowledgement of settings. 10 s.
    pub settings_timeout: Duration,
    /// Time between the first GOAWAY of a graceful stop and the one that names the last stream. 1 s.
    ///
    /// Requests that crossed the first one are still answered.
    pub crossing_time: Duration,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        Self {
            max_header_bytes: 32 * 1024,
            max_header_count: 100,
            max_header_name_bytes: 256,
            max_target_bytes: 8 * 1024,
            max_trailer_bytes: 16 * 1024,
            max_trailer_count: 64,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            min_body_rate: 240,
            body_rate_grace: Duration::from_secs(20),
            max_concurrent_streams: settings.max_concurrent_streams,
            max_receive_window: settings.max_receive_window,
            accepts_websockets: settings.http2_websockets,
            max_block_bytes: 64 * 1024,
            max_continuations: 8,
            max_resets: 100,
            resets_per_second: 10,
            max_control_frames: 200,
            control_frames_per_second: 20,
            max_small_data_frames: 100,
            max_queued_bytes: 64 * 1024,
            min_progress_bytes: 1024,
            progress_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
            settings_timeout: Duration::from_secs(10),
            crossing_time: Duration::from_secs(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(&Settings::default())
    }
}
