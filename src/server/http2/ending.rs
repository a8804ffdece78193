//! How a connection ends.

use std::io;

use crate::memory::OutOfMemory;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Flush, half-close, and read until the peer has closed its half.
    Close,
    /// The peer is too slow, or memory is short: close without sending the rest.
    Abort,
    /// The peer has reset the connection.
    PeerGone,
}

/// The result of a step that may end the connection.
pub(super) type Flow<T = ()> = Result<T, Ending>;

impl From<OutOfMemory> for Ending {
    fn from(_: OutOfMemory) -> Self {
        tracing::warn!("aborted a connection: out of memory");
        Self::Abort
    }
}

/// Maps a failed receive or send to the ending it means.
pub(super) fn peer_gone(_: io::Error) -> Ending {
    Ending::PeerGone
}
