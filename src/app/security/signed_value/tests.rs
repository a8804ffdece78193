//! Vectors of Tornado, changed values, ages, and any values.

use super::*;
use proptest::prelude::*;

/// The time of the vectors.
const SECONDS: u64 = 1_300_000_000;

/// Made by Tornado 6.5: secret `secret`, name `s`, value `value`.
const VERSION_2: &str =
    "2|1:0|10:1300000000|1:s|8:dmFsdWU=|031b5491388a0b1f809cecdbb5903bcb5c7cd8f9398b59a58d001b286d90bf47";
const VERSION_1: &str = "dmFsdWU=|1300000000|11ca40cacfed1df090ae6c860f05aa7c498ba6ed";

/// Secrets `k1` and `k7` of versions 1 and 7, of which 7 signs; the value is the byte E9.
const KEY_7: &str = "2|1:7|10:1300000000|1:s|4:6Q==|e6ea4c72dcfbd752fb2847f327b1dbc8a1cd11f6bd83397c0b925af3e8155245";

const MONTH: Duration = Duration::from_secs(31 * 24 * 60 * 60);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn value(secret: &CookieSecret, name: &str, text: &str, seconds: u64) -> Option<Vec<u8>> {
    let signed = secret.verify(name, text, at(seconds), MONTH)?;
    Some(signed.value)
}

#[test]
fn tornados_vectors_are_made_and_read() {
    let secret = CookieSecret::new("secret");
    assert_eq!(secret.sign("s", b"value", at(SECONDS)).unwrap(), VERSION_2);
    assert_eq!(value(&secret, "s", VERSION_2, SECONDS).as_deref(), Some(&b"value"[..]));
    let rotated = CookieSecret::versions(7, [(1, "k1"), (7, "k7")]);
    assert_eq!(rotated.sign("s", b"\xe9", at(SECONDS)).unwrap(), KEY_7);
    let read = rotated.verify("s", KEY_7, at(SECONDS), MONTH).unwrap();
    assert_eq!((read.value, read.key_version), (vec![0xe9], 7));
}

#[test]
fn version_1_is_read_only_on_request() {
    let secret = CookieSecret::new("secret");
    assert_eq!(value(&secret, "s", VERSION_1, SECONDS), None);
    let secret = secret.reads_version_1();
    assert_eq!(value(&secret, "s", VERSION_1, SECONDS).as_deref(), Some(&b"value"[..]));
    assert_eq!(value(&secret, "t", VERSION_1, SECONDS), None);
    assert!(value(&secret, "s", VERSION_1, SECONDS + MONTH.as_secs()).is_some());
    assert_eq!(value(&secret, "s", VERSION_1, SECONDS + MONTH.as_secs() + 1), None);
}

/// Moving digits from the value to the time keeps the signature of version 1, and brings a time far ahead.
#[test]
fn a_time_of_version_1_that_was_shifted_is_refused() {
    let secret = CookieSecret::new("secret").reads_version_1();
    let mac = |text: &str| {
        let mac = secret.current().unwrap().sha1.clone().chain_update(text).finalize();
        HEXLOWER.encode(&mac.into_bytes())
    };
    let signature = mac("sMTIz1300000000");
    for (text, expected) in [
        (format!("MTIz|1300000000|{signature}"), Some(b"123".to_vec())),
        // A time has digits alone; a value of four digits shows the shift.
        (format!("MTI|z1300000000|{signature}"), None),
        (
            format!("1234|1300000000|{}", mac("s12341300000000")),
            BASE64.decode(b"1234").ok(),
        ),
        (format!("|12341300000000|{}", mac("s12341300000000")), None),
        (format!("1234|01300000000|{}", mac("s123401300000000")), None),
    ] {
        assert_eq!(value(&secret, "s", &text, SECONDS), expected, "{text}");
    }
}

