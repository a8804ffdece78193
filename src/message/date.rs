//! The value of `Date` (RFC 9110 §5.6.7, §6.6.1), written once a second and copied into every response of that second.

use core::fmt;
use std::time::SystemTime;

/// How long an IMF-fixdate is: `Sun, 06 Nov 1994 08:49:37 GMT`.
const IMF_FIXDATE_BYTES: usize = 29;

/// A moment as an IMF-fixdate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HttpDate {
    text: [u8; IMF_FIXDATE_BYTES],
}

impl HttpDate {
    /// The date as bytes, ready to be copied into a head.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The date as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.text).unwrap_or_default()
    }
}

impl From<SystemTime> for HttpDate {
    /// Formats a time. A time that no IMF-fixdate can show (before 1970, after 9999) shows as the nearest that can.
    fn from(time: SystemTime) -> Self {
        const LAST_SECOND: u64 = 253_402_300_799; // 9999-12-31T23:59:59Z
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = since_epoch.as_secs().min(LAST_SECOND);
        let time = SystemTime::UNIX_EPOCH + core::time::Duration::from_secs(seconds);
        let formatted = httpdate::fmt_http_date(time);
        let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
        if let Some(bytes) = formatted.as_bytes().first_chunk() {
            text = *bytes;
        }
        Self { text }
    }
}

impl fmt::Debug for HttpDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
