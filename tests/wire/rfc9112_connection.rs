//! RFC 9112 §9: the life of a connection, who closes it, and the order of responses.

use crate::harness::*;

/// RFC 9112 §9.3: HTTP/1.1 connections persist by default.
#[test]
fn keeps_a_connection_for_many_requests() {
    let server = Server::shared();
    let mut connection = server.connect();
    for number in 0..200 {
        let response = connection.exchange(&get(&format!("/p/{number}")), "GET").unwrap();
        response.expect(200, number.to_string().as_bytes()).unwrap();
        assert!(!response.announces_close(), "request {number}: {response:?}");
    }
}

/// RFC 9112 §9.3: an error response does not end the connection by itself.
#[test]
fn keeps_a_connection_after_404_and_405() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection
        .exchange(&get("/nowhere"), "GET")
        .unwrap()
        .expect_status(404)
        .unwrap();
    connection
        .exchange(&get("/echo"), "GET")
        .unwrap()
        .expect_status(405)
        .unwrap();
    still_usable(&mut connection).unwrap();
}

/// RFC 9112 §9.3.2: pipelined requests are answered in the order they came.
#[test]
fn answers_pipelined_requests_in_order() {
    let server = Server::shared();
    let mut connection = server.connect();
    let pipeline = bytes(&[
        &get("/p/first"),
        &post_length(b"second"),
        &get("/stream"),
        &post_chunked(b"6\r\nfourth\r\n0\r\n\r\n"),
        &get("/nowhere"),
        &get("/big?n=100000"),
        &get("/p/last"),
    ]);
    connection.send(&pipeline).unwrap();
    connection.response("GET").unwrap().expect(200, b"first").unwrap();
    connection.response("POST").unwrap().expect(200, b"second").unwrap();
    connection.response("GET").unwrap().expect(200, b"onetwothree").unwrap();
    connection.response("POST").unwrap().expect(200, b"fourth").unwrap();
    connection.response("GET").unwrap().expect_status(404).unwrap();
    assert_eq!(connection.response("GET").unwrap().body.len(), 100_000);
    connection.response("GET").unwrap().expect(200, b"last").unwrap();
}

/// RFC 9112 §9.6: a request with the close option is the last one. Its response says so, and requests pipelined
/// behind it are not served.
#[test]
fn closes_after_a_request_that_says_close() {
    let server = Server::shared();
    for_each_case(
        ["close", "Close", "CLOSE", "x, close", "close , x", "keep-alive,\tclose"],
        |option| (*option).to_owned(),
        |option| {
            let mut connection = server.connect();
            let request = get_with("/", format!("Connection: {option}\r\n").as_bytes());
            connection.send_if_open(&bytes(&[&request, CANARY]));
            let response = connection.response("GET")?;
            response.expect(200, b"ok")?;
            ensure(response.announces_close(), || {
                format!("no `Connection: close` in {response:?}")
            })?;
            connection.expect_closed()
        },
    );
}

/// RFC 9110 §7.6.1: the connection options of several lines are one list.
#[test]
fn finds_close_in_a_second_connection_line() {
    let server = Server::shared();
    let mut connection = server.connect();
    let request = get_with("/", b"Connection: x\r\nConnection: close\r\n");
    assert!(connection.exchange(&request, "GET").unwrap().announces_close());
    connection.expect_closed().unwrap();
}

/// RFC 9110 §7.6.1: an option that only contains the letters of `close` is another option.
#[test]
fn does_not_close_for_an_option_that_merely_resembles_close() {
    let server = Server::shared();
    answered(&server, &get_with("/", b"Connection: closed, xclose\r\n"), 200, b"ok").unwrap();
}

/// RFC 9112 §9.3: HTTP/1.0 without keep-alive is one request.
#[test]
fn closes_after_an_http_1_0_request() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection.send_if_open(&bytes(&[b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", CANARY]));
    let response = connection.response("GET").unwrap();
    response.expect(200, b"ok").unwrap();
    assert!(
        !response.list("connection").contains(&"keep-alive".to_owned()),
        "{response:?}"
    );
    connection.expect_closed().unwrap();
}

/// RFC 9112 §9.3, §C.2.2: an HTTP/1.0 client may ask for keep-alive, and the response must confirm it.
#[test]
fn keeps_an_http_1_0_connection_that_asks_for_it() {
    let server = Server::shared();
    for_each_case(
        ["keep-alive", "Keep-Alive", "KEEP-ALIVE"],
        |option| (*option).to_owned(),
        |option| {
            let mut connection = server.connect();
            let request = format!("GET / HTTP/1.0\r\nConnection: {option}\r\n\r\n");
            for _ in 0..2 {
                let response = connection.exchange(request.as_bytes(), "GET")?;
                response.expect(200, b"ok")?;
                ensure(response.list("connection").contains(&"keep-alive".to_owned()), || {
                    format!("no `Connection: keep-alive` in {response:?}")
                })?;
                connection.send(b"\r\n")?;
            }
            connection
                .exchange(b"GET / HTTP/1.0\r\n\r\n", "GET")?
                .expect(200, b"ok")?;
            connection.expect_closed()
        },
    );
}

/// RFC 9112 §9.6: a client that half-closes after its request still gets the response.
#[test]
fn answers_a_client_that_has_half_closed() {
    let server = Server::shared();
    for_each_case(
        [
            (get("/"), "GET", b"ok".to_vec()),
            (post_length(b"hello"), "POST", b"hello".to_vec()),
            (get("/stream"), "GET", b"onetwothree".to_vec()),
            (get("/big?n=3000000"), "GET", vec![b'x'; 3_000_000]),
        ],
        |(request, ..)| show(request),
        |(request, method, body)| {
            let mut connection = server.connect();
            connection.send(request)?;
            connection.half_close()?;
            connection.response(method)?.expect(200, body)?;
            connection.expect_closed()
        },
    );
}

/// RFC 9112 §9.3.2, §9.6: requests pipelined before a half-close are all answered.
#[test]
fn answers_a_whole_pipeline_before_a_half_close() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection
        .send(&bytes(&[&get("/p/1"), &get("/stream"), &get("/p/3")]))
        .unwrap();
    connection.half_close().unwrap();
    let responses = connection.responses_until_end(&[]).unwrap();
    let bodies: Vec<&[u8]> = responses.iter().map(|response| response.body.as_slice()).collect();
    assert_eq!(bodies, [&b"1"[..], b"onetwothree", b"3"]);
}

/// RFC 9112 §8: an incomplete head is not served; the connection ends, with or without a 400.
#[test]
fn ends_quietly_when_the_client_leaves_in_the_middle_of_a_head() {
    let server = Server::shared();
    for_each_case(
        [
            &b""[..],
            b"G",
            b"GET / HTTP/1.1",
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"\r\n",
        ],
        |request| show(request),
        |request| {
            let mut connection = server.connect();
            connection.send(request)?;
            connection.half_close()?;
            let responses = connection.responses_until_end(&[])?;
            let statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
            ensure(statuses.is_empty() || statuses == [400], || {
                format!("answered {statuses:?}")
            })
        },
    );
}

/// A client that leaves in the middle of a download affects no other client.
#[test]
fn survives_a_client_that_leaves_in_the_middle_of_a_download() {
    let server = Server::shared();
    for _ in 0..20 {
        let mut connection = server.connect();
        connection.send(&get("/big?n=5000000")).unwrap();
        assert!(!connection.is_at_end().unwrap(), "the download has begun");
        drop(connection);
        answered(&server, &get("/"), 200, b"ok").unwrap();
    }
}
