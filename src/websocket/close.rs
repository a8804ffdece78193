//! The payload of a close frame (RFC 6455 §5.5.1): a code, and a reason in UTF-8.

use super::error::{ProtocolError, SendError};
use super::frame::CONTROL_BYTES_MAX;
use crate::message::CloseCode;

/// Longest reason in bytes: a control frame's payload less the code.
const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// The payload of a close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code.
    pub code: CloseCode,
    /// The reason as text for debugging; usually empty.
    pub reason: String,
}

/// Reads the payload of a close frame; `None` if it is empty, which means 1005.
pub(super) fn parse(payload: &[u8]) -> Result<Option<CloseFrame>, ProtocolError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (number, reason) = payload.split_first_chunk().ok_or(ProtocolError::CloseTruncated)?;
    let code = CloseCode::new(u16::from_be_bytes(*number)).ok_or(ProtocolError::CloseCode)?;
    let reason = str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok(Some(CloseFrame {
        code,
        reason: reason.to_owned(),
    }))
}

/// Writes the payload of a close frame.
pub(super) fn format(code: CloseCode, reason: &str) -> Result<Vec<u8>, SendError> {
    if reason.len() > REASON_BYTES_MAX {
        return Err(SendError::ReasonTooLong);
    }
    Ok([&code.number().to_be_bytes(), reason.as_bytes()].concat())
}
