//! Pages and their fields: compression, validators, redirects, downloads, error pages. The contract of `conformance`.

use std::io::Read as _;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use crate::harness::{
    Connection, Framing, Outcome, Response, Server, ensure, for_each_case, get, get_with, still_usable,
};

/// The codings that the server under test was built with, in its order of preference.
const CODINGS: &[&str] = if cfg!(feature = "compression") {
    &["zstd", "br", "gzip"]
} else {
    &["gzip"]
};

/// One request on a connection that must stay usable.
fn ask(connection: &mut Connection, method: &str, target: &str, fields: &str) -> Outcome<Response> {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let response = connection.exchange(request.as_bytes(), method)?;
    still_usable(connection)?;
    Ok(response)
}

fn accepting(coding: &str) -> String {
    format!("Accept-Encoding: {coding}\r\n")
}

/// The decoded content, by the field of the response.
fn decoded(response: &Response) -> Vec<u8> {
    let mut decoded = Vec::new();
    let content = response.body.as_slice();
    match response.field("content-encoding") {
        None => decoded.extend_from_slice(content),
        Some(b"gzip") => drop(MultiGzDecoder::new(content).read_to_end(&mut decoded).unwrap()),
        #[cfg(feature = "compression")]
        Some(b"br") => drop(
            brotli::Decompressor::new(content, 4096)
                .read_to_end(&mut decoded)
                .unwrap(),
        ),
        #[cfg(feature = "compression")]
        Some(b"zstd") => decoded = zstd::stream::decode_all(content).unwrap(),
        Some(other) => panic!("unknown coding {}", other.escape_ascii()),
    }
    decoded
}

fn server() -> (Arc<Server>, Connection) {
    let server = Server::shared();
    let connection = server.connect();
    (server, connection)
}

/// RFC 9110 §12.5.3, §8.4: the coding with the highest weight; `Vary` on every response; the length is that of what is
/// sent.
#[test]
fn compresses_with_the_coding_that_the_client_prefers() {
    let (_server, mut connection) = server();
    for (accepted, expected) in [
        ("gzip", Some("gzip")),
        ("gzip;q=0", None),
        ("gzip;q=0.000, *;q=0", None),
        ("identity", None),
        ("identity, gzip;q=0.9", None),
        ("*", Some(CODINGS[0])),
        ("gzip, br, zstd, deflate", Some(CODINGS[0])),
        ("gzip;q=1, br;q=0.9, zstd;q=0.9", Some("gzip")),
        ("", None),
        (&",".repeat(8000), None),
    ] {
        let response = ask(&mut connection, "GET", "/compress?n=100000", &accepting(accepted)).unwrap();
        response.expect_status(200).unwrap();
        let coding = response
            .field("content-encoding")
            .map(|coding| coding.escape_ascii().to_string());
        assert_eq!(coding.as_deref(), expected, "{accepted:.60}");
        assert_eq!(response.list("vary"), ["accept-encoding"], "{accepted:.60}");
        assert_eq!(response.framing, Framing::Length(response.body.len()));
        assert!(decoded(&response) == vec![b'x'; 100_000], "{accepted:.60}");
        let weak = response.field("etag").is_some_and(|tag| tag.starts_with(b"W/\""));
        assert_eq!(weak, expected.is_some(), "{response:?}");
    }
}

#[test]
fn every_coding_and_size_decodes() {
    let (_server, mut connection) = server();
    for coding in CODINGS {
        for bytes in [1024, 65_536, 1_000_000, 8_000_000] {
            let response = ask(
                &mut connection,
                "GET",
                &format!("/compress?n={bytes}"),
                &accepting(coding),
            )
            .unwrap();
            assert_eq!(response.list("content-encoding"), [*coding]);
            assert!(decoded(&response) == vec![b'x'; bytes], "{coding} {bytes}");
        }
    }
}

#[test]
fn compresses_flush_by_flush() {
    let (_server, mut connection) = server();
    for coding in CODINGS {
        let response = ask(&mut connection, "GET", "/compress?n=4000&flush=1", &accepting(coding)).unwrap();
        assert_eq!(response.framing, Framing::Chunked);
        assert_eq!(response.list("content-encoding"), [*coding]);
        assert_eq!(response.field("etag"), None);
        // Four flushes, and the end of the compressed content.
        assert_eq!(response.chunks.len(), 5, "{coding}");
        assert_eq!(decoded(&response), vec![b'x'; 4000], "{coding}");
        let large = ask(
            &mut connection,
            "GET",
            "/compress?n=8000001&flush=1",
            &accepting(coding),
        )
        .unwrap();
        assert!(decoded(&large) == vec![b'x'; 8_000_001], "{coding}");
    }
    let plain = ask(&mut connection, "GET", "/compress?n=4000&flush=1", "").unwrap();
    assert_eq!((plain.chunks.len(), plain.field("content-encoding")), (4, None));
}

