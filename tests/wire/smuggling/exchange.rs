//! The boundary between two exchanges (RFC 9112 §9, RFC 9110 §7.8, §10.1.1), and application data in a head.

use super::post_lines;
use crate::harness::*;

/// RFC 9110 §9.3.1, RFC 9112 §6: the body belongs to its request, for every method
/// (`docs/threats.md#content-of-any-method`).
#[test]
fn reads_content_as_content_for_every_method() {
    let server = Server::shared();
    for_each_case(
        ["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH", "FOO"],
        |method| (*method).to_owned(),
        |method| {
            let head = format!(
                "{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                CANARY.len()
            );
            one_answer_then_fresh_request(&server, &bytes(&[head.as_bytes(), CANARY]), method)?;
            let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            let size = format!("{:x}\r\n", CANARY.len());
            let request = bytes(&[head.as_bytes(), size.as_bytes(), CANARY, b"\r\n0\r\n\r\n"]);
            one_answer_then_fresh_request(&server, &request, method)
        },
    );
}

/// Checks that a request whose body is the canary gets one response. If the connection stays open, its next response is
/// to the next request.
fn one_answer_then_fresh_request(server: &Server, request: &[u8], method: &str) -> Outcome<()> {
    let mut connection = server.connect();
    connection.send(request)?;
    let first = connection.response(method)?;
    if first.announces_close() {
        return connection.expect_closed();
    }
    connection.exchange(&get("/p/fresh"), "GET")?.expect(200, b"fresh")
}

/// RFC 9112 §9.3: a large body that the handler does not read is drained, or the connection closes
/// (`docs/threats.md#unread-content`).
#[test]
fn never_parses_the_rest_of_an_unread_body() {
    let server = Server::shared();
    let body: Vec<u8> = CANARY.iter().copied().cycle().take(1024 * 1024).collect();
    for_each_case(
        [("GET", "/", 200), ("POST", "/", 405), ("POST", "/nowhere", 404)],
        |(method, target, _)| format!("{method} {target}"),
        |(method, target, status)| {
            let mut connection = server.connect();
            connection.tolerate_reset();
            let head = format!(
                "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let sending = connection.send_in_background(bytes(&[head.as_bytes(), &body]), usize::MAX);
            connection.response(method)?.expect_status(*status)?;
            sending.finish();
            drop(connection.half_close());
            connection.expect_closed()
        },
    );
}

/// RFC 9110 §10.1.1: a body that has arrived is read whether or not 100 was sent (`docs/threats.md#expectations`).
#[test]
fn reads_a_body_that_did_not_wait_for_100() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection
        .send(&post(b"Content-Length: 5\r\nExpect: 100-continue\r\n", b"hello"))
        .unwrap();
    connection
        .final_response("POST")
        .unwrap()
        .expect(200, b"hello")
        .unwrap();
    still_usable(&mut connection).unwrap();
}

/// RFC 9110 §10.1.1: an unknown expectation is refused with 417 (`docs/threats.md#expectations`).
#[test]
fn answers_417_to_an_unknown_expectation() {
    let expectations: [&[u8]; 3] = [b"Expect: y 100-continue", b"Expect: 100-continue, x", b"Expect: x"];
    all_refused(
        &expectations.map(|line| post_lines(&[b"Content-Length: 5", line], b"hello")),
        417,
    );
}

/// After a final response that came before the body, the body is drained as a body, or the connection closes
/// (`docs/threats.md#expectations`).
#[test]
fn never_parses_the_body_after_an_early_final_answer() {
    let server = Server::shared();
    for_each_case(
        [("/", 405), ("/nowhere", 404)],
        |(target, _)| (*target).to_owned(),
        |(target, status)| {
            let mut connection = server.connect();
            connection.tolerate_reset();
            let head = format!(
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
                CANARY.len()
            );
            connection.exchange(head.as_bytes(), "POST")?.expect_status(*status)?;
            connection.send_if_open(CANARY);
            drop(connection.half_close());
            connection.expect_closed()
        },
    );
}

