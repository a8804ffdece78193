//! Each example as its users start it: its responses, its command line, and its stop.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use support::client::Connection;
use support::server::{Server, run_to_end};
use support::show;

/// Every example there is.
const EXAMPLES: [&str; 7] = [
    "hello",
    "techempower",
    "conformance",
    "chat",
    "ticker",
    "uploads",
    "grpc",
];

/// The flags that every example takes.
const FLAGS: [&str; 11] = [
    "--listen",
    "--shards",
    "--driver",
    "--spin",
    "--max-body-bytes",
    "--max-header-bytes",
    "--max-header-count",
    "--max-target-bytes",
    "--header-timeout",
    "--idle-timeout",
    "--body-timeout",
];

/// How many clients load the server while it gets SIGTERM.
const CLIENTS: usize = 4;

/// How many responses the clients have had together before the server gets SIGTERM.
const ANSWERS_BEFORE_STOP: usize = 200;

/// How many new connections have a request under way when the server gets SIGTERM.
const BURST: usize = 50;

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// The ten lines of the README.
#[test]
fn hello_says_hello() {
    let server = Server::start("hello", &[]);
    server
        .connect()
        .exchange(&get("/"), "GET")
        .unwrap()
        .expect(200, b"Hello, Squall!")
        .unwrap();
    server
        .connect()
        .exchange(&get("/nowhere"), "GET")
        .unwrap()
        .expect_status(404)
        .unwrap();
}

/// The plaintext test of the TechEmpower benchmarks.
#[test]
fn techempower_answers_plaintext() {
    let server = Server::start("techempower", &[]);
    let response = server.connect().exchange(&get("/plaintext"), "GET").unwrap();
    response.expect(200, b"Hello, World!").unwrap();
    let content_type = response.field("content-type").unwrap_or_default();
    assert!(content_type.starts_with(b"text/plain"), "{response:?}");
}

