//! The opening of a connection: TCP to the host, or to a proxy that opens a tunnel to it (RFC 9110 §9.3.6); then TLS.

use std::io;
use std::time::Instant;

use http::{HeaderValue, Method, header};
use squall_shards::timeout_at;

use super::address::{Endpoint, ProxyAddress};
use super::error::FetchFailure;
use crate::client::connect::{HTTP_1, connect};
use crate::client::tls::security::Security;
use crate::http1::{ResponseError, ResponseReader, write_head};
use crate::message::Headers;
use crate::transport::input::Input;
use crate::transport::socket::Socket;

/// Opens a connection to an endpoint before a deadline; `None` if the deadline passes.
pub(super) async fn open(
    endpoint: &Endpoint,
    security: &Security,
    deadline: Instant,
) -> Result<Option<Socket>, FetchFailure> {
    match timeout_at(deadline, reach(endpoint, security, deadline)).await {
        Some(Err(FetchFailure::Connect(error))) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
        Some(opened) => opened.map(Some),
        None => Ok(None),
    }
}

async fn reach(endpoint: &Endpoint, security: &Security, deadline: Instant) -> Result<Socket, FetchFailure> {
    let tls = match endpoint.is_secure {
        true => Some(security.prepare(&endpoint.host, HTTP_1).await?),
        false => None,
    };
    let (host, port) = match &endpoint.tunnel {
        Some(proxy) => (&proxy.host, proxy.port),
        None => (&endpoint.host, endpoint.port),
    };
    let socket = connect(host, port, deadline).await.map_err(FetchFailure::Connect)?;
    if let Some(proxy) = &endpoint.tunnel {
        tunnel(&socket, endpoint, proxy).await?;
    }
    match tls {
        Some(tls) => Ok(tls.secure(socket).await?),
        None => Ok(socket),
    }
}

/// Asks a proxy for a tunnel.
async fn tunnel(socket: &Socket, endpoint: &Endpoint, proxy: &ProxyAddress) -> Result<(), FetchFailure> {
    let authority = endpoint.authority();
    let host = HeaderValue::from_str(&authority);
    let host = host.map_err(|_| FetchFailure::Url("the host has a byte that HTTP forbids".to_owned()))?;
    let mut fields = Headers::new();
    fields.set(header::HOST, host);
    if let Some(authorization) = &proxy.authorization {
        fields.set(header::PROXY_AUTHORIZATION, authorization.clone());
    }
    let mut request = socket.take_buffer();
    write_head(&Method::CONNECT, &authority, &fields, &mut request);
    socket.send(request).await.map_err(FetchFailure::Broken)?;
    let mut reader = ResponseReader::default();
    let mut input = Input::default();
    while let Some(received) = socket.receive().await.map_err(FetchFailure::Broken)? {
        input.push(received, socket)?;
        let mut rest = input.bytes();
        let presented = rest.len();
        let head = reader.receive(&mut rest)?;
        let consumed = presented - rest.len();
        input.consume(consumed, socket);
        input.set_aside(socket)?;
        match head {
            None => {}
            // The server speaks only when it is asked, so bytes behind the head are a fault.
            Some(head) if head.status.is_success() && input.is_empty() => return Ok(()),
            Some(head) => return Err(FetchFailure::Proxy(head.status)),
        }
    }
    Err(ResponseError::Truncated.into())
}
