//! The limits of routes on content, which replace the server's in both directions.

use crate::harness::*;

/// A form whose only file makes it this long.
fn form_of(length: usize) -> Vec<u8> {
    let fields = named("name=\"f\"; filename=\"n\"");
    let rest = multipart(&[(&fields, b"")]).len();
    multipart(&[(&fields, &vec![b'x'; length - rest])])
}

#[test]
fn a_route_takes_more_than_the_server_or_less() {
    let more = Server::start(
        "conformance",
        &[
            "--max-body-bytes",
            "300",
            "--max-upload-bytes",
            "1000",
            "--max-stream-bytes",
            "2000",
        ],
    );
    let less = Server::start(
        "conformance",
        &[
            "--max-body-bytes",
            "5000",
            "--max-upload-bytes",
            "1000",
            "--max-stream-bytes",
            "2000",
        ],
    );
    for (server, others) in [(&more, 300), (&less, 5000)] {
        for (target, limit) in [("/form", 1000), ("/upload", 1000), ("/upload/stream", 2000)] {
            for request in [post, post_chunked] {
                expect_status(server, &request(target, MULTIPART, &form_of(limit)), 200);
                expect_status(server, &request(target, MULTIPART, &form_of(limit + 1)), 413);
            }
        }
        expect_status(server, &post("/echo", "", &vec![b'x'; others]), 200);
        expect_status(server, &post("/echo", "", &vec![b'x'; others + 1]), 413);
    }
}

#[test]
fn the_defaults_are_1_mib_and_1_gib() {
    let server = Server::shared();
    for target in ["/form", "/upload"] {
        expect_status(&server, &post(target, MULTIPART, &form_of(1024 * 1024)), 200);
        expect_status(&server, &post(target, MULTIPART, &form_of(1024 * 1024 + 1)), 413);
    }
    expect_status(
        &server,
        &post("/upload/stream", MULTIPART, &form_of(2 * 1024 * 1024)),
        200,
    );
    let fields = format!("Content-Length: {}\r\n", 1024_u64.pow(3) + 1);
    expect_status(&server, &post_head("/upload/stream", MULTIPART, &fields), 413);
}
