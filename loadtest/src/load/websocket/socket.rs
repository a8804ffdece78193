//! A blocking WebSocket client, which answers pings.

use std::collections::VecDeque;

use anyhow::{Result, bail};

use super::frame::{Opcode, write_masked};
use super::handshake::Handshake;
use super::message::{Message, MessageReader};
use crate::load::socket::{Protocol, Socket, SocketOptions};
use crate::load::target::Target;

/// An open WebSocket.
pub(crate) type WebSocket = Socket<MessageReader>;

impl Protocol for MessageReader {
    type Opening = Handshake;

    const CLOSED_EARLY: &'static str = "the server closed the connection during the handshake";

    const CLOSED: &'static str = "the server closed the connection without a close frame";

    fn request(target: &Target, options: &SocketOptions<'_>) -> (Handshake, Vec<u8>) {
        let handshake = Handshake::new(options.headers);
        let request = handshake.request(&target.authority, &target.path, options.headers);
        (handshake, request)
    }

    fn open(
        handshake: &mut Handshake,
        received: &[u8],
        options: &SocketOptions<'_>,
    ) -> Result<Option<(Self, Vec<u8>)>> {
        let surplus = handshake.receive(received)?;
        let reader = || Self::new(options.message_bytes_max).inflating(handshake.is_deflated());
        Ok(surplus.map(|surplus| (reader(), surplus)))
    }

    fn take(&mut self, received: &[u8], messages: &mut VecDeque<Vec<u8>>) -> Result<Vec<u8>> {
        let mut pongs = Vec::new();
        self.receive(received, |message| {
            match message {
                Message::Data { is_text: true, .. } => {
                    bail!("the server sent a text message; this run sends only binary ones")
                }
                Message::Data { payload, .. } => messages.push_back(payload.to_vec()),
                Message::Ping(payload) => write_masked(Opcode::Pong, payload, [0; 4], &mut pongs),
                Message::Pong => {}
                Message::Close(Some(code)) => bail!("the server closed the WebSocket with code {code}"),
                Message::Close(None) => bail!("the server closed the WebSocket"),
            }
            Ok(())
        })?;
        Ok(pongs)
    }
}
