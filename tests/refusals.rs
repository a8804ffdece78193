//! Requests that no handler gets are answered by the application's error page, which can neither stream nor wait.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use squall::prelude::*;
use support::client::Connection;
use support::response::Response;
use support::running::Running;
use support::{ensure, for_each_case};

/// An error page of an API: the status as JSON, and what it sees of the request.
fn json_page(cx: &mut Context, error: &Error) -> Json<(u16, String, String, usize)> {
    let fields = cx.headers().iter().count();
    Json((
        error.status().as_u16(),
        cx.method().to_string(),
        cx.path().to_owned(),
        fields,
    ))
}

async fn upload(cx: &mut Context) -> Result {
    cx.body().await?;
    Ok(())
}

fn application() -> Application {
    Application::new().post("/upload", upload).max_body_bytes(10)
}

fn start(application: impl Fn() -> Application + Send + Sync + 'static) -> Running {
    let server = Server::new(application).shards(1);
    Running::serve(server.header_timeout(Duration::from_millis(200)))
}

/// Sends a request that is refused, and returns the response after the connection has closed.
fn refused(server: &Running, request: &[u8]) -> support::Outcome<Response> {
    let mut connection = Connection::open(server.address);
    connection.send_if_open(request);
    let response = connection.response("GET")?;
    ensure(response.announces_close(), || {
        format!("no `Connection: close`: {response:?}")
    })?;
    connection.expect_closed()?;
    Ok(response)
}

fn malformed() -> Vec<(Vec<u8>, u16)> {
    let long = "a".repeat(40_000);
    vec![
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Token secret\r\n\r\n".to_vec(), 400),
        (b"GET\r\n\r\n".to_vec(), 400),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_vec(),
            501,
        ),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_vec(), 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n".to_vec(), 417),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n").into_bytes(),
            431,
        ),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(), 414),
        // Its head is never completed.
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: secret".to_vec(), 408),
    ]
}

#[test]
fn the_error_page_of_the_application_answers_what_the_parser_refuses() {
    let server = start(|| application().error_page(json_page));
    for_each_case(
        malformed(),
        |(request, status)| format!("{status} {}", support::show(request)),
        |(request, status)| {
            let response = refused(&server, request)?;
            let expected = format!("[{status},\"GET\",\"\",0]");
            response.expect(*status, expected.as_bytes())?;
            ensure(response.field("content-type") == Some(b"application/json"), || {
                format!("{response:?}")
            })
        },
    );
    let content = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890";
    let response = refused(&server, content).unwrap();
    response.expect(413, b"[413,\"POST\",\"/upload\",2]").unwrap();
}

#[test]
fn the_page_of_a_refused_request_sees_nothing_of_the_request_before_it() {
    let server = start(|| application().error_page(json_page));
    let mut connection = Connection::open(server.address);
    let first = b"POST /upload HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nContent-Length: 1\r\n\r\n1";
    let answered = connection.exchange(first, "POST").unwrap();
    assert_eq!(answered.status, 200);
    connection.send(b"GET / HTTP/1.1\r\nHost").unwrap();
    let late = connection.response("GET").unwrap();
    late.expect(408, b"[408,\"GET\",\"\",0]").unwrap();
}

/// The name of a case, and its application.
type Case = (&'static str, fn() -> Application);

#[test]
fn an_error_page_that_fails_or_streams_gives_way_to_the_default_page() {
    let pages: [Case; 4] = [
        ("a panic", || {
            application().error_page(|_: &mut Context, _: &Error| -> String { panic!("a page panics") })
        }),
        ("an error", || {
            application().error_page(|_: &mut Context, _: &Error| -> Result { Err(HttpError::new(503).into()) })
        }),
        ("a stream without end", || {
            application().error_page(|cx: &mut Context, _: &Error| {
                cx.stream(futures_util::stream::pending::<Result<Bytes>>());
            })
        }),
        ("no page", application),
    ];
    for_each_case(
        pages,
        |(name, _)| (*name).to_owned(),
        |(_, application): &Case| {
            let response = refused(&start(*application), b"GET / HTTP/3.0\r\nHost: a\r\n\r\n")?;
            response.expect_status(505)?;
            let page = b"<h1>505 HTTP Version Not Supported</h1>\n<p>the major version of HTTP is not 1</p>\n";
            ensure(response.body.ends_with(page), || format!("{response:?}"))
        },
    );
}

#[test]
fn an_error_page_that_cannot_be_sent_gives_way_to_a_line_of_text() {
    let server = start(|| {
        application().error_page(|cx: &mut Context, _: &Error| -> Result {
            cx.set_status(StatusCode::RESET_CONTENT);
            cx.set_header("transfer-encoding", "gzip")
        })
    });
    let response = refused(&server, b"GET / HTTP/3.0\r\nHost: a\r\n\r\n").unwrap();
    ensure(matches!(response.status, 205 | 505), || format!("{response:?}")).unwrap();
}