#[test]
fn small_compressed_and_encoded_content_stays_as_it_is() {
    let (_server, mut connection) = server();
    for (query, coding, vary) in [
        ("n=1023", None, "accept-encoding"),
        ("n=0", None, "accept-encoding"),
        ("n=5000&type=image/png", None, "accept-encoding"),
        ("n=5000&type=application/json", Some("gzip"), "accept-encoding"),
        ("n=5000&encoding=br", Some("br"), "accept-encoding"),
        ("n=5000&encoding=identity", Some("identity"), "accept-encoding"),
        ("n=5000&vary=Cookie", Some("gzip"), "cookie, accept-encoding"),
        ("n=5000&vary=accept-encoding", Some("gzip"), "accept-encoding"),
        ("n=5000&vary=*", Some("gzip"), "*"),
    ] {
        let response = ask(
            &mut connection,
            "GET",
            &format!("/compress?{query}"),
            &accepting("gzip"),
        )
        .unwrap();
        let found = response.list("content-encoding");
        assert_eq!(found, coding.into_iter().collect::<Vec<_>>(), "{query}");
        assert_eq!(response.list("vary").join(", "), vary, "{query}");
    }
    for refused in [
        "n=67108865",
        "n=-1",
        "n=x",
        "",
        "n=1&type=a%0Db",
        "n=1&vary=a%00",
        "n=1&encoding=%0A",
    ] {
        let response = ask(&mut connection, "GET", &format!("/compress?{refused}"), "").unwrap();
        response.expect_status(400).unwrap();
    }
}

/// RFC 9110 §9.3.2.
#[test]
fn head_has_the_fields_of_get() {
    let (_server, mut connection) = server();
    for target in [
        "/compress?n=5000",
        "/compress?n=50",
        "/compress?n=5000&flush=1",
        "/etag?x=a",
        "/download?name=a",
        "/old/a",
        "/error?code=404",
    ] {
        for coding in ["gzip", "identity"] {
            let fields = |method| {
                let mut response = ask(&mut connection, method, target, &accepting(coding)).unwrap();
                response.fields.retain(|(name, _)| name != "date");
                (response.status, response.fields)
            };
            let [get, head] = ["GET", "HEAD"].map(fields);
            assert_eq!(get, head, "{target} {coding}");
        }
    }
}

/// RFC 9110 §13.1.2, §15.4.5.
#[test]
fn a_client_with_the_page_gets_304() {
    let (_server, mut connection) = server();
    let page = ask(&mut connection, "GET", "/etag?x=hello", "").unwrap();
    page.expect(200, b"hello").unwrap();
    let tag = String::from_utf8(page.field("etag").unwrap().to_vec()).unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for value in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".to_owned()] {
        let response = ask(
            &mut connection,
            "GET",
            "/etag?x=hello",
            &format!("If-None-Match: {value}\r\n"),
        )
        .unwrap();
        response.expect(304, b"").unwrap();
        assert_eq!(response.field("etag"), Some(tag.as_bytes()));
        assert_eq!(
            (response.field("content-type"), response.field("content-length")),
            (None, None)
        );
    }
    for target in ["/etag?x=other", "/etag?x="] {
        let response = ask(&mut connection, "GET", target, &format!("If-None-Match: {tag}\r\n")).unwrap();
        response.expect_status(200).unwrap();
    }
    let failed = ask(&mut connection, "GET", "/etag?x=hello", "If-Match: \"a\"\r\n").unwrap();
    failed.expect_status(412).unwrap();
    let plain = ask(&mut connection, "GET", "/compress?n=5000", "").unwrap();
    let tag = String::from_utf8(plain.field("etag").unwrap().to_vec()).unwrap();
    let fields = format!("Accept-Encoding: gzip\r\nIf-None-Match: W/{tag}\r\n");
    let response = ask(&mut connection, "GET", "/compress?n=5000", &fields).unwrap();
    response.expect(304, b"").unwrap();
    assert_eq!(
        (response.list("vary"), response.field("content-encoding")),
        (vec!["accept-encoding".to_owned()], None)
    );
}

