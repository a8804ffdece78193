//! Verification: checks a server's answers before it is measured.
//!
//! Besides the answer itself, it checks that the server parses HTTP. Two pipelined requests get two answers, a request
//! cut in the middle gets one, and an unknown path gets 404. Each answer must carry `Date` (RFC 9110 section 6.6.1), so
//! that all contenders pay for it. An encoded answer is decoded here, and an uploaded file is read.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;

use crate::client::http1::{BlockingClient, Response, get};
use crate::interrupt::Interrupt;
use crate::load::content::{Content, PIECE_BYTES, piece};
use crate::load::progress::NoProgress;
use crate::load::{self, Plan};
use crate::measurement::Cores;
use crate::workload::{Coding, Expectation, Timing, Workload};

/// The address of a server, and whether it speaks TLS.
type Endpoint = (SocketAddr, bool);

/// A path that returns 404 on all contenders.
const UNKNOWN_PATH: &str = "/squall-loadtest-asks-for-what-is-not-there";

/// Bytes of a wrong body in the error.
const EXCERPT_BYTES_MAX: usize = 80;

/// The most bytes that an encoded body is decoded to.
const DECODED_BYTES_MAX: u64 = 1 << 20;

/// Length of the upload that checks a server; no multiple of any buffer.
const UPLOAD_CHECK_BYTES: u64 = (1 << 20) + 3;

/// The file in the scratch folder that an upload is written to.
const UPLOADED_FILE: &str = "upload";

/// Length and connections of the load that checks an echo or a fan-out.
const MESSAGE_CHECK: Duration = Duration::from_millis(200);
const MESSAGE_CHECK_CONNECTIONS: usize = 4;

/// Checks the server at `address`, with the scratch folder `scratch`, against what `workload` expects.
///
/// # Errors
///
/// The first difference, with the expected and the received value.
pub(crate) fn verify(
    address: SocketAddr,
    scratch: &Path,
    workload: &Workload,
    cores: Cores,
    interrupt: &Interrupt,
) -> Result<()> {
    let Some(expect) = &workload.expect else {
        return check_messages(address, workload, cores, interrupt);
    };
    let endpoint = (address, workload.is_secure());
    if workload.is_upload() {
        writes_upload(endpoint, scratch, workload.path(), expect)
            .with_context(|| format!("POST {}", workload.path()))?;
        return refuses_unknown(endpoint).context("a path that does not exist");
    }
    let request = request(address, workload);
    answers_one(endpoint, &request, expect).with_context(|| format!("GET {}", workload.path()))?;
    answers_pipelined(endpoint, &request, expect).context("two requests pipelined in one send")?;
    answers_cut(endpoint, &request, expect).context("a request sent in two parts")?;
    refuses_unknown(endpoint).context("a path that does not exist")
}

/// Runs a short load, which checks each message, and fails on any error.
fn check_messages(address: SocketAddr, workload: &Workload, cores: Cores, interrupt: &Interrupt) -> Result<()> {
    let timing = Timing {
        warmup: Duration::ZERO,
        window: MESSAGE_CHECK,
    };
    for (_, plan) in workload.plans(address, cores, timing) {
        let plan = Plan {
            connections: plan.connections.min(MESSAGE_CHECK_CONNECTIONS),
            ..plan
        };
        let outcome = load::run(&plan, &mut NoProgress, interrupt)?;
        let errors = outcome.errors;
        ensure!(
            errors.total() == 0,
            "some of {} messages failed: {errors}",
            outcome.requests
        );
        // An idle hold has no messages in the window; its connections still open at the end are the proof.
        let proofs = outcome.requests + outcome.still_open.unwrap_or(0);
        ensure!(proofs > 0, "no message arrived within {MESSAGE_CHECK:?}");
    }
    Ok(())
}

/// Encodes the request of `workload`.
fn request(address: SocketAddr, workload: &Workload) -> String {
    let mut request = get(address, workload.path());
    if let Some((name, value)) = workload.accept_encoding() {
        request.truncate(request.len() - 2);
        request += &format!("{name}: {}\r\n\r\n", value.to_str().unwrap_or_default());
    }
    request
}

