//! The sending half of a [`Connection`]: messages of one frame each, and control frames.
//!
//! Invariant: a failed call has written nothing. The output is a sequence of whole frames and ends with the close
//! frame.

use std::time::Instant;

use super::close;
use super::connection::{Connection, Role};
use super::deflate::Deflaters;
use super::encoding::Encoding;
use super::error::SendError;
use super::frame::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Opcode};
use super::mask;
use super::message::Payload;
use super::negotiate::Deflate;
use crate::memory;
use crate::message::CloseCode;

/// Longest control frame in bytes: header, mask and payload.
const CONTROL_FRAME_BYTES_MAX: usize = 2 + 4 + CONTROL_BYTES_MAX;

impl Connection {
    /// Writes a message, compressed if negotiated and if that makes it smaller.
    ///
    /// Pending control frames go first, so that a reply cannot overtake the pong of an earlier ping.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if either end has begun to close, [`SendError::OutOfMemory`] if memory is short.
    pub fn send<'p>(
        &mut self,
        message: impl Into<Payload<'p>>,
        deflaters: &mut Deflaters,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        self.send_pending_control(out);
        if self.has_pending_control() {
            return Err(SendError::OutOfMemory);
        }
        let message = message.into();
        let (opcode, payload) = (message.opcode(), message.as_bytes());
        // Reserved before compression: bytes that entered a window must be sent.
        memory::make_room_to_answer(out, HEADER_BYTES_MAX + payload.len())?;
        let Some((deflate, window)) = self.deflate.as_mut().and_then(|deflate| match deflate.encoding {
            Encoding::Deflated {
                window,
                min_compressed_bytes,
            } if payload.len() >= min_compressed_bytes => Some((deflate, window)),
            _ => None,
        }) else {
            self.write_frame(opcode, false, payload, out);
            return Ok(());
        };
        match deflaters.compress(payload, window, deflate.sending()) {
            Some(compressed) => self.write_frame(opcode, true, compressed, out),
            None => self.write_frame(opcode, false, payload, out),
        }
        Ok(())
    }

    /// Returns the encoding in which this peer can read a shared frame of [`encode`](super::encode).
    ///
    /// Write that frame next: the connection forgets its window, so later messages refer to none before it.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if either end has begun to close, [`SendError::MaskRequired`] on a client's end.
    pub fn share(&mut self) -> Result<Encoding, SendError> {
        self.check_open()?;
        if !self.is_server() {
            return Err(SendError::MaskRequired);
        }
        let Some(deflate) = &mut self.deflate else {
            return Ok(Encoding::Plain);
        };
        if let Some(window) = Deflate::sending(deflate) {
            window.clear();
        }
        Ok(deflate.encoding)
    }

    /// Writes a ping with at most 125 bytes of payload; keep-alive pings are sent by themselves.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`], [`SendError::Closed`] if either end has begun to close, or
    /// [`SendError::OutOfMemory`].
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_open()?;
        if payload.len() > CONTROL_BYTES_MAX {
            return Err(SendError::ControlTooLong);
        }
        memory::make_room_to_answer(out, CONTROL_FRAME_BYTES_MAX)?;
        self.write_frame(Opcode::Ping, false, payload, out);
        Ok(())
    }

    /// Begins to close: writes a close frame with a code and a reason of at most 123 bytes.
    ///
    /// The peer must answer within [`Limits::close_timeout`](super::Limits::close_timeout).
    ///
    /// # Errors
    ///
    /// [`SendError::ReasonTooLong`], or [`SendError::Closed`] if either end has begun to close.
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_open()?;
        let payload = close::format(code, reason)?;
        self.pending_control.close(payload);
        self.send_pending_control(out);
        self.close_sent(now);
        Ok(())
    }

    /// Returns whether [`send_pending_control`](Self::send_pending_control) has frames to write.
    #[must_use]
    pub fn has_pending_control(&self) -> bool {
        !self.pending_control.is_empty()
    }

    /// Writes pending pongs, the keep-alive ping, and a close frame that answers the peer's or names its fault.
    ///
    /// Call it only when the socket accepts a send; otherwise a peer that pings and never reads would fill the buffer.
    /// If memory is short for a write behind other output, all frames stay pending and are written alone later.
    pub fn send_pending_control(&mut self, out: &mut Vec<u8>) {
        let bytes = self.pending_control.frames() * CONTROL_FRAME_BYTES_MAX;
        if !out.is_empty() && memory::make_room_to_answer(out, bytes).is_err() {
            return;
        }
        let (payloads, is_ping_pending) = self.pending_control.take();
        for payload in payloads.pongs {
            self.write_frame(Opcode::Pong, false, &payload, out);
        }
        if is_ping_pending {
            self.write_frame(Opcode::Ping, false, b"", out);
        }
        if let Some(payload) = payloads.close {
            self.write_frame(Opcode::Close, false, &payload, out);
        }
    }

    fn check_open(&self) -> Result<(), SendError> {
        if self.is_open { Ok(()) } else { Err(SendError::Closed) }
    }

    fn write_frame(&mut self, opcode: Opcode, is_compressed: bool, payload: &[u8], out: &mut Vec<u8>) {
        let mask = match &mut self.role {
            Role::Server => None,
            Role::Client(mask_keys) => Some(mask_keys()),
        };
        let header = Header {
            opcode,
            is_final: true,
            is_compressed,
            mask,
            payload_bytes: payload.len() as u64,
        };
        out.reserve(header.header_bytes() + payload.len());
        header.write(out);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = mask {
            mask::apply(out.get_mut(start..).unwrap_or_default(), key, 0);
        }
    }
}
