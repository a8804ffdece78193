//! `/upload/stream`: what is refused is refused as soon as it can be known, and nothing of a form is held.

use crate::harness::*;

/// The length that these requests announce and never send.
const ANNOUNCED_BYTES: usize = 100_000_000;

/// Sends the head and the start of an upload, and expects a refusal without the rest.
#[track_caller]
fn refused_early(server: &Server, start: &[u8], status: u16) {
    let head = post_head(
        "/upload/stream",
        MULTIPART,
        &format!("Content-Length: {ANNOUNCED_BYTES}\r\n"),
    );
    let mut connection = server.connect();
    connection.send(&[&head, start].concat()).unwrap();
    let response = connection.response("POST").unwrap();
    assert_eq!(response.status, status, "{}: {}", show(start), show(&response.body));
    assert!(response.announces_close());
    connection.expect_closed().unwrap();
}

#[test]
fn what_is_refused_is_refused_before_the_rest_arrives() {
    let server = Server::shared();
    refused_early(&server, b"preamble", 400);
    refused_early(&server, b"--b-1x", 400);
    refused_early(&server, b"--b-1\r\nContent-Disposition: form-data\r\n\r\n", 400);
    refused_early(&server, format!("--b-1\r\nX: {}", "y".repeat(20_000)).as_bytes(), 400);
    let field = format!("--b-1\r\n{}\r\n\r\n", named("name=\"a\""));
    refused_early(
        &server,
        [field.as_bytes(), &[b'x'; 64 * 1024 + 200]].concat().as_slice(),
        413,
    );
    let parts = format!("{field}\r\n").repeat(100) + "--b-1\r\n";
    refused_early(&server, parts.as_bytes(), 413);
    let latin_1 = [field.as_bytes(), b"\xe9\r\n--b-1\r\n"].concat();
    refused_early(&server, &latin_1, 400);
}

#[test]
fn a_type_and_a_length_are_refused_by_the_head_alone() {
    let server = Server::start("conformance", &["--max-stream-bytes", "1000"]);
    for expect in ["", "Expect: 100-continue\r\n"] {
        for (content_type, length, status) in [
            (MULTIPART, 1001, 413),
            ("text/plain", 10, 415),
            ("multipart/form-data", 10, 400),
        ] {
            let fields = format!("Content-Length: {length}\r\n{expect}");
            let mut connection = server.connect();
            connection
                .send(&post_head("/upload/stream", content_type, &fields))
                .unwrap();
            let response = connection.response("POST").unwrap();
            assert_eq!(response.status, status, "no 100 comes first");
            connection.expect_closed().unwrap();
        }
    }
    let mut connection = server.connect();
    let fields = "Content-Length: 7\r\nExpect: 100-continue\r\n";
    connection
        .send(&post_head("/upload/stream", MULTIPART, fields))
        .unwrap();
    assert_eq!(connection.response("POST").unwrap().status, 100);
    connection.send(b"--b-1--").unwrap();
    connection
        .response("POST")
        .unwrap()
        .expect(200, br#"{"fields":{},"files":[]}"#)
        .unwrap();
}

/// Memory stays the same while a file passes through.
#[test]
fn a_large_upload_takes_constant_memory() {
    const FILE_BYTES: usize = 64 * 1024 * 1024;
    let server = Server::start("conformance", &[]);
    let content = noise(FILE_BYTES);
    let form = multipart(&[(&named("name=\"f\"; filename=\"n\""), &content)]);
    let small = multipart(&[(&named("name=\"f\"; filename=\"n\""), &content[..200_000])]);
    expect_status(&server, &post("/upload/stream", MULTIPART, &small), 200);
    let before = server.peak_bytes();
    let response = expect_status(&server, &post("/upload/stream", MULTIPART, &form), 200);
    let found: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(found["files"][0], file("f", "n", "application/unknown", &content));
    let grown = server.peak_bytes() - before;
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes");
}
