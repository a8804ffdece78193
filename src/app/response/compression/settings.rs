//! The settings of compression.

use crate::app::response::accept_encoding::ContentCoding;
use crate::settings::settings;

settings! {
    /// Middleware that compresses responses with the coding that the client prefers.
    ///
    /// gzip is always there. The feature `compression` adds zstd and br. Of codings that the client likes equally, the
    /// first of zstd, br and gzip is sent.
    ///
    /// ```
    /// use squall::middleware::Compression;
    /// use squall::prelude::*;
    ///
    /// let application = Application::new()
    ///     .middleware(Compression::new().min_bytes(512))
    ///     .get("/", async |_: &mut Context| Html("<h1>Hello</h1>"));
    /// ```
    ///
    /// A response is compressed unless
    ///
    /// - it is smaller than [`min_bytes`](Self::min_bytes), and was neither flushed nor a stream;
    /// - its media type is compressed already, unknown (`application/octet-stream`) or `text/event-stream`;
    /// - it is partial (206), has no content, or has a `Content-Encoding` already;
    /// - it has `Cache-Control: no-transform`, or its handler called
    ///   [`skip_compression`](crate::Context::skip_compression);
    /// - the shard's compressors would take more than
    ///   [`max_compressor_bytes`](crate::Application::max_compressor_bytes).
    ///
    /// Streams and flushed content are compressed flush by flush. `Vary` gets `Accept-Encoding`, a strong `ETag` becomes
    /// weak, and `Content-Length` is that of the compressed content. HEAD gets the fields of GET.
    ///
    /// **Secrets.** The length of compressed content tells whether a secret in it equals text beside it that an attacker
    /// chooses (BREACH). Leave pages out that have both, such as a token of a form beside a search term.
    #[derive(Debug, Clone)]
    pub struct Compression {
        /// Fewest bytes of whole content that are compressed: 1024, Tornado's.
        ///
        /// Less content fits one packet anyway.
        min_bytes: usize = 1024,
        /// Level of gzip, from 1 (fast) to 9 (small): 2.
        ///
        /// A page of 16 KiB becomes 3354 bytes in 25 µs at level 1. It becomes 2407 in 44 µs at 2, and 2290 in 83 µs at
        /// 6. Stock zlib makes 2567 bytes at level 1.
        gzip_level: u32 = 2,
        /// Level of br, from 0 (fast) to 6 (small): 2. It has an effect with the feature `compression`.
        ///
        /// The page becomes 3159 bytes in 72 µs at level 0, 2301 in 137 µs at 2, and 2139 in 950 µs at 6.
        brotli_level: u32 = 2,
        /// Level of zstd, from 1 (fast) to 6 (small): 3. It has an effect with the feature `compression`.
        ///
        /// The page becomes 2326 bytes in 30 µs at level 1, 2245 in 33 µs at 3, and 2185 in 114 µs at 6.
        zstd_level: u32 = 3,
    }
}

impl Compression {
    /// Makes the middleware with its defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The level of a coding.
    pub(super) fn level(&self, coding: ContentCoding) -> u32 {
        match coding {
            ContentCoding::Gzip => self.gzip_level,
            ContentCoding::Brotli => self.brotli_level,
            ContentCoding::Zstd => self.zstd_level,
        }
    }
}
