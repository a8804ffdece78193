//! Squall: request handlers on their own HTTP server, one io_uring shard per core.

mod error;
pub mod message;

pub use error::{Error, HttpError, IntoStatus, Result, ResultExt};
