//! The clients that check answers; they share no codec with any server under test.

pub(crate) mod chunked;
pub(crate) mod http1;