/// Uploads a filling, and compares the file that the server writes.
fn writes_upload((address, is_secure): Endpoint, scratch: &Path, path: &str, expect: &Expectation) -> Result<()> {
    let mut connection = BlockingClient::open(address, is_secure)?;
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {UPLOAD_CHECK_BYTES}\r\n\r\n");
    connection.send(&head)?;
    let mut position = 0;
    while position < UPLOAD_CHECK_BYTES {
        let piece = piece(position);
        let left = usize::try_from(UPLOAD_CHECK_BYTES - position).unwrap_or(usize::MAX);
        let piece = piece.get(..left.min(PIECE_BYTES)).unwrap_or_default();
        connection.send_bytes(piece)?;
        position += piece.len() as u64;
    }
    let response = connection.receive()?;
    check_head(&response, expect)?;
    let expected = Content::Bytes(UPLOAD_CHECK_BYTES.to_string().into_bytes());
    check_content(&response.content, &expected)?;
    let file = scratch.join(UPLOADED_FILE);
    let written = std::fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
    check_content(&written, &Content::Filling(UPLOAD_CHECK_BYTES)).context("the file that the server wrote")
}

fn answers_one((address, is_secure): Endpoint, request: &str, expect: &Expectation) -> Result<()> {
    let mut connection = BlockingClient::open(address, is_secure)?;
    connection.send(request)?;
    check(&connection.receive()?, expect)?;
    check_no_surplus(&connection)?;
    // Keep-alive: the same connection must serve a second request.
    connection.send(request)?;
    check(&connection.receive()?, expect)?;
    check_no_surplus(&connection)
}

fn answers_pipelined((address, is_secure): Endpoint, request: &str, expect: &Expectation) -> Result<()> {
    let mut connection = BlockingClient::open(address, is_secure)?;
    connection.send(&request.repeat(2))?;
    for number in 1..=2 {
        let response = connection.receive().with_context(|| format!("answer {number}"))?;
        check(&response, expect).with_context(|| format!("answer {number}"))?;
    }
    check_no_surplus(&connection)
}

fn answers_cut((address, is_secure): Endpoint, request: &str, expect: &Expectation) -> Result<()> {
    let (first, second) = request.split_at(request.len() / 2);
    let mut connection = BlockingClient::open(address, is_secure)?;
    connection.send(first)?;
    // A short exchange on another connection gives the server time to read the first part alone. A long download would
    // exceed the server's time for a head.
    refuses_unknown((address, is_secure))?;
    connection.send(second)?;
    check(&connection.receive()?, expect)?;
    check_no_surplus(&connection)
}

fn refuses_unknown((address, is_secure): Endpoint) -> Result<()> {
    let mut connection = BlockingClient::open(address, is_secure)?;
    connection.send(&get(address, UNKNOWN_PATH))?;
    let status = connection.receive()?.status;
    ensure!(status == 404, "expected status 404, got {status}");
    Ok(())
}

fn check(response: &Response, expect: &Expectation) -> Result<()> {
    check_head(response, expect)?;
    let coding = response.field("content-encoding");
    let expected = expect.coding.map(Coding::name);
    ensure!(
        coding == expected,
        "expected content coding {}, got {}",
        expected.unwrap_or("none"),
        coding.unwrap_or("none")
    );
    match expect.coding {
        None => check_content(&response.content, &expect.content()),
        Some(Coding::Gzip) => {
            let mut content = Vec::new();
            let mut decoder = GzDecoder::new(response.content.as_slice()).take(DECODED_BYTES_MAX);
            decoder.read_to_end(&mut content).context("the content is not gzip")?;
            check_content(&content, &expect.content())
        }
    }
}

