//! The versions that this machine speaks: HTTP/1.0 and HTTP/1.1 (RFC 9112 §2.3).
//!
//! [`Version`] names the other versions of HTTP too. Inside the machine a version is a [`MinorVersion`], so no decision
//! about framing or persistence meets a version without such a rule.

use crate::message::Version;

/// The minor version of an HTTP/1 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum MinorVersion {
    /// HTTP/1.0.
    Zero,
    /// HTTP/1.1.
    #[default]
    One,
}

impl From<MinorVersion> for Version {
    fn from(minor: MinorVersion) -> Self {
        match minor {
            MinorVersion::Zero => Self::Http10,
            MinorVersion::One => Self::Http11,
        }
    }
}