#[test]
fn redirects_with_the_status_and_the_encoded_location() {
    let (_server, mut connection) = server();
    for (query, status, location) in [
        ("to=/a", 302, Some("/a")),
        ("to=/a&status=301", 301, Some("/a")),
        ("to=/a&status=303", 303, Some("/a")),
        ("to=/a&status=307", 307, Some("/a")),
        ("to=/a&status=308", 308, Some("/a")),
        ("to=/caf%C3%A9?x=%26", 302, Some("/caf%C3%A9?x=&")),
        ("to=https://example.org/", 302, Some("https://example.org/")),
        ("to=/a&status=200", 400, None),
        ("to=/a&status=x", 400, None),
        ("to=/a%0D%0AX-Injected:%201", 400, None),
        ("to=%FF", 400, None),
        ("", 400, None),
    ] {
        let response = ask(&mut connection, "GET", &format!("/redirect?{query}"), "").unwrap();
        response.expect_status(status).unwrap();
        assert_eq!(response.field("location"), location.map(str::as_bytes), "{query}");
        assert_eq!(response.field("x-injected"), None);
    }
}

/// `docs/threats.md#redirect-elsewhere`: whatever the path says, the location is a path of this host as a browser reads it.
#[test]
fn an_old_path_leads_to_this_host() {
    let (_server, mut connection) = server();
    for (target, location) in [
        ("/old/a/b?c=d&e", "/a/b?c=d&e"),
        ("/old/a%2Fb%20c", "/a%2Fb%20c"),
        ("/old//evil.example/a", "/evil.example/a"),
        ("/old////evil.example", "/evil.example"),
        ("/old/\\evil.example", "/%5Cevil.example"),
        ("/old/\\/evil.example", "/%5C/evil.example"),
        ("/old/%5Cevil.example", "/%5Cevil.example"),
        ("/old/%2F%2Fevil.example", "/%2F%2Fevil.example"),
        ("/old/%09/evil.example", "/%09/evil.example"),
        ("/old/https://evil.example", "/https://evil.example"),
        ("/old/..//evil.example", "/..//evil.example"),
        ("/old/%0D%0AX-Injected:1", "/%0D%0AX-Injected:1"),
    ] {
        for method in ["GET", "HEAD"] {
            let response = ask(&mut connection, method, target, "").unwrap();
            response.expect_status(301).unwrap();
            assert_eq!(response.field("location"), Some(location.as_bytes()), "{target}");
        }
    }
}

/// `docs/threats.md#header-injection`: a field goes out as it was given or not at all, and the connection stays in step.
#[test]
fn a_field_of_the_client_stays_one_line() {
    let (_server, mut connection) = server();
    for (name, value, expected) in [
        ("X-A", "b", Some("b")),
        ("X-A", "a%20b", Some("a b")),
        ("X-A", "", Some("")),
        ("X-A", "b%0D%0AX-Injected:%201", None),
        ("X-A", "b%00", None),
        ("X%20A", "b", None),
        ("X-A%3A", "b", None),
        ("", "b", None),
        ("Content-Length", "1", None),
        ("content-length", "0", None),
        ("Transfer-Encoding", "chunked", None),
        ("Connection", "close", None),
        ("Upgrade", "h2c", None),
    ] {
        let response = ask(
            &mut connection,
            "GET",
            &format!("/header?name={name}&value={value}"),
            "",
        )
        .unwrap();
        let found = response.field("x-a").map(|value| value.escape_ascii().to_string());
        if expected.is_some() {
            response.expect(200, b"ok").unwrap();
        } else {
            response.expect_status(400).unwrap();
        }
        assert_eq!(found.as_deref(), expected, "{name}: {value}");
        assert_eq!(response.field("x-injected"), None);
    }
}

/// RFC 6266 §4, RFC 8187 §3.2.
#[test]
fn a_download_has_its_name() {
    let (_server, mut connection) = server();
    for (name, expected) in [
        ("report.pdf", "attachment; filename=\"report.pdf\""),
        (
            "%E2%82%AC%20%22x%22.txt",
            "attachment; filename=\"_ _x_.txt\"; filename*=UTF-8''%E2%82%AC%20%22x%22.txt",
        ),
    ] {
        let response = ask(&mut connection, "GET", &format!("/download?name={name}"), "").unwrap();
        response.expect(200, b"download").unwrap();
        assert_eq!(response.field("content-disposition"), Some(expected.as_bytes()));
    }
    for name in ["a%0Ab", "a%00", "%FF"] {
        let response = ask(&mut connection, "GET", &format!("/download?name={name}"), "").unwrap();
        response.expect_status(400).unwrap();
        assert_eq!(response.field("content-disposition"), None);
    }
}

