//! Squall: request handlers on their own HTTP server, one io_uring shard per core.

pub mod http1;
pub mod message;
