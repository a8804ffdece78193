//! SETTINGS in both directions (RFC 9113 §6.5).

use super::error::{ConnectionError, ErrorCode};
use super::frame::{self, PAYLOAD_BYTES_MAX, kind};
use super::hpack::Encoder;
use super::limits::Limits;
use super::window::{WINDOW_INITIAL, WINDOW_MAX};

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
const NO_RFC7540_PRIORITIES: u16 = 0x9;

/// Largest frame size that a peer may name (RFC 9113 §6.5.2).
const FRAME_SIZE_MAX: u32 = (1 << 24) - 1;

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

/// The settings of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PeerSettings {
    pub(super) initial_window: i64,
    /// Most streams that this end may have open, as a client.
    pub(super) max_concurrent_streams: u32,
}

impl PeerSettings {
    /// The values before the peer's first SETTINGS.
    pub(super) const INITIAL: Self = Self {
        initial_window: WINDOW_INITIAL,
        max_concurrent_streams: u32::MAX,
    };

    /// Applies the payload of a SETTINGS frame of the peer of `role`, value by value.
    ///
    /// The encoder sees each size of the peer's table, because it announces the smallest (RFC 7541 §4.2). Frames are
    /// written in 16 KiB at most, so a larger SETTINGS_MAX_FRAME_SIZE has no effect.
    pub(super) fn apply(&mut self, payload: &[u8], role: Role, encoder: &mut Encoder) -> Result<(), ConnectionError> {
        let (entries, _) = payload.as_chunks::<6>();
        for &[a, b, c, d, e, f] in entries {
            let value = u32::from_be_bytes([c, d, e, f]);
            match u16::from_be_bytes([a, b]) {
                HEADER_TABLE_SIZE => encoder.set_peer_table_size(value as usize),
                ENABLE_PUSH if value > u32::from(role == Role::Server) => {
                    return Err(ConnectionError::protocol("SETTINGS_ENABLE_PUSH is invalid"));
                }
                MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = value,
                INITIAL_WINDOW_SIZE => {
                    self.initial_window = i64::from(value);
                    if self.initial_window > WINDOW_MAX {
                        let reason = "SETTINGS_INITIAL_WINDOW_SIZE is above the largest window";
                        return Err(ConnectionError::flow_control(reason));
                    }
                }
                MAX_FRAME_SIZE if (value as usize) < PAYLOAD_BYTES_MAX || value > FRAME_SIZE_MAX => {
                    return Err(ConnectionError::protocol("SETTINGS_MAX_FRAME_SIZE is out of range"));
                }
                ENABLE_CONNECT_PROTOCOL | NO_RFC7540_PRIORITIES if value > 1 => {
                    return Err(ConnectionError::new(
                        ErrorCode::PROTOCOL_ERROR,
                        "a setting is neither 0 nor 1",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes the SETTINGS of this end.
pub(super) fn put_own(role: Role, limits: &Limits, out: &mut Vec<u8>) {
    let header_bytes = u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX);
    let of_role = match role {
        Role::Server => (MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams),
        Role::Client => (ENABLE_PUSH, 0),
    };
    let own = [
        of_role,
        (MAX_HEADER_LIST_SIZE, header_bytes),
        (NO_RFC7540_PRIORITIES, 1),
        (ENABLE_CONNECT_PROTOCOL, 1),
    ];
    let accepts_websockets = role == Role::Server && limits.accepts_websockets;
    let count = if accepts_websockets { own.len() } else { own.len() - 1 };
    let mut payload = [0; 24];
    for (entry, (id, value)) in payload.as_chunks_mut::<6>().0.iter_mut().zip(own) {
        let ([a, b], [c, d, e, f]) = (id.to_be_bytes(), value.to_be_bytes());
        *entry = [a, b, c, d, e, f];
    }
    frame::put(kind::SETTINGS, 0, 0, payload.get(..6 * count).unwrap_or_default(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(id: u16, value: u32) -> Result<PeerSettings, ErrorCode> {
        let mut payload = id.to_be_bytes().to_vec();
        payload.extend_from_slice(&value.to_be_bytes());
        let mut settings = PeerSettings::INITIAL;
        let applied = settings.apply(&payload, Role::Server, &mut Encoder::new());
        applied.map(|()| settings).map_err(|error| error.code)
    }

    #[test]
    fn each_setting_has_its_range() {
        let initial = Ok(PeerSettings::INITIAL);
        for (id, value, expected) in [
            (ENABLE_PUSH, 0, initial),
            (ENABLE_PUSH, 1, initial),
            (ENABLE_PUSH, 2, Err(ErrorCode::PROTOCOL_ERROR)),
            (INITIAL_WINDOW_SIZE, 1 << 31, Err(ErrorCode::FLOW_CONTROL_ERROR)),
            (MAX_FRAME_SIZE, 16_383, Err(ErrorCode::PROTOCOL_ERROR)),
            (MAX_FRAME_SIZE, 16_384, initial),
            (MAX_FRAME_SIZE, (1 << 24) - 1, initial),
            (MAX_FRAME_SIZE, 1 << 24, Err(ErrorCode::PROTOCOL_ERROR)),
            (ENABLE_CONNECT_PROTOCOL, 2, Err(ErrorCode::PROTOCOL_ERROR)),
            (NO_RFC7540_PRIORITIES, 2, Err(ErrorCode::PROTOCOL_ERROR)),
            (HEADER_TABLE_SIZE, 0, initial),
            (HEADER_TABLE_SIZE, u32::MAX, initial),
            (0xffff, 7, initial),
        ] {
            assert_eq!(applied(id, value), expected, "{id} {value}");
        }
        assert_eq!(
            applied(INITIAL_WINDOW_SIZE, (1 << 31) - 1).unwrap().initial_window,
            WINDOW_MAX
        );
    }
}
