//! `/form`: urlencoded forms, and the fields of multipart forms.

use crate::harness::*;

#[test]
fn fields_come_by_name_in_order_whatever_the_type_of_the_form() {
    let server = Server::shared();
    let expected = r#"{"b":["1","3 &"],"a":["2"],"c":[""]}"#;
    let url_encoded = b"b=1&a=2&b=3+%26&c";
    let parts = multipart(&[
        (&named("name=\"b\""), b"1"),
        (&named("name=\"a\""), b"2"),
        (&named("name=\"x\"; filename=\"x\""), b"a file"),
        (&named("name=\"b\""), b"3 &"),
        (&named("name=\"c\"; filename=\"\""), b""),
    ]);
    for (content_type, content) in [(URL_ENCODED, &url_encoded[..]), (MULTIPART, &parts)] {
        expect_json(&server, &post("/form", content_type, content), expected);
        expect_json(&server, &post_chunked("/form", content_type, content), expected);
    }
    expect_json(
        &server,
        &post("/form", "application/x-www-form-urlencoded; charset=utf-8", b""),
        "{}",
    );
    expect_json(&server, &post("/form", MULTIPART, b"--b-1--"), "{}");
}

#[test]
fn text_is_taken_as_it_is() {
    let server = Server::shared();
    let form = multipart(&[(&named("name=\" a\u{fc}+%20%22\""), "+%20 \r\n\u{1f300}".as_bytes())]);
    expect_json(
        &server,
        &post("/form", MULTIPART, &form),
        "{\" a\u{fc}+%20\\\"\":[\"+%20 \\r\\n\u{1f300}\"]}",
    );
    expect_json(
        &server,
        &post("/form", URL_ENCODED, "\u{fc}=\u{fc}".as_bytes()),
        "{\"\u{fc}\":[\"\u{fc}\"]}",
    );
}

#[test]
fn another_type_is_415() {
    let server = Server::shared();
    for content_type in [
        "",
        "text/plain",
        "application/json",
        "multipart/mixed; boundary=b-1",
        "multipart/form-datax",
    ] {
        expect_status(&server, &post("/form", content_type, b"a=1"), 415);
    }
    for target in ["/upload", "/upload/stream"] {
        for content_type in ["", URL_ENCODED, "multipart/mixed; boundary=b-1"] {
            expect_status(&server, &post(target, content_type, b"--b-1--"), 415);
        }
    }
}

#[test]
fn malformed_forms_are_400() {
    let server = Server::shared();
    for content in [&b"a=%f"[..], b"a=%zz", b"a=%ff", b"\xff=a"] {
        expect_status(&server, &post("/form", URL_ENCODED, content), 400);
    }
    let not_utf_8 = multipart(&[(&named("name=\"a\""), b"\xff")]);
    for target in ["/form", "/upload", "/upload/stream"] {
        expect_status(&server, &post(target, MULTIPART, &not_utf_8), 400);
        expect_status(&server, &post(target, MULTIPART, b"a=1"), 400);
        expect_status(&server, &post(target, MULTIPART, b""), 400);
        expect_status(&server, &post(target, "multipart/form-data", b"--b-1--"), 400);
    }
}

/// A coding on a route without decompression.
#[test]
fn any_content_coding_is_415() {
    let server = Server::shared();
    for coding in ["gzip", "br", "zstd", "deflate", "identity", "gzip, gzip", "x"] {
        let field = format!("Content-Encoding: {coding}\r\n");
        for (target, content_type) in [
            ("/form", URL_ENCODED),
            ("/form", MULTIPART),
            ("/upload", MULTIPART),
            ("/upload/stream", MULTIPART),
            ("/json-in", "application/json"),
        ] {
            let response = expect_status(&server, &post_with(target, content_type, &field, b"x"), 415);
            assert_eq!(response.list("accept-encoding"), ["identity"]);
        }
    }
}

#[test]
fn a_field_that_is_longer_than_the_limit_is_413() {
    let server = Server::start("conformance", &["--max-field-bytes", "10"]);
    let encoded = |length: usize| [b"a=", "%41".repeat(length).as_bytes()].concat();
    expect_json(
        &server,
        &post("/form", URL_ENCODED, &encoded(10)),
        r#"{"a":["AAAAAAAAAA"]}"#,
    );
    expect_status(&server, &post("/form", URL_ENCODED, &encoded(11)), 413);
    for target in ["/form", "/upload", "/upload/stream"] {
        let form = |length| multipart(&[(&named("name=\"a\""), &vec![b'A'; length])]);
        expect_status(&server, &post(target, MULTIPART, &form(10)), 200);
        expect_status(&server, &post(target, MULTIPART, &form(11)), 413);
        let file = multipart(&[(&named("name=\"a\"; filename=\"b\""), &[b'A'; 1000])]);
        expect_status(&server, &post(target, MULTIPART, &file), 200);
    }
}

#[test]
fn the_default_of_a_field_is_64_kib() {
    let server = Server::shared();
    for (length, status) in [(64 * 1024, 200), (64 * 1024 + 1, 413)] {
        let value = vec![b'x'; length];
        expect_status(
            &server,
            &post("/form", URL_ENCODED, &[b"a=", &value[..]].concat()),
            status,
        );
        let form = multipart(&[(&named("name=\"a\""), &value)]);
        for target in ["/form", "/upload", "/upload/stream"] {
            expect_status(&server, &post(target, MULTIPART, &form), status);
        }
    }
}

#[test]
fn more_parts_than_the_limit_are_413() {
    let server = Server::start("conformance", &["--max-parts", "3"]);
    let field = named("name=\"a\"");
    let file = named("name=\"a\"; filename=\"b\"");
    for target in ["/form", "/upload", "/upload/stream"] {
        for part in [&field, &file] {
            let form = |count| multipart(&vec![(part.as_str(), &b""[..]); count]);
            expect_status(&server, &post(target, MULTIPART, &form(3)), 200);
            expect_status(&server, &post(target, MULTIPART, &form(4)), 413);
            expect_status(&server, &post_chunked(target, MULTIPART, &form(400)), 413);
        }
    }
}

#[test]
fn the_default_is_100_parts() {
    let server = Server::shared();
    let part = named("name=\"a\"");
    for (count, status) in [(100, 200), (101, 413)] {
        let form = multipart(&vec![(part.as_str(), &b""[..]); count]);
        for target in ["/form", "/upload", "/upload/stream"] {
            expect_status(&server, &post(target, MULTIPART, &form), status);
        }
    }
}
