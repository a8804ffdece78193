//! A new connection of a TLS listener, from its first byte to the end of its handshake.
//!
//! One deadline holds for all of it, whatever trickles. The handshake runs in the connection's own task, never in the
//! accept loop, and within the time that its shard gives to handshakes.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use squall_shards::{GateGuard, Stop, Stream, sleep, sleep_until};

use super::hello::{Hello, HelloReader};
use super::policies::HTTP2;
use super::shard::ShardTls;
use crate::app::Peer;
use crate::memory;
use crate::server::accepted::Accepted;
use crate::server::http2;
use crate::server::http2::start::Switched;
use crate::server::serve::{serve, serve_as};
use crate::server::shard::{IN_FLIGHT_GRACE, ShardServer};
use crate::transport::socket::Socket;
use crate::transport::tls::handshake::{HandshakeError, end, handshake, receive};
use crate::transport::tls::session::Session;

/// The first byte of every handshake: the type of its record (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What a handshake allocates without a check, rounded up: 32 KiB. 4 KiB of that stay with the connection.
const HANDSHAKE_BYTES: usize = 32 * 1024;

/// The answer to a client that speaks HTTP without TLS, or anything else.
const PLAIN_RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 48\r\nConnection: close\r\n\r\n400: this port speaks TLS; use an https:// URL.\n";

/// The alert `unrecognized_name`, fatal (RFC 6066 §3), in a record without encryption.
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// Serves a connection of a TLS listener to its end.
pub(in crate::server) async fn accept(accepted: Accepted, server: Rc<ShardServer>, guard: GateGuard) {
    // A server without certificates has no TLS listener.
    let Some(tls) = &server.tls else { return };
    // Boxed, so that the state of a handshake stays out of every connection's memory.
    let client = accepted.client;
    let opened = Box::pin(within_patience(&server, open(accepted, tls))).await;
    match opened {
        Some(Ok(socket)) if socket.tls_info().is_some_and(|tls| tls.alpn() == Some(HTTP2)) => {
            let peer = client.map(|address| Peer {
                address: Some(address),
                is_secure: true,
            });
            http2::start::start(Switched::new(socket, peer, server, guard));
        }
        Some(Ok(socket)) if client.is_some() => {
            let peer = Peer {
                address: client,
                is_secure: true,
            };
            serve_as(peer, socket, server, guard).await;
        }
        Some(Ok(socket)) => serve(socket, server, guard).await,
        Some(Err(HandshakeError::Session(error))) => tracing::debug!(%error, "a TLS handshake failed"),
        Some(Err(HandshakeError::Broken(error))) => tracing::debug!(%error, "a TLS handshake broke off"),
        Some(Err(HandshakeError::Ended)) => {}
        None => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Completes a handshake with the policy for the name that the client asks for.
///
/// The socket is boxed here: by value it would keep its place in every connection's memory.
async fn open(accepted: Accepted, tls: &ShardTls) -> Result<Socket, HandshakeError> {
    let Accepted {
        stream, mut received, ..
    } = accepted;
    if received.is_empty() {
        receive(&stream, &mut received).await?;
    }
    if received.first() != Some(&HANDSHAKE_RECORD) {
        end(&stream, PLAIN_RESPONSE.to_vec()).await;
        return Err(HandshakeError::Ended);
    }
    memory::reserve(HANDSHAKE_BYTES).map_err(|error| HandshakeError::Broken(error.into()))?;
    let policies = tls.policies();
    let name = read_name(&stream, &mut received).await?;
    let Some(config) = policies.choose(name.as_deref()) else {
        end(&stream, UNRECOGNIZED_NAME.to_vec()).await;
        return Err(HandshakeError::Ended);
    };
    let session = Session::server(config, name).map_err(HandshakeError::Session)?;
    let socket = handshake(stream, session, received, async || tls.meter.enter().await).await?;
    Ok(Socket::from(socket))
}

/// Receives the client's hello, and returns the name in it.
async fn read_name(stream: &Stream, received: &mut Vec<u8>) -> Result<Option<String>, HandshakeError> {
    let mut reader = HelloReader::new();
    let mut read = 0;
    loop {
        let new = received.get(read..).unwrap_or_default();
        read += new.len();
        if let Hello::Named(name) = reader.receive(new) {
            return Ok(name);
        }
        receive(stream, received).await?;
    }
}

/// Waits for a handshake until the deadline, and no longer than an idle connection after a stop has begun.
async fn within_patience<T>(server: &ShardServer, handshake: impl Future<Output = T>) -> Option<T> {
    let deadline = server.shard.now() + server.config.own.handshake_timeout;
    let mut handshake = pin!(handshake);
    let mut deadline = pin!(sleep_until(deadline));
    let mut stopped = pin!(async {
        server.shard.stopping(Stop::Graceful).await;
        sleep(IN_FLIGHT_GRACE).await;
    });
    poll_fn(|cx| {
        if let Poll::Ready(opened) = handshake.as_mut().poll(cx) {
            return Poll::Ready(Some(opened));
        }
        let is_over = deadline.as_mut().poll(cx).is_ready() || stopped.as_mut().poll(cx).is_ready();
        if is_over { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}
