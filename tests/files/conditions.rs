//! Conditional requests for files (RFC 9110 §13).

use std::time::{Duration, SystemTime};

use crate::site::{LETTERS, Site, field};

fn date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

#[test]
fn a_client_that_has_the_file_gets_304() {
    let site = Site::start();
    let whole = site.get("az.txt");
    let (etag, modified) = (field(&whole, "etag"), field(&whole, "last-modified"));
    let at = httpdate::parse_http_date(modified).unwrap();
    let (before, after) = (date(at - Duration::from_secs(1)), date(at + Duration::from_secs(1)));
    for (fields, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: W/{etag}\r\n"), 304),
        (format!("If-None-Match: \"a\", {etag}\r\n"), 304),
        ("If-None-Match: *\r\n".to_owned(), 304),
        ("If-None-Match: \"a\"\r\n".to_owned(), 200),
        (format!("If-Modified-Since: {modified}\r\n"), 304),
        (format!("If-Modified-Since: {after}\r\n"), 304),
        (format!("If-Modified-Since: {before}\r\n"), 200),
        ("If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT\r\n".to_owned(), 200),
        ("If-Modified-Since: junk\r\n".to_owned(), 200),
        ("If-Modified-Since: Thu, 01 Jan 1960 00:00:00 GMT\r\n".to_owned(), 200),
        // The tag decides alone.
        (
            format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {modified}\r\n"),
            200,
        ),
        (format!("If-None-Match: {etag}\r\nIf-Modified-Since: {before}\r\n"), 304),
        (format!("If-None-Match: {etag}\r\nRange: bytes=1-2\r\n"), 304),
        (format!("If-None-Match: {etag}\r\nRange: bytes=99-\r\n"), 304),
        (format!("If-Match: {etag}\r\nIf-None-Match: {etag}\r\n"), 304),
    ] {
        for method in ["GET", "HEAD"] {
            let response = site.send(method, "/static/az.txt", &fields);
            assert_eq!(response.status, status, "{method} {fields}");
            assert_eq!(field(&response, "etag"), etag, "{fields}");
            assert_eq!(field(&response, "last-modified"), modified, "{fields}");
            assert_eq!(
                field(&response, "cache-control"),
                field(&whole, "cache-control"),
                "{fields}"
            );
            if status == 304 {
                let described = response.fields.iter().find(|(name, _)| name.starts_with("content-"));
                assert_eq!(
                    (described, response.body.as_slice()),
                    (None, b"".as_slice()),
                    "{fields}"
                );
            }
        }
    }
}

#[test]
fn a_client_that_expects_another_file_gets_412() {
    let site = Site::start();
    let whole = site.get("az.txt");
    let (etag, modified) = (field(&whole, "etag"), field(&whole, "last-modified"));
    let at = httpdate::parse_http_date(modified).unwrap();
    let before = date(at - Duration::from_secs(1));
    for (fields, status) in [
        (format!("If-Match: {etag}\r\n"), 200),
        ("If-Match: *\r\n".to_owned(), 200),
        (format!("If-Match: \"a\", {etag}\r\n"), 200),
        (format!("If-Match: W/{etag}\r\n"), 412),
        ("If-Match: \"a\"\r\n".to_owned(), 412),
        (format!("If-Unmodified-Since: {modified}\r\n"), 200),
        (format!("If-Unmodified-Since: {before}\r\n"), 412),
        ("If-Unmodified-Since: junk\r\n".to_owned(), 200),
        (format!("If-Match: {etag}\r\nIf-Unmodified-Since: {before}\r\n"), 200),
        (
            format!("If-Unmodified-Since: {before}\r\nIf-None-Match: {etag}\r\n"),
            412,
        ),
        ("If-Match: \"a\"\r\nRange: bytes=0-1\r\n".to_owned(), 412),
    ] {
        let response = site.get_with("az.txt", &fields);
        assert_eq!(response.status, status, "{fields}");
        let content = site.head_with("az.txt", &fields);
        assert_eq!(content.status, status, "{fields}");
    }
    // A missing file is 404 whatever the condition.
    assert_eq!(site.get_with("missing", "If-Match: *\r\n").status, 404);
    assert_eq!(site.get_with("missing", "If-None-Match: *\r\n").status, 404);
}

#[test]
fn if_range_sends_the_rest_of_the_same_file_only() {
    let site = Site::start();
    let whole = site.get("az.txt");
    let (etag, modified) = (field(&whole, "etag"), field(&whole, "last-modified"));
    let at = httpdate::parse_http_date(modified).unwrap();
    for (condition, status) in [
        (etag.to_owned(), 206),
        (modified.to_owned(), 206),
        (format!("W/{etag}"), 200),
        ("\"a\"".to_owned(), 200),
        (format!("{etag}, \"a\""), 200),
        (date(at - Duration::from_secs(1)), 200),
        (date(at + Duration::from_secs(1)), 200),
        ("junk".to_owned(), 200),
    ] {
        let fields = format!("If-Range: {condition}\r\nRange: bytes=20-\r\n");
        let response = site.get_with("az.txt", &fields);
        let content = if status == 206 { &LETTERS[20..] } else { LETTERS };
        response.expect(status, content).unwrap();
    }
    // A range that is not there is not looked at either.
    let fields = "If-Range: \"a\"\r\nRange: bytes=99-\r\n";
    site.get_with("az.txt", fields).expect(200, LETTERS).unwrap();
}

#[test]
fn a_file_from_the_future_or_from_before_1970_has_a_valid_date() {
    let site = Site::start();
    let path = site.folder.root().join("az.txt");
    let stamp = |time: SystemTime| {
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
    };
    let year = Duration::from_secs(365 * 24 * 3600);
    for time in [squall::shards::clock::wall() + year, SystemTime::UNIX_EPOCH - year] {
        stamp(time);
        let response = site.get("az.txt");
        response.expect(200, LETTERS).unwrap();
        let modified = httpdate::parse_http_date(field(&response, "last-modified")).unwrap();
        let date = httpdate::parse_http_date(field(&response, "date")).unwrap();
        assert!(modified <= date);
        // A date from the future counts as now, so the answer is 304 within the second of the date that is asked for.
        let in_one_second = (0..10).find_map(|_| {
            let date = field(&site.get("az.txt"), "date").to_owned();
            let answer = site.get_with("az.txt", &format!("If-Modified-Since: {date}\r\n"));
            (field(&answer, "date") == date).then_some(answer.status)
        });
        assert_eq!(in_one_second, Some(304));
    }
}
