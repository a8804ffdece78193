//! Verification: checks a server's answers before it is measured.
//!
//! Besides the answer itself, it checks that the server parses HTTP: two pipelined requests get two answers, a request
//! cut in the middle gets one, and an unknown path gets 404. Each answer must carry `Date` (RFC 9110 section 6.6.1), so
//! that all contenders pay for it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::http1::{BlockingClient, Response, get};
use crate::interrupt::Interrupt;
use crate::load::progress::NoProgress;
use crate::load::{self, Plan};
use crate::measurement::Cores;
use crate::workload::{Expectation, Timing, Workload};

/// A path that returns 404 on all contenders.
const UNKNOWN_PATH: &str = "/squall-loadtest-asks-for-what-is-not-there";

/// Length and connections of the load that checks an echo or a fan-out.
const MESSAGE_CHECK: Duration = Duration::from_millis(200);
const MESSAGE_CHECK_CONNECTIONS: usize = 4;

/// Checks the server at `address` against what `workload` expects.
///
/// # Errors
///
/// The first difference, with the expected and the received value.
pub(crate) fn verify(address: SocketAddr, workload: &Workload, cores: Cores, interrupt: &Interrupt) -> Result<()> {
    let Some(expect) = &workload.expect else {
        return check_messages(address, workload, cores, interrupt);
    };
    let request = get(address, workload.path());
    answers_one(address, &request, expect).with_context(|| format!("GET {}", workload.path()))?;
    answers_pipelined(address, &request, expect).context("two requests pipelined in one send")?;
    answers_cut(address, &request, expect).context("a request sent in two parts")?;
    refuses_unknown(address).context("a path that does not exist")
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

fn answers_one(address: SocketAddr, request: &str, expect: &Expectation) -> Result<()> {
    let mut connection = BlockingClient::open(address)?;
    connection.send(request)?;
    check(&connection.receive()?, expect)?;
    check_no_surplus(&connection)?;
    // Keep-alive: the same connection must serve a second request.
    connection.send(request)?;
    check(&connection.receive()?, expect)?;
    check_no_surplus(&connection)
}

fn answers_pipelined(address: SocketAddr, request: &str, expect: &Expectation) -> Result<()> {
    let mut connection = BlockingClient::open(address)?;
    connection.send(&request.repeat(2))?;
    for number in 1..=2 {
        let response = connection.receive().with_context(|| format!("answer {number}"))?;
        check(&response, expect).with_context(|| format!("answer {number}"))?;
    }
    check_no_surplus(&connection)
}

fn answers_cut(address: SocketAddr, request: &str, expect: &Expectation) -> Result<()> {
    let (first, second) = request.split_at(request.len() / 2);
    let mut connection = BlockingClient::open(address)?;
    connection.send(first)?;
    // An exchange on another connection gives the server time to read the first part alone.
    answers_one(address, request, expect)?;
    connection.send(second)?;
    check(&connection.receive()?, expect)?;
    check_no_surplus(&connection)
}

fn refuses_unknown(address: SocketAddr) -> Result<()> {
    let mut connection = BlockingClient::open(address)?;
    connection.send(&get(address, UNKNOWN_PATH))?;
    let status = connection.receive()?.status;
    ensure!(status == 404, "expected status 404, got {status}");
    Ok(())
}

fn check(response: &Response, expect: &Expectation) -> Result<()> {
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
    let content = String::from_utf8_lossy(&response.content);
    ensure!(
        content == expect.body,
        "expected body `{}`, got `{content}`",
        expect.body
    );
    ensure!(response.field("date").is_some(), "the response has no Date");
    Ok(())
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
        verify(server(answer), &workload(), Cores::default(), &Interrupt::default())
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
