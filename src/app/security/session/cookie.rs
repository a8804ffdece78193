//! A session that its cookie holds whole, signed or encrypted.
//!
//! It needs no memory here and no store. So it cannot be ended here either: a copy of the cookie stays valid until the
//! session's time is over, also after a logout.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::store::SessionLifetime;
use super::values::SessionValues;
use crate::error::Result;

/// A session is written anew once this part of its idle time is over: a tenth.
const STALE_PARTS: u32 = 10;

/// What the cookie holds, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// When the session began, in seconds since 1970.
    created: u64,
    /// When the cookie was written.
    written: u64,
    pub(super) values: SessionValues,
}

/// What a valid cookie says.
pub(super) struct Opened {
    pub(super) created: u64,
    pub(super) values: SessionValues,
    pub(super) is_stale: bool,
}

/// Writes the content of a cookie.
pub(super) fn seal(values: SessionValues, created: Option<u64>, now: SystemTime) -> Result<String> {
    let written = seconds(now);
    let created = created.unwrap_or(written);
    Ok(serde_json::to_string(&Sealed {
        created,
        written,
        values,
    })?)
}

/// Reads the content of a cookie that was verified; `None` if the session is over.
pub(super) fn open(text: &str, lifetime: SessionLifetime, now: SystemTime) -> Option<Opened> {
    let sealed: Sealed = serde_json::from_str(text).ok()?;
    let since = |past: u64| Duration::from_secs(seconds(now).saturating_sub(past));
    let idle = since(sealed.written);
    if idle > lifetime.idle || since(sealed.created) > lifetime.absolute {
        return None;
    }
    Some(Opened {
        created: sealed.created,
        values: sealed.values,
        is_stale: idle > lifetime.idle / STALE_PARTS,
    })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_in_a_cookie_ends_when_idle_and_at_its_absolute_age() {
        let lifetime = SessionLifetime {
            idle: Duration::from_secs(100),
            absolute: Duration::from_secs(250),
        };
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let values = SessionValues::from([("a".to_owned(), "1".to_owned())]);
        let text = seal(values.clone(), None, at(1000)).unwrap();
        let opened =
            |text: &str, seconds| open(text, lifetime, at(seconds)).map(|opened| (opened.created, opened.is_stale));
        assert_eq!(opened(&text, 1000), Some((1000, false)));
        assert_eq!(opened(&text, 1010), Some((1000, false)));
        assert_eq!(opened(&text, 1011), Some((1000, true)));
        assert_eq!(opened(&text, 1100), Some((1000, true)));
        assert_eq!(opened(&text, 1101), None, "idle");
        // The clock was set back.
        assert_eq!(opened(&text, 10), Some((1000, false)));
        let again = seal(values, Some(1000), at(1200)).unwrap();
        assert_eq!(opened(&again, 1250), Some((1000, true)));
        assert_eq!(opened(&again, 1251), None, "its absolute age");
        assert_eq!(opened("{}", 1000), None);
        assert_eq!(opened("", 1000), None);
    }
}
