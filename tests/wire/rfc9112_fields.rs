//! RFC 9112 §5 and RFC 9110 §5: valid field lines; `/headers` shows how they were read.
//!
//! Malformed field lines are in `smuggling`.

use crate::harness::*;

/// Sends `GET /headers` with field lines and gives the lines the handler saw after `host: a`.
fn seen(fields: &[u8]) -> Outcome<Vec<Vec<u8>>> {
    let server = Server::shared();
    let response = server.connect().exchange(&get_with("/headers", fields), "GET")?;
    response.expect_status(200)?;
    let mut lines = response
        .body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect::<Vec<_>>();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    ensure(lines.first().is_some_and(|line| line == b"host: a"), || {
        format!("the first line is not `host: a`: \"{}\"", show(&response.body))
    })?;
    Ok(lines.split_off(1))
}

fn expect_seen(fields: &[u8], expected: &[&[u8]]) -> Outcome<()> {
    let lines = seen(fields)?;
    ensure(lines == expected, || {
        let lines: Vec<String> = lines.iter().map(|line| show(line)).collect();
        format!("the handler saw {lines:?}")
    })
}

/// RFC 9110 §5.1, §5.3: names are case-insensitive; the order of lines is kept, between and within names.
#[test]
fn hands_on_field_lines_in_order_and_in_lower_case() {
    expect_seen(
        b"X-B: 1\r\nx-a: 2\r\nX-b: 3\r\nACCEPT: */*\r\n",
        &[b"x-b: 1", b"x-a: 2", b"x-b: 3", b"accept: */*"],
    )
    .unwrap();
}

/// RFC 9112 §5.1: optional whitespace around a value is not part of it; only SP and HTAB are whitespace
/// (`docs/threats.md#control-characters`).
#[test]
fn trims_space_and_tab_and_nothing_else() {
    expect_seen(
        b"X-A:v\r\nX-B: \t v w \t \r\nX-C: \xa0v\xa0\r\nX-D: \x85\r\nX-E:\ta\tb\r\n",
        &[b"x-a: v", b"x-b: v w", b"x-c: \xa0v\xa0", b"x-d: \x85", b"x-e: a\tb"],
    )
    .unwrap();
}

/// RFC 9110 §5.5: a value may be empty, and keeps the bytes of its obs-text.
#[test]
fn keeps_every_byte_a_value_may_have() {
    let printable: Vec<u8> = (0x21..=0x7e).collect();
    let high: Vec<u8> = (0x80..=0xff).collect();
    expect_seen(
        &bytes(&[b"X-A: ", &printable, b"\r\nX-B: ", &high, b"\r\n"]),
        &[&bytes(&[b"x-a: ", &printable]), &bytes(&[b"x-b: ", &high])],
    )
    .unwrap();

    let lines = seen(b"X-Empty:\r\nX-Blank: \t \r\n").unwrap();
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.trim_ascii_end()).collect();
    assert_eq!(lines, [&b"x-empty:"[..], b"x-blank:"]);
}

/// RFC 9110 §5.6.2: a name is a token; the server decides about `_` (`docs/threats.md#malformed-field-name`).
#[test]
fn accepts_every_token_byte_in_a_name() {
    expect_seen(b"!#$%&'*+-.^`|~09azAZ: v\r\n", &[b"!#$%&'*+-.^`|~09azaz: v"]).unwrap();
}

/// RFC 9110 §5.1: framing and routing do not depend on the case of names either.
#[test]
fn reads_its_own_fields_in_any_case() {
    let server = Server::shared();
    answered(
        &server,
        b"POST /echo HTTP/1.1\r\nhOsT: a\r\ncONTENT-lENGTH: 5\r\n\r\nhello",
        200,
        b"hello",
    )
    .unwrap();
    answered(
        &server,
        b"POST /echo HTTP/1.1\r\nHOST: a\r\ntransfer-ENCODING: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        200,
        b"hello",
    )
    .unwrap();
}

/// RFC 9112 §3.2, RFC 9110 §7.2: `Host` is a uri-host with an optional port, and may be empty.
#[test]
fn accepts_every_form_of_host() {
    let server = Server::shared();
    for_each_case(
        [
            "a",
            "a.example:8080",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8888",
            "a-b.c_d~e",
            "A.EXAMPLE",
            "",
        ],
        |host| (*host).to_owned(),
        |host| {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            answered(&server, request.as_bytes(), 200, b"ok")
        },
    );
}

/// RFC 9112 §3.2: a `Host` that is not a uri-host is refused in HTTP/1.0 too.
#[test]
fn refuses_a_host_with_whitespace_in_it() {
    all_refused(
        &[
            b"GET / HTTP/1.0\r\nHost: foo bar\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: foo bar\r\n\r\n".to_vec(),
        ],
        400,
    );
}
