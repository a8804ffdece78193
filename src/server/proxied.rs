//! A new connection behind a proxy: the PROXY protocol at its beginning names the client.
//!
//! Only trusted proxies are believed, and they must send it. The header of any other peer is its first request, which
//! is malformed.

use squall_shards::{PeerAddress, Stream, timeout_at};

use super::accepted::Accepted;
use super::shard::ShardServer;
use crate::app::Peer;
use crate::memory;
use crate::proxy_protocol::{ProxyHeader, parse_proxy_header};

/// Reads the header of a trusted proxy; `None` if it sends none in time, so that the connection closes.
pub(super) async fn accept(stream: Stream, server: &ShardServer) -> Option<Accepted> {
    let address = match stream.peer_address() {
        Ok(PeerAddress::Tcp(address)) => Some(address),
        Ok(PeerAddress::Unix) | Err(_) => None,
    };
    let peer = Peer {
        address,
        is_secure: false,
    };
    if !server.app.shared().trusts(&peer) {
        return Some(stream.into());
    }
    let deadline = server.shard.now() + server.config.own.handshake_timeout;
    let accepted = timeout_at(deadline, read_header(stream)).await.flatten();
    if accepted.is_none() {
        let peer = address.map(tracing::field::display);
        tracing::debug!(
            peer,
            "closed a connection of a proxy: it has no header of the PROXY protocol"
        );
    }
    accepted
}

/// Reads the header; `None` if the connection ends, breaks or begins with anything else.
async fn read_header(stream: Stream) -> Option<Accepted> {
    let mut received = Vec::new();
    loop {
        let bytes = stream.receive().await.ok()??;
        memory::append(&mut received, &bytes).ok()?;
        drop(bytes);
        match parse_proxy_header(&received).ok()? {
            ProxyHeader::Incomplete => {}
            ProxyHeader::Complete { bytes, client } => {
                received.drain(..bytes);
                return Some(Accepted {
                    stream,
                    received,
                    client,
                });
            }
        }
    }
}
