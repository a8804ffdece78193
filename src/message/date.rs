//! The `Date` line (RFC 9110 §5.6.7, §6.6.1), formatted once a second and copied into every response of that second.

use core::fmt;
use std::time::SystemTime;

/// The template of the line; its length is constant.
const EPOCH: [u8; 37] = *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

/// The position of the date in it.
const VALUE: core::ops::Range<usize> = 6..35;

/// A time as an IMF-fixdate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HttpDate {
    line: [u8; EPOCH.len()],
}

impl HttpDate {
    /// Returns the complete field line, ready to copy into a head.
    #[must_use]
    pub const fn field_line(&self) -> &[u8; EPOCH.len()] {
        &self.line
    }

    /// Returns the date as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let value = self.line.get(VALUE).unwrap_or_default();
        str::from_utf8(value).unwrap_or_default()
    }
}

impl From<SystemTime> for HttpDate {
    /// Formats a time; one before 1970 or after 9999 is clamped to the nearest valid second.
    fn from(time: SystemTime) -> Self {
        const LAST_SECOND: u64 = 253_402_300_799; // 9999-12-31T23:59:59Z
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = since_epoch.as_secs().min(LAST_SECOND);
        let time = SystemTime::UNIX_EPOCH + core::time::Duration::from_secs(seconds);
        let formatted = httpdate::fmt_http_date(time);
        let mut line = EPOCH;
        if let Some(value) = line.get_mut(VALUE)
            && formatted.len() == value.len()
        {
            value.copy_from_slice(formatted.as_bytes());
        }
        Self { line }
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