/// The JSON test of the TechEmpower benchmarks.
#[test]
fn techempower_answers_json() {
    let server = Server::start("techempower", &[]);
    let response = server.connect().exchange(&get("/json"), "GET").unwrap();
    response.expect(200, br#"{"message":"Hello, World!"}"#).unwrap();
    let content_type = response.field("content-type").unwrap_or_default();
    assert!(content_type.starts_with(b"application/json"), "{response:?}");
}

/// A short check of the application that every wire test runs against; `tests/wire` has the details.
#[test]
fn conformance_serves_its_contract() {
    let server = Server::start("conformance", &[]);
    let mut connection = server.connect();
    for (target, status, body) in [
        ("/", 200, &b"ok"[..]),
        ("/q?x=a%20b", 200, b"a b"),
        ("/arg?x=a%20b", 200, b"a b"),
        ("/p/a%20b", 200, b"a b"),
        ("/headers", 200, b"host: a"),
        ("/status/204", 204, b""),
        ("/status/304", 304, b""),
        ("/stream", 200, b"onetwothree"),
        ("/big?n=5", 200, b"xxxxx"),
    ] {
        let response = connection.exchange(&get(target), "GET").unwrap();
        assert_eq!(response.status, status, "{target}");
        assert_eq!(show(response.body.trim_ascii_end()), show(body), "{target}");
    }
    let echo = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    connection
        .exchange(echo, "POST")
        .unwrap()
        .expect(200, b"hello")
        .unwrap();
    connection
        .exchange(&get("/nowhere"), "GET")
        .unwrap()
        .expect_status(404)
        .unwrap();
}

/// The files of the chat and ticker pages; `tests/pages` opens them in a browser.
#[test]
fn chat_and_ticker_serve_their_pages() {
    for (example, page) in [("chat", "/rooms/lobby"), ("ticker", "/")] {
        let server = Server::start(example, &[]);
        let mut connection = server.connect();
        for (target, content_type) in [
            (page, "text/html; charset=utf-8"),
            ("/page.css", "text/css; charset=utf-8"),
            ("/page.js", "text/javascript; charset=utf-8"),
            ("/icon.svg", "image/svg+xml"),
        ] {
            let response = connection.exchange(&get(target), "GET").unwrap();
            response.expect_status(200).unwrap();
            let named = response.field("content-type").unwrap_or_default();
            assert_eq!(show(named), content_type, "{example} {target}");
            assert!(
                response.field("content-security-policy").is_some(),
                "{example} {target}"
            );
        }
        for target in ["/rooms/cellar", "/sectors/weather/events"] {
            let response = connection.exchange(&get(target), "GET").unwrap();
            response.expect_status(404).unwrap();
        }
    }
}

/// Several shards share the one port that the kernel picked, and all answer.
#[test]
fn two_shards_listen_on_one_port() {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let server = Server::start_with_shards("hello", cores.min(2), &[]);
    let connections: Vec<Connection> = (0..64).map(|_| server.connect()).collect();
    for mut connection in connections {
        connection
            .exchange(&get("/"), "GET")
            .unwrap()
            .expect(200, b"Hello, Squall!")
            .unwrap();
    }
}

/// `--help` explains every flag with its default and exits with success.
#[test]
fn help_explains_every_flag_with_its_default() {
    for example in EXAMPLES {
        let output = run_to_end(example, &["--help"]);
        assert!(output.status.success(), "{example} --help: {}", output.status);
        let help = String::from_utf8(output.stdout).expect("help is text");
        for flag in FLAGS {
            let section = section_of(&help, flag);
            let section = section.unwrap_or_else(|| panic!("{example} --help has no section for {flag}:\n{help}"));
            assert!(
                section.to_ascii_lowercase().contains("default"),
                "{example} --help does not give the default of {flag}:\n{section}"
            );
        }
    }
}

/// The lines of a help text from those that introduce a flag to those that introduce the next.
fn section_of(help: &str, flag: &str) -> Option<String> {
    let introduces = |line: &str| line.trim_start().starts_with('-');
    let mut lines = help.lines().skip_while(|line| {
        let names_flag = line.split([' ', ',', '=', '<', '[']).any(|word| word == flag);
        !(introduces(line) && names_flag)
    });
    let first = lines.next()?;
    let rest = lines.take_while(|line| !introduces(line));
    Some(std::iter::once(first).chain(rest).collect::<Vec<_>>().join("\n"))
}

/// An unknown flag or an invalid value ends the program with an error that names it.
#[test]
fn refuses_a_command_line_it_does_not_understand() {
    for example in EXAMPLES {
        for arguments in [
            ["--no-such-flag", "1"],
            ["--listen", "nonsense"],
            ["--shards", "many"],
            ["--max-body-bytes", "-1"],
            ["--idle-timeout", "soon"],
        ] {
            let output = run_to_end(example, &arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{example} {arguments:?} succeeded");
            assert!(
                said.contains(arguments[0]) || said.contains(arguments[1]),
                "{example} {arguments:?} does not name the fault:\n{said}"
            );
            assert!(!said.contains("panicked"), "{example} {arguments:?} panicked:\n{said}");
        }
    }
}

/// A port that is in use ends the program with one sentence and a non-zero status.
#[test]
fn says_in_one_sentence_that_a_port_is_in_use() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port to hold");
    let address = holder.local_addr().expect("its address").to_string();
    for example in EXAMPLES {
        let output = run_to_end(example, &["--listen", &address, "--shards", "1"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success(),
            "{example} runs on a port that is not its own:\n{said}"
        );
        let sentences: Vec<&str> = said
            .lines()
            .filter(|line| line.contains(&address) && line.to_ascii_lowercase().contains("in use"))
            .collect();
        assert_eq!(
            sentences.len(),
            1,
            "{example} must say once that {address} is in use:\n{said}"
        );
        assert!(!said.contains("panicked"), "{example} panicked:\n{said}");
    }
}

/// SIGTERM lets a partly received request arrive, answers it with `Connection: close`, and ends with success.
///
/// The test opens an idle connection beside it. Once the server closes that, the stop has begun.
#[test]
fn sigterm_lets_a_request_under_way_finish() {
    for (example, target, body) in [
        ("hello", "/", "Hello, Squall!"),
        ("techempower", "/plaintext", "Hello, World!"),
        ("conformance", "/", "ok"),
        ("chat", "/rooms/lobby/people", "[]"),
        (
            "ticker",
            "/sectors",
            r#"["energy","finance","health","industry","materials","technology"]"#,
        ),
    ] {
        let server = Server::start(example, &[]);
        let request = get(target);
        let (first, second) = request.split_at(request.len() / 2);
        let mut idle = server.connect();
        let mut under_way = server.connect();
        under_way.send(first).unwrap();
        idle.exchange(&request, "GET")
            .unwrap()
            .expect(200, body.as_bytes())
            .unwrap();
        server.terminate();
        idle.expect_closed().unwrap();
        let response = under_way.exchange(second, "GET").unwrap();
        response.expect(200, body.as_bytes()).unwrap();
        assert!(response.announces_close(), "{response:?}");
        under_way.expect_closed().unwrap();
        assert!(
            server.wait().success(),
            "{example} must end with success:\n{}",
            server.log()
        );
    }
}

/// SIGTERM during a request body waits for the body too.
#[test]
fn sigterm_waits_for_a_body_under_way() {
    let server = Server::start("conformance", &[]);
    let mut idle = server.connect();
    let mut under_way = server.connect();
    under_way
        .send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        .unwrap();
    idle.exchange(&get("/"), "GET").unwrap().expect(200, b"ok").unwrap();
    server.terminate();
    idle.expect_closed().unwrap();
    under_way
        .exchange(b"world", "POST")
        .unwrap()
        .expect(200, b"helloworld")
        .unwrap();
    under_way.expect_closed().unwrap();
    assert!(server.wait().success(), "{}", server.log());
}

/// A second SIGTERM stops at once, despite the request under way and the first signal's deadline of 30 s.
#[test]
fn a_second_sigterm_stops_at_once() {
    let server = Server::start("conformance", &["--header-timeout", "60"]);
    let mut idle = server.connect();
    let mut under_way = server.connect();
    under_way.tolerate_reset();
    under_way.send(b"GET / HTTP/1.1\r\nHo").unwrap();
    idle.exchange(&get("/"), "GET").unwrap().expect(200, b"ok").unwrap();
    server.terminate();
    idle.expect_closed().unwrap();
    server.terminate();
    under_way.expect_closed().unwrap();
    server.wait();
}

/// Under load, a request gets a response if its first byte was sent before the client could see the close. So does
/// one sent on a new connection before the signal. Then the server and every client thread end.
#[test]
fn sigterm_under_load_fails_no_request() {
    let server = Server::start("conformance", &[]);
    let address = server.address();
    let (answered, answers) = mpsc::channel();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let answered = answered.clone();
            thread::spawn(move || request_until_closed(Connection::open(address), &answered))
        })
        .collect();
    drop(answered);
    for _ in 0..ANSWERS_BEFORE_STOP {
        answers.recv().expect("the clients get answers");
    }
    let mut burst: Vec<Connection> = (0..BURST).map(|_| server.connect()).collect();
    for connection in &mut burst {
        connection.send(&get("/")).unwrap();
    }
    server.terminate();
    for connection in &mut burst {
        connection.response("GET").unwrap().expect(200, b"ok").unwrap();
        connection.expect_closed().unwrap();
    }
    for client in clients {
        client.join().expect("the client does not panic").unwrap();
    }
    assert!(server.wait().success(), "{}", server.log());
    assert!(
        Connection::try_open(address).is_err(),
        "a server still listens on {address}"
    );
}

/// Sends requests until the server announces or performs the close; a missing response is a failure.
fn request_until_closed(mut connection: Connection, answered: &mpsc::Sender<()>) -> support::Outcome<()> {
    while !connection.has_been_closed() {
        let response = connection.exchange(&get("/"), "GET")?;
        response.expect(200, b"ok")?;
        // The test stops counting long before the clients stop, so the receiver may be gone.
        answered.send(()).unwrap_or_default();
        if response.announces_close() {
            return connection.expect_closed();
        }
    }
    Ok(())
}
