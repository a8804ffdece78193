//! The header of a frame (RFC 6455 §5.2): tungstenite parses it, and this file checks it.
//!
//! Invariant: a [`Header`] from [`Header::parse`] obeys every rule that concerns one header alone.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::error::ProtocolError;

/// Longest payload of a control frame in bytes (RFC 6455 §5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// Longest header in bytes: 2, an extended length of 8, and a mask of 4.
pub(super) const HEADER_BYTES_MAX: usize = 2 + 8 + 4;

/// The meaning of a frame (RFC 6455 §11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// The header of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) is_final: bool,
    /// RSV1: the first frame of a compressed message (RFC 7692 §6).
    pub(super) is_compressed: bool,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) payload_bytes: u64,
}

/// What this connection requires of received headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Clients mask, servers do not (RFC 6455 §5.1).
    pub(super) is_masked: bool,
    /// Whether permessage-deflate was negotiated.
    pub(super) may_compress: bool,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl Header {
    /// Reads the header at the front of `input`, with its length in bytes; `None` if it is incomplete.
    pub(super) fn parse(input: &[u8], rules: Rules) -> Result<Option<(Self, usize)>, ProtocolError> {
        let mut cursor = Cursor::new(input);
        // From a slice, the only error is an unknown opcode.
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| ProtocolError::ReservedOpcode)?;
        let Some((coded, payload_bytes)) = parsed else {
            return Ok(None);
        };
        let header_bytes = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let header = Self {
            opcode: decode_opcode(coded.opcode)?,
            is_final: coded.is_final,
            is_compressed: coded.rsv1,
            mask: coded.mask,
            payload_bytes,
        };
        if coded.rsv2 || coded.rsv3 {
            return Err(ProtocolError::ReservedBit);
        }
        // A second way to write a length would let two readers disagree (RFC 6455 §5.2).
        if header_bytes != coded.len(payload_bytes) || payload_bytes >> 63 != 0 {
            return Err(ProtocolError::PayloadLength);
        }
        header.check(rules)?;
        Ok(Some((header, header_bytes)))
    }

    /// Length of the header in bytes.
    pub(super) fn header_bytes(self) -> usize {
        self.coded().len(self.payload_bytes)
    }

    /// Appends the header.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let written = self.coded().format(self.payload_bytes, out);
        debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
    }

    fn coded(self) -> FrameHeader {
        FrameHeader {
            is_final: self.is_final,
            rsv1: self.is_compressed,
            rsv2: false,
            rsv3: false,
            opcode: encode_opcode(self.opcode),
            mask: self.mask,
        }
    }

    fn check(self, rules: Rules) -> Result<(), ProtocolError> {
        let is_first = matches!(self.opcode, Opcode::Text | Opcode::Binary);
        if self.is_compressed && !(rules.may_compress && is_first) {
            return Err(ProtocolError::ReservedBit);
        }
        match (self.mask, rules.is_masked) {
            (None, true) => return Err(ProtocolError::MaskMissing),
            (Some(_), false) => return Err(ProtocolError::MaskForbidden),
            _ => {}
        }
        if self.opcode.is_control() {
            if !self.is_final {
                return Err(ProtocolError::ControlFragmented);
            }
            if self.payload_bytes > CONTROL_BYTES_MAX as u64 {
                return Err(ProtocolError::ControlTooLong);
            }
        }
        Ok(())
    }
}

fn decode_opcode(opcode: OpCode) -> Result<Opcode, ProtocolError> {
    match opcode {
        OpCode::Data(Data::Continue) => Ok(Opcode::Continuation),
        OpCode::Data(Data::Text) => Ok(Opcode::Text),
        OpCode::Data(Data::Binary) => Ok(Opcode::Binary),
        OpCode::Control(Control::Close) => Ok(Opcode::Close),
        OpCode::Control(Control::Ping) => Ok(Opcode::Ping),
        OpCode::Control(Control::Pong) => Ok(Opcode::Pong),
        OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => Err(ProtocolError::ReservedOpcode),
    }
}

fn encode_opcode(opcode: Opcode) -> OpCode {
    match opcode {
        Opcode::Continuation => OpCode::Data(Data::Continue),
        Opcode::Text => OpCode::Data(Data::Text),
        Opcode::Binary => OpCode::Data(Data::Binary),
        Opcode::Close => OpCode::Control(Control::Close),
        Opcode::Ping => OpCode::Control(Control::Ping),
        Opcode::Pong => OpCode::Control(Control::Pong),
    }
}
