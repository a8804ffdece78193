//! The bounds on what an application reads out of one request, each with its default and its reason.

use crate::settings::{Bytes, BytesFrom, Count, PositiveCount, settings};

settings! {
    /// The bounds on what handlers read out of a request; one value serves every request of a shard.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Limits, set by application_setters through limits {
        /// Most bytes of content in a request; more are answered 413.
        ///
        /// The default is 1 MiB, as in nginx; Tornado's is 100 MiB. A handler raises it with
        /// [`set_body_limit`](crate::Context::set_body_limit).
        [Bytes] max_body_bytes: u64 = 1024 * 1024,
        /// Most parameters in a query, and in a form; more are answered 400.
        ///
        /// Repeated ones count. The default is 1000. PHP and Django chose this number after the hash-collision attacks of
        /// 2011. Tornado sets no limit.
        [Count] max_parameters: usize = 1000,
        /// Most cookies in a request; with more, the answer is 431 once the handler reads one.
        ///
        /// The cookies of all fields count. The default is 100. RFC 6265 §6.1 asks browsers to store at least 50 for a
        /// domain.
        [Count] max_cookies: usize = 100,
        /// Most parts in a multipart form; more are answered 413.
        ///
        /// Empty parts and parts that the handler ignores count. The default is 100, as in Tornado.
        [Count] max_parts: usize = 100,
        /// Most bytes in the fields above a part of a multipart form; more are answered 400.
        ///
        /// The default is 10 KiB, as in Tornado: a name and a file name of 4 KiB each. At least 64: the field
        /// `Content-Disposition` with a short name.
        [BytesFrom<64>] max_part_head_bytes: usize = 10 * 1024,
        /// Most bytes in one value of a form, apart from files; more are answered 413.
        ///
        /// The default is 64 KiB: a long text of a person has less.
        [Bytes] max_field_bytes: usize = 64 * 1024,
        /// Most bytes of files that a collected multipart form holds in memory; more go to temporary files.
        ///
        /// All files of a form count. The default is 256 KiB: a few small documents, and one write of a large file.
        [Bytes] max_held_file_bytes: usize = 256 * 1024,
        /// Most bytes of decompressed content in a request; more are answered 413.
        ///
        /// It counts on routes that decompress. The default is 1 MiB, as for content without compression.
        [Bytes] max_inflated_bytes: u64 = 1024 * 1024,
        /// Most decompressed bytes for each compressed byte, from 16 MiB of content on; more are answered 413.
        ///
        /// It counts from 16 MiB of decompressed content on, so only for routes that raise `max_inflated_bytes`. The default
        /// is 1100: gzip reaches 1032 for the same byte over and over, br and zstd a thousand times that.
        [PositiveCount] max_inflation_ratio: u32 = 1100,
        /// Most bytes of memory that the compressors of a shard take; further responses are sent uncompressed.
        ///
        /// The default is 64 MiB, 170 streams compressed with gzip at once. One compressor takes 384 KiB for gzip, 1.3 MiB
        /// for br and 1.7 MiB for zstd at their default levels. A usual response needs it for less than a millisecond.
        [Bytes] max_compressor_bytes: usize = 64 * 1024 * 1024,
        /// Most addresses, users and other keys that the rate limits of a shard count; of more, unused ones begin anew.
        ///
        /// Of more, those that have used least are forgotten, and begin anew. The default is 65,536, which take 6 MiB.
        [PositiveCount] max_rate_limit_keys: usize = 65_536,
    }
}
