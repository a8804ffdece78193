//! `/cookie`: what is set comes back, and what a browser would drop is 400.

use crate::harness::*;
use serde_json::json as value_of;

#[test]
fn a_value_comes_back_as_it_was_set() {
    let server = start();
    for (encoded, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("a=b", "a=b"),
        ("a%3Bb", "a;b"),
        ("a,b%20c", "a,b c"),
        ("%22quoted%22", "\"quoted\""),
        ("back%5Cslash%5C073", "back\\slash\\073"),
        ("%C3%A9%C3%BF%C2%A0x", "\u{e9}\u{ff}\u{a0}x"),
        ("%D0%96%F0%9F%8C%A7", "\u{416}\u{1f327}"),
        ("%25%2B%26", "%+&"),
    ] {
        let set = get(&server, &format!("/cookie/set?name=a&value={encoded}"), "");
        assert_eq!((set.status, text(&set)), (200, "ok"), "{encoded}");
        assert_eq!(value(&server, "/cookie/get?name=a", &pair(&set)), expected, "{encoded}");
    }
}

#[test]
fn a_cookie_has_the_attributes_that_were_given() {
    let server = start();
    let line = |query: &str| {
        let set = get(&server, &format!("/cookie/set?name=a&value=1{query}"), "");
        let lines = set_cookies(&set);
        assert_eq!(lines.len(), 1, "{query}: {}", text(&set));
        lines[0].split("; ").map(str::to_lowercase).collect::<Vec<_>>()
    };
    let has = |line: &[String], wanted: &str| line.iter().any(|attribute| attribute == wanted);
    let plain = line("");
    assert!(plain[0] == "a=1" && has(&plain, "path=/"), "{plain:?}");
    for absent in ["secure", "httponly", "partitioned"] {
        assert!(!has(&plain, absent), "{plain:?}");
    }
    for (query, expected) in [
        ("&path=/b", "path=/b"),
        ("&domain=example.com", "domain=example.com"),
        ("&max_age=10", "max-age=10"),
        ("&secure=1", "secure"),
        ("&httponly=1", "httponly"),
        ("&samesite=strict", "samesite=strict"),
        ("&samesite=LAX", "samesite=lax"),
        ("&samesite=None&secure=1", "samesite=none"),
    ] {
        let line = line(query);
        assert!(has(&line, expected), "{query}: {line:?}");
    }
    let line = line("&expires_days=10");
    let expires = line.iter().find_map(|attribute| attribute.strip_prefix("expires="));
    assert!(expires.is_some_and(|date| date.ends_with(" gmt")), "{line:?}");
}

#[test]
fn what_a_browser_would_drop_or_read_differently_is_400() {
    let server = start();
    for query in [
        "",
        "name=a",
        "name=a&value=1&name=b",
        "name=&value=1",
        "name=a%20b&value=1",
        "name=a%3Bb&value=1",
        "name=a%3Db&value=1",
        "name=%C3%A9&value=1",
        "name=a%0D%0Ab&value=1",
        "name=a&value=1%0D%0AX-Injected:1",
        "name=a&value=%00",
        "name=a&value=%7F",
        "name=a&value=%09",
        "name=a&value=%C2%85",
        "name=a&value=%FF",
        "name=a&value=1&path=/%3B",
        "name=a&value=1&path=/%0A",
        "name=a&value=1&domain=b%3Bc",
        "name=a&value=1&domain=b%0Ac",
        "name=a&value=1&samesite=maybe",
        "name=a&value=1&samesite=",
        "name=a&value=1&samesite=None",
        "name=a&value=1&max_age=ten",
        "name=a&value=1&max_age=100000000000000000000",
        "name=a&value=1&expires_days=NaN",
        "name=a&value=1&expires_days=1e300",
        "name=__Host-a&value=1",
        "name=__host-a&value=1",
        "name=__Host-a&value=1&secure=1&domain=example.com",
        "name=__Host-a&value=1&secure=1&path=/b",
        "name=__Secure-a&value=1",
        "name=__Secure-a&value=1&secure=0",
    ] {
        let set = get(&server, &format!("/cookie/set?{query}"), "");
        assert_eq!(set.status, 400, "{query}: {}", text(&set));
        assert!(set_cookies(&set).is_empty(), "{query}");
        assert!(set.field("x-injected").is_none(), "{query}");
    }
    for query in [
        "name=__Host-a&value=1&secure=1",
        "name=__Secure-a&value=1&secure=1&domain=example.com&path=/b",
    ] {
        assert_eq!(get(&server, &format!("/cookie/set?{query}"), "").status, 200, "{query}");
    }
}

#[test]
fn each_pair_is_a_line_and_the_last_of_a_name_wins() {
    let server = start();
    let set = get(&server, "/cookie/set?name=a&value=1&name=b&value=2&name=a&value=3", "");
    let pairs: Vec<_> = set_cookies(&set)
        .iter()
        .map(|line| line.split(';').next().unwrap().to_owned())
        .collect();
    assert_eq!(pairs, ["a=3", "b=2"]);
    assert_eq!(value(&server, "/cookie/get?name=a", "a=1; b=2; a=3"), "3");
    assert_eq!(value(&server, "/cookie/get?name=c", "a=1"), value_of!(null));
    assert_eq!(
        json(&server, "/cookie/all", "a=1; b=\"x\\073y\"; =z; a=3"),
        value_of!({"a": "3", "b": "x;y"})
    );
    assert_eq!(json(&server, "/cookie/all", ""), value_of!({}));
}

#[test]
fn a_clear_removes_the_cookie_of_its_path_and_domain() {
    let server = start();
    for (query, expected) in [
        ("name=a", vec!["path=/"]),
        (
            "name=a&path=/b&domain=example.com",
            vec!["path=/b", "domain=example.com"],
        ),
    ] {
        let cleared = get(&server, &format!("/cookie/clear?{query}"), "a=1");
        assert_eq!((cleared.status, text(&cleared)), (200, "ok"));
        let lines = set_cookies(&cleared);
        let line: Vec<_> = lines[0].split("; ").map(str::to_lowercase).collect();
        assert!(line[0] == "a=" && line.contains(&"max-age=0".to_owned()), "{line:?}");
        assert!(
            expected.iter().all(|wanted| line.iter().any(|found| found == wanted)),
            "{line:?}"
        );
    }
    for query in ["", "name=a%20b", "name=a&path=/%3B"] {
        assert_eq!(
            get(&server, &format!("/cookie/clear?{query}"), "").status,
            400,
            "{query}"
        );
    }
}

/// Hostile fields are read in one pass: many separators, many escapes, more cookies than the limit.
#[test]
fn a_hostile_cookie_field_is_read_or_431() {
    let server = start();
    let escapes = format!("a=\"{}\"", "\\\\".repeat(10_000));
    let read = value(&server, "/cookie/get?name=a", &escapes);
    assert_eq!(read.as_str().map(str::len), Some(10_000));
    let separators = format!("{}a=1", ";".repeat(20_000));
    assert_eq!(value(&server, "/cookie/get?name=a", &separators), "1");
    for start in [";a=1", "=;a=1", " ; = ;a=1"] {
        assert_eq!(value(&server, "/cookie/get?name=a", start), "1", "{start}");
    }
    let many = "a=1;".repeat(5000);
    assert_eq!(get(&server, "/cookie/get?name=a", &many).status, 431);
    assert_eq!(get(&server, "/cookie/all", &many).status, 431);
}
