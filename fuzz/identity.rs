//! The invariants for any cookies, signed values and XSRF tokens. A violation panics. libFuzzer calls these functions
//! through `fuzz_targets/`, and `tests/fuzz_smoke.rs` on stable Rust.

use std::time::{Duration, SystemTime};

use squall::app::read_cookies;
use squall::security::{CookieSecret, XsrfToken};

/// The time of the seeds.
const SECONDS: u64 = 1_300_000_000;

/// A `Cookie` field: names are printable, and no value is longer than its text.
pub(crate) fn cookies(data: &[u8]) {
    let mut count = 0;
    for (name, value) in read_cookies(data) {
        count += 1;
        assert!(
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()),
            "{name:?}"
        );
        assert!(!name.contains([';', '=', '"', ',']), "{name:?}");
        assert!(name.len() + value.len() <= data.len());
    }
    assert!(count <= data.split(|&byte| byte == b';').count());
}

/// Signed values and XSRF tokens: a signed value that verifies does so under its name alone and unchanged alone.
pub(crate) fn signed_values(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let secret = CookieSecret::versions(
        7,
        [
            (1, "the secret of last year, 32 bytes"),
            (7, "the secret of this year, 32 bytes"),
        ],
    );
    let secret = secret.reads_version_1();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS);
    for name in ["s", ""] {
        let Some(signed) = secret.verify(name, text, now, Duration::MAX) else {
            continue;
        };
        assert!(signed.value.len() < text.len());
        assert!(secret.verify("another", text, now, Duration::MAX).is_none());
        for changed in [
            format!("{text}0"),
            text[..text.len() - 1].to_owned(),
            text.to_uppercase(),
        ] {
            assert!(secret.verify(name, &changed, now, Duration::MAX).is_none(), "{changed}");
        }
    }
    if let Some(token) = XsrfToken::read(text) {
        let masked = token.masked([1, 2, 3, 4], now);
        assert_eq!(XsrfToken::read(&masked), Some(token));
    }
}