/// RFC 9110 §7.8: after a declined upgrade the next bytes are HTTP/1.1 (`docs/threats.md#declined-upgrade`).
#[test]
fn stays_with_http_1_when_an_upgrade_is_not_granted() {
    let server = Server::shared();
    let upgrades: [&[u8]; 3] = [
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        b"Connection: Upgrade\r\nUpgrade: nonsense/1.0\r\n",
    ];
    for_each_case(
        upgrades,
        |upgrade| show(upgrade),
        |upgrade| {
            let mut connection = server.connect();
            connection.send(&bytes(&[&get_with("/", upgrade), CANARY]))?;
            connection.response("GET")?.expect(200, b"ok")?;
            connection.response("GET")?.expect(200, SONG)
        },
    );
}

/// An empty `Upgrade` may be refused, and never changes the protocol (`docs/threats.md#declined-upgrade`).
#[test]
fn stays_with_http_1_when_upgrade_is_empty() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection.send_if_open(&bytes(&[
        &get_with("/", b"Connection: Upgrade\r\nUpgrade:\r\n"),
        CANARY,
    ]));
    let first = connection.response("GET").unwrap();
    if first.status == 400 {
        connection.expect_closed().unwrap();
    } else {
        first.expect(200, b"ok").unwrap();
        connection.response("GET").unwrap().expect(200, SONG).unwrap();
    }
}

/// RFC 9112 §9.3.2: garbage behind valid requests is refused after their responses (`docs/threats.md#pipelining`).
#[test]
fn refuses_garbage_after_the_valid_answers() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection.send_if_open(&bytes(&[
        &get("/p/1"),
        &get("/stream"),
        &get("/p/3"),
        b"\x00garbage\r\n\r\n",
        CANARY,
    ]));
    connection.response("GET").unwrap().expect(200, b"1").unwrap();
    connection.response("GET").unwrap().expect(200, b"onetwothree").unwrap();
    connection.response("GET").unwrap().expect(200, b"3").unwrap();
    expect_refusal(&mut connection, &[400]).unwrap();
}

/// RFC 9110 §9.3.2, §15.3.5, §15.4.5: a head that must have no content ends the response. So the next response is found
/// where it begins (`docs/threats.md#wrong-content-length`).
#[test]
fn sends_no_content_after_head_204_and_304() {
    let server = Server::shared();
    let mut connection = server.connect();
    let requests: [(&str, &str, u16); 5] = [
        ("HEAD", "/", 200),
        ("GET", "/status/204", 204),
        ("GET", "/status/304", 304),
        ("HEAD", "/nowhere", 404),
        ("HEAD", "/", 200),
    ];
    let mut pipeline = Vec::new();
    for (method, target, _) in requests {
        pipeline.extend_from_slice(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    }
    connection.send(&bytes(&[&pipeline, CANARY])).unwrap();
    for (method, target, status) in requests {
        let response = connection.response(method).unwrap();
        assert_eq!(response.status, status, "{method} {target}");
    }
    connection.response("GET").unwrap().expect(200, SONG).unwrap();
}

/// RFC 9110 §5.5: application data cannot start a new line in a head (`docs/threats.md#header-injection`).
#[test]
fn refuses_line_ends_and_nul_from_user_data() {
    let server = Server::shared();
    let values = [
        "%0d%0aEvil:%201",
        "a%0d%0aEvil:%201",
        "a%0aEvil:%201",
        "a%0dEvil:%201",
        "a%00b",
        "%0D%0A%0D%0AHTTP/1.1%20200%20OK%0D%0AContent-Length:%200%0D%0A%0D%0A",
        "a%0d%0a",
        // Harmless, but every recipient strips it (RFC 9110 §5.5), so it would not come back unchanged.
        "%20a%20",
        "%09a",
    ];
    for_each_case(
        values,
        |value| (*value).to_owned(),
        |value| {
            let mut connection = server.connect();
            let response = connection.exchange(&get(&format!("/arg?x={value}")), "GET")?;
            ensure((400..500).contains(&response.status), || {
                format!("expected 4xx, got {response:?}")
            })?;
            ensure(
                response
                    .fields
                    .iter()
                    .all(|(name, _)| name != "evil" && name != "x-arg"),
                || format!("something got through: {response:?}"),
            )?;
            if response.announces_close() {
                return connection.expect_closed();
            }
            still_usable(&mut connection)
        },
    );
}