/// `docs/threats.md#error-page`.
#[test]
fn error_pages_are_html_or_json_and_escape_what_they_are_given() {
    let (_server, mut connection) = server();
    let page = |connection: &mut Connection, target: &str, accept: &str| -> Outcome<(u16, String, String)> {
        let response = ask(connection, "GET", target, accept)?;
        ensure(response.field("x-content-type-options") == Some(b"nosniff"), || {
            format!("{response:?}")
        })?;
        let media_type = response
            .field("content-type")
            .unwrap_or_default()
            .escape_ascii()
            .to_string();
        Ok((
            response.status,
            media_type,
            String::from_utf8_lossy(&response.body).into_owned(),
        ))
    };
    for accept in ["", "Accept: */*\r\n", "Accept: text/html, application/json;q=0.9\r\n"] {
        let (status, media_type, text) = page(&mut connection, "/error?code=404", accept).unwrap();
        assert_eq!((status, &*media_type), (404, "text/html; charset=utf-8"));
        assert!(text.contains("<h1>404 Not Found</h1>"), "{text}");
    }
    for target in ["/error?code=404", "/nowhere"] {
        let (status, media_type, text) = page(&mut connection, target, "Accept: application/json\r\n").unwrap();
        assert_eq!((status, &*media_type), (404, "application/json"));
        assert_eq!(text, "{\"status\":404,\"error\":\"Not Found\"}\n");
    }
    let attack = "/error?code=400&reason=%3Cscript%3Ealert(1)%3C/script%3E";
    for accept in ["", "Accept: application/json\r\n"] {
        let (status, _, text) = page(&mut connection, attack, accept).unwrap();
        assert!(status == 400 && !text.contains("<script"), "{text}");
    }
    for (target, status) in [
        ("/error?code=399", 400),
        ("/error?code=600", 400),
        ("/error?code=599", 599),
        ("/error?code=418", 418),
        ("/error?code=x", 400),
        ("/error", 400),
    ] {
        assert_eq!(page(&mut connection, target, "").unwrap().0, status, "{target}");
    }
}

/// RFC 9112 §4.
#[test]
fn a_legal_reason_is_the_reason_phrase() {
    let server = Server::shared();
    for_each_case(
        [
            ("Not%20Today", "HTTP/1.1 404 Not Today\r\n"),
            ("%3Cscript%3E", "HTTP/1.1 404 Not Found\r\n"),
            ("OK%0D%0AX-Injected:%201", "HTTP/1.1 404 Not Found\r\n"),
            ("caf%C3%A9", "HTTP/1.1 404 Not Found\r\n"),
        ],
        |(reason, _)| (*reason).to_owned(),
        |(reason, line)| {
            let mut connection = server.connect();
            connection.send(&get_with(
                &format!("/error?code=404&reason={reason}"),
                b"Connection: close\r\n",
            ))?;
            let mut received = Vec::new();
            while !connection.is_at_end()? {
                received.extend(connection.some()?);
            }
            ensure(received.starts_with(line.as_bytes()), || {
                format!("not {line}: {}", received.escape_ascii())
            })?;
            let head = received.split(|&byte| byte == b'<').next().unwrap_or_default();
            let is_injected = head
                .windows(10)
                .any(|window| window.eq_ignore_ascii_case(b"x-injected"));
            ensure(!is_injected, || "the reason became a field".to_owned())
        },
    );
}

#[test]
fn a_failed_handler_tells_nothing_of_the_inside() {
    let (_server, mut connection) = server();
    for accept in ["", "Accept: application/json\r\n", "Accept: text/plain\r\n"] {
        let response = ask(&mut connection, "GET", "/boom", accept).unwrap();
        response.expect_status(500).unwrap();
        assert!(
            !String::from_utf8_lossy(&response.body).contains("7391"),
            "{response:?}"
        );
    }
}

#[test]
fn a_developer_sees_causes_only_with_the_flag() {
    let server = Server::start("conformance", &["--debug"]);
    let mut connection = server.connect();
    let fields = "Accept: text/plain\r\nCookie: a=secret\r\n";
    let response = ask(&mut connection, "GET", "/boom?q=1", fields).unwrap();
    response.expect_status(500).unwrap();
    let page = String::from_utf8_lossy(&response.body);
    for part in ["detail-7391", "/boom\n", "GET /boom?q=1\n", "cookie: (hidden)"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("secret"), "{page}");
}

#[test]
fn a_handler_that_fails_after_a_flush_leaves_no_whole_response() {
    let (_server, mut connection) = server();
    connection.send(&get("/boom/late")).unwrap();
    let cut = connection.response("GET").unwrap_err();
    assert!(!cut.contains("7391"), "{cut}");
}

/// RFC 9110 §15.5.6.
#[test]
fn other_methods_are_not_allowed() {
    let (_server, mut connection) = server();
    for target in [
        "/compress?n=1",
        "/etag?x=a",
        "/redirect?to=/",
        "/old/a",
        "/header",
        "/download",
        "/error",
        "/boom",
    ] {
        let response = ask(&mut connection, "DELETE", target, "").unwrap();
        response.expect_status(405).unwrap();
        let allowed = response.list("allow");
        assert!(
            allowed.contains(&"get".to_owned()) && allowed.contains(&"head".to_owned()),
            "{target}: {allowed:?}"
        );
    }
}
