//! The settings of an HTTP client: limits, timeouts, and what it does by itself.

use std::time::Duration;

use crate::http1;
use crate::settings::settings;

settings! {
    /// The limits and timeouts of an HTTP client.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct ClientSettings, set by client_setters through settings {
        /// Sets the longest time to get a connection.
        ///
        /// It covers the wait for a free place, the lookup of the name and the connection itself. The default is 5 s.
        connect_timeout: Duration = Duration::from_secs(5),
        /// Sets the longest time from the last byte of the request to the last byte of the response's head.
        ///
        /// Interim responses begin it anew. The default is 30 s.
        head_timeout: Duration = Duration::from_secs(30),
        /// Sets the longest pause in the content of a request or a response.
        ///
        /// A pause counts while the server takes or sends nothing, and the application waits for it. The default is 30 s.
        gap_timeout: Duration = Duration::from_secs(30),
        /// Sets how long a request with [`expect_continue`](crate::client::Request::expect_continue) waits for the server's
        /// consent, before it sends its content anyway.
        ///
        /// 1 s: curl's. Old servers give none.
        continue_timeout: Duration = Duration::from_secs(1),
        /// Sets the longest time of a whole fetch, redirects and the content of the response included.
        ///
        /// A request may set its own. By default a fetch may take any time.
        timeout: Duration,
        /// Sets how long an unused connection stays open.
        ///
        /// 30 s: less than the 60 s to 75 s of usual servers, so that the client closes first.
        idle_timeout: Duration = Duration::from_secs(30),
        /// Sets the most connections to one host on each shard; further fetches wait.
        ///
        /// The default is 64.
        max_connections_per_host: usize = 64,
        /// Sets the most connections of this client in the process; each shard may open an equal share, at least 1.
        ///
        /// The default is 1024.
        max_connections: usize = 1024,
        /// Sets the most fetches of a shard that wait for a connection; further ones fail at once.
        ///
        /// The default is 4096.
        max_waiting: usize = 4096,
        /// Sets the most redirects of one fetch; with 0 the client returns them as they are.
        ///
        /// 5: Tornado's.
        max_redirects: u32 = 5,
        /// Sets the most bytes of content that a call reads whole, after decompression.
        ///
        /// The default is 16 MiB. Content that is read in pieces has no such limit.
        max_body_bytes: u64 = 16 * 1024 * 1024,
        /// Sets the most bytes to which compressed content may grow, whole or in pieces.
        ///
        /// The default is 16 MiB: it stops a response of some KiB that grows to GiB.
        max_inflated_bytes: u64 = 16 * 1024 * 1024,
        /// Sets the most bytes in the head of a response, together with the interim ones before it.
        ///
        /// The default is 32 KiB, as for requests to a server.
        max_header_bytes: usize = 32 * 1024,
        /// Sets the most field lines in the head of a response.
        ///
        /// The default is 100, as for requests to a server.
        max_header_count: usize = 100,
        /// Sets whether the client asks for compressed content, and decompresses it.
        ///
        /// It does by default: gzip and deflate, and with the feature `compression` br and zstd.
        decompress: bool = true,
    }
}

impl ClientSettings {
    /// The limits of the machine of one connection.
    pub(super) fn machine_limits(&self) -> http1::Limits {
        http1::Limits::default()
            .max_header_bytes(self.max_header_bytes)
            .max_header_count(self.max_header_count)
    }
}
