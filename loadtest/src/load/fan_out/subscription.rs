//! A subscriber before the load: a WebSocket or an event stream, by the scheme of its URL.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;

use super::notice::NOTICE_BYTES_MAX;
use super::reader::Reader;
use crate::load::event_stream::socket::EventSocket;
use crate::load::plan::{FanOut, Plan};
use crate::load::socket::SocketOptions;
use crate::load::target::Scheme;
use crate::load::websocket::socket::WebSocket;

/// An open subscription.
#[derive(Debug)]
pub(super) enum Subscription {
    WebSocket(WebSocket),
    Events(EventSocket),
}

impl Subscription {
    /// Subscribes at the plan's target as connection number `index` of a run.
    ///
    /// # Errors
    ///
    /// The connection fails, or the response is not the one that opens a subscription.
    pub(super) fn open(index: usize, address: SocketAddr, plan: &Plan, fan_out: &FanOut) -> Result<Self> {
        let options = socket_options(plan, fan_out);
        Ok(match plan.target.scheme {
            Scheme::WebSocket => Self::WebSocket(WebSocket::open(index, address, &plan.target, &options)?),
            Scheme::Http => Self::Events(EventSocket::open(index, address, &plan.target, &options)?),
        })
    }

    /// Returns the next message, or `None` after `timeout`.
    ///
    /// # Errors
    ///
    /// The server ended the subscription or violated the protocol.
    pub(super) fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        match self {
            Self::WebSocket(socket) => socket.receive(timeout),
            Self::Events(socket) => socket.receive(timeout),
        }
    }

    /// Returns the connection, now non-blocking, and its reader.
    pub(super) fn into_parts(self) -> Result<(TcpStream, Reader)> {
        Ok(match self {
            Self::WebSocket(socket) => {
                let (stream, reader) = socket.into_parts()?;
                (stream, Reader::WebSocket(reader))
            }
            Self::Events(socket) => {
                let (stream, reader) = socket.into_parts()?;
                (stream, Reader::Events(reader))
            }
        })
    }
}

/// Returns the options of the connections of a run, the publisher's included.
pub(super) fn socket_options<'run>(plan: &'run Plan, fan_out: &FanOut) -> SocketOptions<'run> {
    SocketOptions {
        headers: &plan.request.headers,
        message_bytes_max: fan_out.message_bytes.max(NOTICE_BYTES_MAX),
        timeout: plan.timeout,
    }
}