#[test]
fn a_value_is_valid_until_its_age_and_also_before_its_time() {
    let secret = CookieSecret::new("secret");
    let half_a_day = Duration::from_secs(12 * 60 * 60);
    for (seconds, max_age, is_valid) in [
        (SECONDS + MONTH.as_secs(), MONTH, true),
        (SECONDS + MONTH.as_secs() + 1, MONTH, false),
        (SECONDS + 12 * 60 * 60, half_a_day, true),
        (SECONDS + 12 * 60 * 60 + 1, half_a_day, false),
        (SECONDS + 1, Duration::from_millis(900), false),
        (SECONDS, Duration::ZERO, true),
        // The clock of another server, or one that was set back.
        (0, Duration::ZERO, true),
        (u64::from(u32::MAX) * 100, Duration::MAX, true),
    ] {
        let read = secret.verify("s", VERSION_2, at(seconds), max_age);
        assert_eq!(read.is_some(), is_valid, "{seconds} {max_age:?}");
    }
}

#[test]
fn a_changed_value_is_refused() {
    let secret = CookieSecret::new("secret");
    let rotated = CookieSecret::versions(7, [(1, "k1"), (7, "k7")]);
    for text in [
        "",
        "2|",
        "2|1:0|10:1300000000|1:s|8:dmFsdWU=|",
        "3|1:0|10:1300000000|1:s|8:dmFsdWU=|031b5491388a0b1f809cecdbb5903bcb5c7cd8f9398b59a58d001b286d90bf47",
        "02|1:0|10:1300000000|1:s|8:dmFsdWU=|031b5491388a0b1f809cecdbb5903bcb5c7cd8f9398b59a58d001b286d90bf47",
        "2|99999999999999999999:0|",
        VERSION_1,
        KEY_7,
    ] {
        assert_eq!(value(&secret, "s", text, SECONDS), None, "{text}");
    }
    assert_eq!(value(&secret, "t", VERSION_2, SECONDS), None, "another name");
    assert_eq!(value(&rotated, "s", VERSION_2, SECONDS), None, "a secret that is gone");
    assert_eq!(value(&rotated, "s", VERSION_1, SECONDS), None);
    for place in 0..VERSION_2.len() {
        let (before, after) = VERSION_2.split_at(place);
        assert_eq!(value(&secret, "s", before, SECONDS), None);
        let mut rest = after.chars();
        let changed = if rest.next() == Some('0') { '1' } else { '0' };
        for text in [
            format!("{before}{changed}{}", rest.as_str()),
            format!("{before}{changed}{after}"),
            format!("{before}{}", rest.as_str()),
        ] {
            assert_eq!(value(&secret, "s", &text, SECONDS), None, "{text}");
        }
    }
    // Tornado compares the text, so capital digits are another signature.
    let (covered, signature) = VERSION_2.rsplit_once('|').unwrap();
    let capitals = format!("{covered}|{}", signature.to_uppercase());
    assert_eq!(value(&secret, "s", &capitals, SECONDS), None);
}

#[test]
fn a_missing_or_empty_secret_is_an_error() {
    for secret in [
        CookieSecret::new(""),
        CookieSecret::versions(2, [(1, "k1")]),
        CookieSecret::versions::<&str>(0, []),
    ] {
        let error = secret.sign("s", b"value", at(SECONDS)).unwrap_err().to_string();
        assert!(
            error.starts_with("could not sign: the cookie secret of version "),
            "{error}"
        );
        assert!(secret.problem().is_some());
    }
    assert_eq!(CookieSecret::new("k").problem(), None);
}

proptest! {
    #[test]
    fn what_is_signed_is_read_under_its_name_alone(
        name in ".{0,20}",
        other in ".{0,20}",
        content: Vec<u8>,
        seconds in 0..u64::from(u32::MAX),
    ) {
        let secret = CookieSecret::versions(7, [(1, "k1"), (7, "k7")]);
        let text = secret.sign(&name, &content, at(seconds)).unwrap();
        prop_assert_eq!(value(&secret, &name, &text, seconds), Some(content));
        prop_assert_eq!(value(&secret, &other, &text, seconds).is_some(), name == other);
    }

    #[test]
    fn no_text_without_a_signature_is_read(text in ".{0,80}|2\\|([0-9]{1,2}:.{0,9}\\|){0,5}[0-9a-f]{0,64}") {
        let secret = CookieSecret::new("secret").reads_version_1();
        prop_assert_eq!(value(&secret, "s", &text, SECONDS), None);
    }
}
