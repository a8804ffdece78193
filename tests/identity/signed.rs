//! `/signed` and `/rotated`: values in Tornado's version 2.

use crate::harness::*;
use serde_json::json as value_of;

/// The seconds of a day.
const DAY: u64 = 24 * 60 * 60;

#[test]
fn a_signed_value_is_read_back() {
    let server = start();
    for (encoded, expected) in [
        ("ada", "ada"),
        ("", ""),
        ("a%3Bb%20%22c%22", "a;b \"c\""),
        ("%D0%96", "\u{416}"),
    ] {
        let set = get(&server, &format!("/signed/set?name=user&value={encoded}"), "");
        assert_eq!((set.status, text(&set)), (200, "ok"));
        let cookie = pair(&set);
        assert!(cookie.starts_with("user=2|1:0|10:"), "{cookie}");
        assert_eq!(value(&server, "/signed/get?name=user", &cookie), expected);
        let renamed = cookie.replacen("user=", "other=", 1);
        assert_eq!(
            value(&server, "/signed/get?name=other", &renamed),
            value_of!(null),
            "another name"
        );
    }
    let set = get(&server, "/signed/set?name=user&value=ada", "");
    assert!(
        set_cookies(&set)[0].contains("Max-Age=2592000"),
        "30 days: {:?}",
        set_cookies(&set)
    );
}

/// Made by hand here: old values, values of another secret, and bytes other than UTF-8.
#[test]
fn a_value_is_null_unless_it_was_signed_here_and_is_young_enough() {
    let server = start();
    let now = now();
    let read =
        |query: &str, cookie: String| value(&server, &format!("/signed/get?name=s{query}"), &format!("s={cookie}"));
    let signed = |seconds: u64| sign(SECRET, 0, seconds, "s", b"value");
    assert_eq!(read("", signed(now)), "value");
    assert_eq!(
        read("", signed(now + 400 * DAY)),
        "value",
        "no check against the future"
    );
    assert_eq!(read("", signed(now - 31 * DAY + 60)), "value");
    assert_eq!(read("", signed(now - 31 * DAY - 1)), value_of!(null));
    assert_eq!(read("&max_age_days=0.5", signed(now - DAY / 2 + 60)), "value");
    assert_eq!(read("&max_age_days=0.5", signed(now - DAY / 2 - 1)), value_of!(null));
    assert_eq!(read("&max_age_days=40", signed(now - 39 * DAY)), "value");
    for (why, cookie) in [
        ("another secret", sign("another", 0, now, "s", b"value")),
        ("another version of the secret", sign(SECRET, 1, now, "s", b"value")),
        ("another name", sign(SECRET, 0, now, "t", b"value")),
        ("no UTF-8", sign(SECRET, 0, now, "s", b"\xe9")),
        ("cut", signed(now)[..90].to_owned()),
        ("longer", signed(now) + "0"),
        (
            "version 1",
            "dmFsdWU=|1300000000|11ca40cacfed1df090ae6c860f05aa7c498ba6ed".to_owned(),
        ),
        ("no signature", "value".to_owned()),
        ("empty", String::new()),
    ] {
        assert_eq!(read("", cookie), value_of!(null), "{why}");
    }
    assert_eq!(value(&server, "/signed/get?name=s", ""), value_of!(null));
    for days in ["-1", "NaN", "inf", "x", ""] {
        let response = get(&server, &format!("/signed/get?name=s&max_age_days={days}"), "");
        assert_eq!(response.status, 400, "{days}");
    }
}

#[test]
fn a_value_that_no_cookie_can_hold_is_400() {
    let server = start();
    for query in [
        "name=a%20b&value=1",
        "value=1",
        "name=a",
        &format!("name=a&value={}", "x".repeat(4000)),
    ] {
        let set = get(&server, &format!("/signed/set?{query}"), "");
        assert_eq!(set.status, 400);
        assert!(set_cookies(&set).is_empty());
    }
}

#[test]
fn the_newest_secret_signs_and_all_of_them_verify() {
    let server = start();
    let cookie = pair(&get(&server, "/rotated/set?name=s&value=new", ""));
    assert!(cookie.starts_with("s=2|1:7|10:"), "{cookie}");
    assert_eq!(value(&server, "/rotated/get?name=s", &cookie), "new");
    for (secret, version, expected) in [
        (format!("{SECRET}-1"), 1, value_of!("old")),
        (format!("{SECRET}-7"), 7, value_of!("old")),
        (format!("{SECRET}-1"), 7, value_of!(null)),
        (format!("{SECRET}-7"), 1, value_of!(null)),
        (format!("{SECRET}-3"), 3, value_of!(null)),
        (SECRET.to_owned(), 0, value_of!(null)),
    ] {
        let cookie = format!("s={}", sign(&secret, version, now(), "s", b"old"));
        assert_eq!(
            value(&server, "/rotated/get?name=s", &cookie),
            expected,
            "{secret} {version}"
        );
    }
    // Tornado answers 500 here: a value of version 1 with several secrets.
    let version_1 = "s=dmFsdWU=|1300000000|11ca40cacfed1df090ae6c860f05aa7c498ba6ed";
    assert_eq!(value(&server, "/rotated/get?name=s", version_1), value_of!(null));
}
