//! CORS as browsers read it (Fetch standard, "HTTP extensions"). The contract of `conformance`.

use crate::harness::{Connection, Response, Server, bytes, still_usable};

/// The one origin that `/cors` allows.
const ALLOWED: &str = "Origin: https://app.example\r\n";

/// The fields that only answers to an allowed origin have.
const ALLOWING: [&str; 5] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
];

fn ask(connection: &mut Connection, method: &str, fields: &str) -> Response {
    let head = format!("{method} /cors HTTP/1.1\r\nHost: a\r\n{fields}");
    let response = connection
        .exchange(&bytes(&[head.as_bytes(), b"\r\n"]), method)
        .unwrap();
    still_usable(connection).unwrap();
    response
}

fn text<'r>(response: &'r Response, name: &str) -> &'r str {
    core::str::from_utf8(response.field(name).unwrap_or_default()).unwrap()
}

#[test]
fn a_preflight_of_an_allowed_origin_learns_what_it_may_send() {
    let server = Server::shared();
    let mut connection = server.connect();
    for asked in [
        "Access-Control-Request-Method: PUT\r\n",
        "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: content-type,x-token\r\n",
        "access-control-request-method: GET\r\n",
        // The browser reads the list and refuses.
        "Access-Control-Request-Method: DELETE\r\nAccess-Control-Request-Headers: x-other\r\n",
    ] {
        let response = ask(&mut connection, "OPTIONS", &format!("{ALLOWED}{asked}"));
        assert!(matches!(response.status, 200 | 204), "{response:?}");
        assert_eq!(text(&response, "access-control-allow-origin"), "https://app.example");
        assert_eq!(text(&response, "access-control-allow-credentials"), "true");
        assert_eq!(response.list("access-control-allow-methods"), ["get", "put"]);
        assert_eq!(
            response.list("access-control-allow-headers"),
            ["content-type", "x-token"]
        );
        assert_eq!(text(&response, "access-control-max-age"), "600");
        assert!(response.list("vary").contains(&"origin".to_owned()), "{response:?}");
        assert!(response.body.is_empty());
    }
}

#[test]
fn requests_of_an_allowed_origin_may_be_read_with_credentials() {
    let server = Server::shared();
    let mut connection = server.connect();
    for method in ["GET", "HEAD", "PUT"] {
        let response = ask(&mut connection, method, &format!("{ALLOWED}Cookie: a=b\r\n"));
        response.expect_status(200).unwrap();
        assert_eq!(text(&response, "access-control-allow-origin"), "https://app.example");
        assert_eq!(text(&response, "access-control-allow-credentials"), "true");
        assert_eq!(response.list("access-control-expose-headers"), ["x-total"]);
        assert_eq!(response.list("vary"), ["origin"]);
    }
}

#[test]
fn every_other_origin_is_answered_without_permission() {
    let server = Server::shared();
    let mut connection = server.connect();
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "https://xapp.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example/",
        "https://APP.example",
        "https://app.example https://evil.example",
        "https://app.example, https://evil.example",
        "null",
        "*",
        "",
    ] {
        let fields = format!("Origin: {origin}\r\n");
        let preflight = format!("{fields}Access-Control-Request-Method: PUT\r\n");
        for response in [
            ask(&mut connection, "GET", &fields),
            ask(&mut connection, "OPTIONS", &preflight),
        ] {
            assert!(response.status < 300, "{origin}: {response:?}");
            for name in ALLOWING {
                assert_eq!(response.field(name), None, "{origin}");
            }
            assert!(response.list("vary").contains(&"origin".to_owned()), "{origin}");
        }
    }
    // A proxy may have checked the other line.
    let two = ask(
        &mut connection,
        "GET",
        &format!("{ALLOWED}Origin: https://evil.example\r\n"),
    );
    assert_eq!(two.field("access-control-allow-origin"), None);
}

#[test]
fn a_request_without_an_origin_is_answered_as_any_other_and_varies_by_it() {
    let server = Server::shared();
    let mut connection = server.connect();
    let plain = ask(&mut connection, "GET", "");
    plain.expect(200, b"cors").unwrap();
    assert_eq!(plain.list("vary"), ["origin"]);
    assert_eq!(plain.field("access-control-allow-origin"), None);
    // Without both fields of a preflight, OPTIONS is a method like any other.
    for fields in ["", ALLOWED, "Access-Control-Request-Method: PUT\r\n"] {
        let response = ask(&mut connection, "OPTIONS", fields);
        response.expect_status(405).unwrap();
        assert_eq!(response.list("allow"), ["get", "head", "put"]);
    }
    let refused = ask(&mut connection, "DELETE", ALLOWED);
    refused.expect_status(405).unwrap();
    assert_eq!(text(&refused, "access-control-allow-origin"), "https://app.example");
}
