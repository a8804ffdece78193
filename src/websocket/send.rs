//! The sending half of a [`Connection`]: whole messages, each in one frame, and control frames.
//!
//! Invariant: a call that fails has written nothing, what has been written is a sequence of whole frames, and nothing
//! comes after a close frame.

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

/// The longest control frame: its header and mask, and its payload.
const CONTROL_FRAME_BYTES_MAX: usize = 2 + 4 + CONTROL_BYTES_MAX;

impl Connection {
    /// Writes a message, compressed if that was negotiated and makes it smaller. What is owed goes before it: an answer to what came after
    /// a ping does not overtake the pong.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if either end has begun to close, [`SendError::OutOfMemory`] if there is no memory for the message.
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
        // Before anything is compressed: what has gone into a context must be sent.
        memory::make_room_to_answer(out, HEADER_BYTES_MAX + payload.len())?;
        let Some((deflate, window)) = self.deflate.as_mut().and_then(|deflate| match deflate.encoding {
            Encoding::Deflated {
                window,
                compress_bytes_min,
            } if payload.len() >= compress_bytes_min => Some((deflate, window)),
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

    /// Says what encoding of a frame made for many, by [`encode`](super::encode), this peer may be sent now. The caller
    /// is to write that frame next: later messages will refer to none before it.
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

    /// Writes a ping with up to 125 bytes of payload. Keep-alive pings need not be asked for.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`], [`SendError::Closed`] if either end has begun to close, or [`SendError::OutOfMemory`].
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_open()?;
        if payload.len() > CONTROL_BYTES_MAX {
            return Err(SendError::ControlTooLong);
        }
        memory::make_room_to_answer(out, CONTROL_FRAME_BYTES_MAX)?;
        self.write_frame(Opcode::Ping, false, payload, out);
        Ok(())
    }

    /// Begins to close: writes a close frame with a code and a reason of up to 123 bytes, `reason` empty for none. The
    /// peer has [`Limits::close_timeout`](super::Limits::close_timeout) to answer it.
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

    /// Whether [`send_pending_control`](Self::send_pending_control) has anything to write.
    #[must_use]
    pub fn has_pending_control(&self) -> bool {
        !self.pending_control.is_empty()
    }

    /// Writes what the protocol owes the peer: pongs, a keep-alive ping, and a close frame that answers the peer's or
    /// tells what it did wrong. To be called only when the peer takes what it is sent, lest a peer that pings and never
    /// reads fill the buffer; until then what is owed is bounded here. Where there is no memory to write it behind what is in `out`, all
    /// of it stays owed, to be written alone.
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
