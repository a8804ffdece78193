//! Close codes of WebSockets (RFC 6455 §7.4), shared by the code that closes connections and by the rules of topics.

use core::fmt;

/// A status code that is valid in a close frame.
///
/// Codes that only describe a close without a frame (1005, 1006, 1015) and unassigned codes cannot be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server stops, or the browser has left the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer violated the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the endpoint does not accept this type of message, text or binary.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: a message does not match its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the peer violated a policy that has no code of its own.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message exceeds the size limit.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the client requires an extension that the server did not negotiate.
    pub const EXTENSION_MISSING: Self = Self(1010);
    /// 1011: the endpoint failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts; clients reconnect after a random delay.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// Returns the code of a number that is valid in a close frame.
    ///
    /// Valid are 1000–1003 and 1007–1014 (RFC 6455 §7.4.1 and IANA's registry), 3000–3999 for libraries, and
    /// 4000–4999 for applications.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(number)),
            _ => None,
        }
    }

    /// Returns the number.
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
