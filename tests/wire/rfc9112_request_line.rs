//! RFC 9112 §2–§3: the message as a stream of bytes, the request line, the four forms of a request-target.
//!
//! Malformed request lines are in `smuggling` (`docs/threats.md#malformed-request-line`).

use crate::harness::*;

/// RFC 9112 §3.2.1.
#[test]
fn serves_origin_form_with_and_without_a_query() {
    let server = Server::shared();
    answered(&server, &get("/"), 200, b"ok").unwrap();
    answered(&server, &get("/q?x=1"), 200, b"1").unwrap();
    answered(&server, &get("/?x=1"), 200, b"ok").unwrap();
}

/// RFC 9112 §3.2.2: a server must accept absolute-form; an empty path means `/` (RFC 9110 §4.2.3).
#[test]
fn serves_absolute_form() {
    let server = Server::shared();
    for_each_case(
        [
            ("http://a/", &b"ok"[..]),
            ("http://a", b"ok"),
            ("http://a/q?x=1", b"1"),
            ("http://a/p/segment", b"segment"),
            // §3.2.2: the target's authority replaces Host, which is `a`.
            ("http://a:80/", b"ok"),
            ("http://A/", b"ok"),
            ("http://b/q?x=1", b"1"),
            ("https://a:443/q?x=1", b"1"),
        ],
        |(target, _)| (*target).to_owned(),
        |(target, body)| answered(&server, &get(target), 200, body),
    );
}

/// RFC 9112 §3.2.4: asterisk-form addresses the whole server. The response is the server's choice, but the request is
/// valid and leaves the connection usable.
#[test]
fn understands_asterisk_form_of_options() {
    let server = Server::shared();
    let mut connection = server.connect();
    let response = connection
        .exchange(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS")
        .unwrap();
    assert!([200, 204, 404, 405].contains(&response.status), "{response:?}");
    still_usable(&mut connection).unwrap();
}

/// RFC 9112 §3.2.3, RFC 9110 §9.3.6: an origin server without tunnels must not answer CONNECT with 2xx.
#[test]
fn opens_no_tunnel_for_connect() {
    let server = Server::shared();
    let mut connection = server.connect();
    let response = connection
        .exchange(
            b"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n",
            "CONNECT",
        )
        .unwrap();
    assert!(response.status >= 400, "{response:?}");
}

/// RFC 9112 §2.2: a server should ignore at least one empty line before the request line.
#[test]
fn ignores_one_empty_line_before_the_request_line() {
    let server = Server::shared();
    answered(&server, &bytes(&[b"\r\n", &get("/")]), 200, b"ok").unwrap();

    let mut connection = server.connect();
    connection.send(&bytes(&[&get("/"), b"\r\n", &get("/q?x=2")])).unwrap();
    connection.response("GET").unwrap().expect(200, b"ok").unwrap();
    connection.response("GET").unwrap().expect(200, b"2").unwrap();
}

/// RFC 9112 §2.3, §3.2: HTTP/1.0 does not require `Host`.
#[test]
fn serves_http_1_0_without_host() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection
        .exchange(b"GET / HTTP/1.0\r\n\r\n", "GET")
        .unwrap()
        .expect(200, b"ok")
        .unwrap();
    connection.expect_closed().unwrap();
}

/// RFC 9110 §9.1: method names are case-sensitive, so `get` is another method, and one `/` does not know.
#[test]
fn takes_a_lower_case_method_for_another_method() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection
        .exchange(b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "get")
        .unwrap()
        .expect_status(405)
        .unwrap();
    still_usable(&mut connection).unwrap();
}

/// RFC 9112 §3.2.1: a path that begins with two slashes is a path and not an authority; here it gets 404.
#[test]
fn takes_two_leading_slashes_literally() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection
        .exchange(&get("//p/segment"), "GET")
        .unwrap()
        .expect_status(404)
        .unwrap();
    still_usable(&mut connection).unwrap();
}

/// RFC 9112 §3: bytes that do not begin with a request line are refused with 400.
#[test]
fn refuses_what_is_not_http() {
    all_refused(
        &[
            b"asdf\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n".to_vec(),
            b"{\"method\":\"GET\"}\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nHost: a\r\n\r\n".to_vec(),
        ],
        400,
    );
}

/// RFC 9113 §3.4: without HTTP/2, its preface has an unsupported major version, and a target that only OPTIONS may
/// have. Either is a reason to refuse it.
#[test]
fn refuses_the_http_2_preface() {
    let server = Server::start("conformance", &["--no-http2"]);
    refused_with_one_of(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 505]).unwrap();
}