/// Checks status, media type and `Date`.
fn check_head(response: &Response, expect: &Expectation) -> Result<()> {
    ensure!(
        response.status == expect.status,
        "expected status {}, got {}",
        expect.status,
        response.status
    );
    let content_type = response.field("content-type").unwrap_or("none");
    // Parameters such as charset are optional.
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ensure!(
        media_type.eq_ignore_ascii_case(&expect.content_type),
        "expected content type {}, got {content_type}",
        expect.content_type
    );
    ensure!(response.field("date").is_some(), "the response has no Date");
    Ok(())
}

fn check_content(content: &[u8], expected: &Content) -> Result<()> {
    let described = || match expected {
        Content::Bytes(bytes) => excerpt(bytes),
        Content::Filling(length) => format!("the filling of {length} bytes"),
    };
    ensure!(
        content.len() as u64 == expected.length() && expected.has(0, content),
        "expected body {}, got {}",
        described(),
        excerpt(content)
    );
    Ok(())
}

/// Describes a content by its beginning and its length.
fn excerpt(content: &[u8]) -> String {
    let beginning = content.get(..EXCERPT_BYTES_MAX).unwrap_or(content);
    let text = String::from_utf8_lossy(beginning);
    match content.len() > beginning.len() {
        true => format!("{} bytes that begin with `{}`", content.len(), text.escape_debug()),
        false => format!("`{text}`"),
    }
}

fn check_no_surplus(connection: &BlockingClient) -> Result<()> {
    let surplus = connection.surplus();
    ensure!(surplus.is_empty(), "the server sent {} surplus bytes", surplus.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    const RIGHT: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\nDate: now\r\n\r\nHello";
    const MISSING: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

    /// Returns the bytes that a server sends for a request line.
    type Answer = fn(&str) -> String;

    fn workload() -> Workload {
        let form = "title = ''\n[load]\nkind = 'latency'\npath = '/hello'\n\
                    [expect]\nstatus = 200\ncontent_type = 'text/plain'\nbody = 'Hello'";
        Workload::parse("hello", form).unwrap()
    }

    /// Starts a server that answers each request line with `answer`, and returns its address.
    fn server(answer: Answer) -> SocketAddr {
        fn serve(stream: TcpStream, answer: Answer) {
            let mut requests = BufReader::new(stream.try_clone().unwrap()).lines();
            while let Some(Ok(request_line)) = requests.next() {
                while requests
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                // The client may have closed the connection already.
                (&stream).write_all(answer(&request_line).as_bytes()).ok();
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            listener
                .incoming()
                .for_each(|stream| drop(thread::spawn(move || serve(stream.unwrap(), answer))))
        });
        address
    }

    fn routed(request_line: &str, found: &str) -> String {
        if request_line == "GET /hello HTTP/1.1" {
            found
        } else {
            MISSING
        }
        .to_owned()
    }

    fn check_server(answer: Answer) -> Result<()> {
        let scratch = Path::new("/nowhere");
        verify(
            server(answer),
            scratch,
            &workload(),
            Cores::default(),
            &Interrupt::default(),
        )
    }

    #[test]
    fn right_server_passes() {
        check_server(|line| routed(line, RIGHT)).unwrap();
    }

    #[test]
    fn each_wrong_answer_is_named() {
        let cases: [(Answer, &str); 7] = [
            (
                |line| routed(line, &RIGHT.replace("200 OK", "500 Oh")),
                "expected status 200, got 500",
            ),
            (
                |line| routed(line, &RIGHT.replace("text/plain", "text/html")),
                "got text/html; charset=utf-8",
            ),
            (|line| routed(line, &RIGHT.replace("Hello", "Howdy")), "got `Howdy`"),
            (|line| routed(line, &RIGHT.replace("Date: now\r\n", "")), "no Date"),
            (
                |line| routed(line, &RIGHT.replace("Length: 5", "Length: 4")),
                "got `Hell`",
            ),
            (|line| routed(line, &format!("{RIGHT}{RIGHT}")), "surplus bytes"),
            (|_| RIGHT.to_owned(), "expected status 404, got 200"),
        ];
        for (answer, mistake) in cases {
            let error = check_server(answer).unwrap_err();
            assert!(format!("{error:#}").contains(mistake), "{mistake}: {error:#}");
        }
    }
}
