//! The handshake of a connection, on either end, until plaintext can flow.
//!
//! Received bytes are copied out of the shard's buffer first, because a server may make the handshake wait for its
//! turn. A failed handshake ends with the alert that says why, and gives the peer time to read it.
//!
//! The caller sets the deadline: dropping the future closes the connection.

use std::io;
use std::time::Duration;

use squall_shards::{Stream, clock, timeout_at};

use super::session::{Session, SessionError};
use super::socket::TlsSocket;
use crate::memory;

/// How long the peer of a failed handshake may take to read why. 1 s: alerts are short, and most peers close at once.
const LINGER: Duration = Duration::from_secs(1);

/// Why a handshake has failed.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The connection broke.
    Broken(io::Error),
    /// The peer has closed the connection before the end of the handshake.
    Ended,
    /// TLS has failed; the peer has been sent the alert.
    Session(SessionError),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Completes the handshake of a session over a stream, of which `received` has come already.
///
/// `enter` waits for the turn of each step; what it returns is dropped when the step is over. A step is computation: up
/// to a signature.
///
/// # Errors
///
/// The peer has left, or the session has failed.
///
/// # Cancel safety
///
/// Dropped early, the connection closes.
pub(crate) async fn handshake<G>(
    stream: Stream,
    mut session: Session,
    mut received: Vec<u8>,
    enter: impl AsyncFn() -> G,
) -> Result<TlsSocket, HandshakeError> {
    let mut plaintext = Vec::new();
    loop {
        let turn = enter().await;
        let mut output = stream.take_buffer();
        let processed = session.receive(&mut received, &mut plaintext, &mut output);
        drop(turn);
        if let Err(error) = processed {
            end(&stream, output).await;
            return Err(HandshakeError::Session(error));
        }
        if session.is_client() && !session.is_handshaking() {
            // A client speaks first: the end of its handshake joins its request.
            return Ok(TlsSocket::new(stream, session, plaintext, output));
        }
        if output.is_empty() {
            stream.return_buffer(output);
        } else {
            stream.send(output).await?;
        }
        if !session.is_handshaking() {
            return Ok(TlsSocket::new(stream, session, plaintext, Vec::new()));
        }
        received.clear();
        if session.peer_has_closed() {
            return Err(HandshakeError::Ended);
        }
        receive(&stream, &mut received).await?;
    }
}

/// Waits for bytes and appends them to a buffer of the caller.
///
/// # Errors
///
/// The connection broke or ended, or memory is short.
pub(crate) async fn receive(stream: &Stream, buffer: &mut Vec<u8>) -> Result<(), HandshakeError> {
    let Some(received) = stream.receive().await? else {
        return Err(HandshakeError::Ended);
    };
    let copied = memory::append(buffer, &received);
    copied.map_err(|error| HandshakeError::Broken(error.into()))
}

/// Sends last bytes, and waits a moment for the peer to close. A close with unread bytes would reset the connection,
/// and the peer could lose them.
pub(crate) async fn end(stream: &Stream, last: Vec<u8>) {
    let lingering = async {
        if !last.is_empty() {
            stream.send(last).await?;
        }
        stream.flush().await?;
        stream.shutdown_write()?;
        while stream.receive().await?.is_some() {}
        io::Result::Ok(())
    };
    // A peer that stays gets no more time.
    timeout_at(clock::after(LINGER), lingering)
        .await
        .unwrap_or(Ok(()))
        .unwrap_or_default();
}
