//! Why a WebSocket is closed, as a number that may travel (RFC 6455 §7.4): those who close one, and those who make the rules for it, mean the
//! same.

use core::fmt;

/// A status code that may stand in a close frame. Codes that only describe what happened without one (1005, 1006,
/// 1015), or that nobody has given a meaning, cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: what the connection was made for is done.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the browser has left the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: text or binary came where only the other is understood.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: a message is not what its type says, as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the peer broke a rule of ours that has no code of its own.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message is too big.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: a client misses an extension; a server refuses the handshake instead.
    pub const EXTENSION_MISSING: Self = Self(1010);
    /// 1011: the endpoint failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts; come back after a while of your own choosing.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server has more to do than it can.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// The code of that number, if it may stand in a close frame: 1000–1003 and 1007–1014 (RFC 6455 §7.4.1 and IANA's
    /// registry), 3000–3999 for libraries, 4000–4999 for applications.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
