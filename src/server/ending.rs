//! How a connection ends.

use std::io;

use crate::memory::OutOfMemory;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Between requests of HTTP/1: close as soon as the peer has acknowledged all that was sent.
    Idle,
    /// Flush, half-close, and read until the peer has closed its half.
    Close,
    /// After a 101: the exchange holds what takes the connection over.
    Upgrade,
    /// The first line is that of HTTP/2's preface; the input holds it.
    Http2,
    /// In the middle of a response, because the peer is too slow, or because memory is short: close without the rest.
    Abort,
    /// The peer has reset the connection, or counts as gone: what is sent no longer arrives.
    PeerGone,
}

/// The result of a step that may end the connection.
pub(super) type Flow<T = ()> = Result<T, Ending>;

impl From<OutOfMemory> for Ending {
    /// Input or output that finds no memory cannot be answered either.
    fn from(_: OutOfMemory) -> Self {
        tracing::warn!("aborted a connection: out of memory");
        Self::Abort
    }
}

/// Maps a failed receive or send to the ending it means.
pub(super) fn peer_gone(error: io::Error) -> Ending {
    match error.kind() {
        // The peer has violated TLS; the alert that says so leaves before the close.
        io::ErrorKind::InvalidData => Ending::Close,
        _ => Ending::PeerGone,
    }
}
