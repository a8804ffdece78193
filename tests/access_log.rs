//! The access log as an operator reads it: its formats, what it never contains, and that it never holds a request.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::fs::{self, OpenOptions, read_to_string};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use support::client::Connection;
use support::eventually;
use support::server::{Server, run_to_end};
use support::websocket::handshake;

/// How many requests are logged to a reader that reads nothing: their lines exceed a pipe and the queue behind it.
const UNREAD_REQUESTS: usize = 3000;

/// A target whose line has two KiB.
const LONG_TARGET_BYTES: usize = 2000;

/// A folder of the test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("squall-access-log-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn start(log: &str, flags: &[&str]) -> Server {
    Server::start("conformance", &[&["--access-log", log], flags].concat())
}

fn ask(connection: &mut Connection, method: &str, target: &str, fields: &str) {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    drop(connection.exchange(request.as_bytes(), method).unwrap());
}

/// Waits until the log has this number of lines, and returns them.
fn lines(log: &str, count: usize) -> Vec<String> {
    let text = || read_to_string(log).unwrap_or_default();
    eventually(&format!("{count} lines in {}", text()), || {
        text().lines().count() >= count
    });
    let text = text();
    assert!(text.ends_with('\n'), "{text}");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), count, "{text}");
    lines
}

/// A line without its duration, which must be a number with two decimals.
fn without_duration(line: &str) -> &str {
    let (rest, duration) = line.strip_suffix("ms").unwrap().rsplit_once(' ').unwrap();
    let (_, decimals) = duration.split_once('.').unwrap();
    assert!(duration.parse::<f64>().unwrap() >= 0.0 && decimals.len() == 2, "{line}");
    rest
}

#[test]
fn each_request_has_a_line_as_tornado_writes_it() {
    let folder = Folder::new();
    let log = folder.file("log");
    let server = start(&log, &[]);
    let mut connection = server.connect();
    let long = format!("/{}", "x".repeat(LONG_TARGET_BYTES));
    for (method, target) in [
        ("GET", "/q?x=a%20b"),
        ("HEAD", "/"),
        ("GET", "/none"),
        ("DELETE", "/"),
        ("GET", "/stream"),
        ("GET", "/boom"),
        ("GET", "/p/%1b%5B31m%0d%0a200%20GET"),
        ("GET", &long),
    ] {
        ask(&mut connection, method, target, "");
    }
    let mut broken = server.connect();
    broken.send(b"GET /boom/late HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    broken.response("GET").unwrap_err();
    let mut socket = server.connect();
    socket.send(&handshake("/ws/echo", "")).unwrap();
    socket.some().unwrap();
    let lines = lines(&log, 10);
    let lines: Vec<&str> = lines.iter().map(|line| without_duration(line)).collect();
    let long = format!("404 GET {long} (127.0.0.1)");
    for (line, expected) in lines.iter().zip([
        "200 GET /q?x=a%20b (127.0.0.1)",
        "200 HEAD / (127.0.0.1)",
        "404 GET /none (127.0.0.1)",
        "405 DELETE / (127.0.0.1)",
        "200 GET /stream (127.0.0.1)",
        "500 GET /boom (127.0.0.1)",
        "200 GET /p/%1b%5B31m%0d%0a200%20GET (127.0.0.1)",
        long.as_str(),
        "200 GET /boom/late (127.0.0.1)",
        "101 GET /ws/echo (127.0.0.1)",
    ]) {
        assert_eq!(*line, expected);
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&log).unwrap().permissions());
    assert_eq!(mode & 0o007, 0, "others may not read the addresses of clients");
}

#[test]
fn combined_lines_name_time_referer_and_browser() {
    let folder = Folder::new();
    let log = folder.file("log");
    let server = start(&log, &["--access-log-format", "combined"]);
    let mut connection = server.connect();
    ask(
        &mut connection,
        "GET",
        "/big?n=70000",
        "Referer: http://a/b\r\nUser-Agent: x \"y\"\r\n",
    );
    ask(&mut connection, "HEAD", "/big?n=70000", "User-Agent: \u{80}\r\n");
    let lines = lines(&log, 2);
    let (first, rest) = lines[0].split_once(" [").unwrap();
    assert_eq!(first, "127.0.0.1 - -");
    let (time, rest) = rest.split_once("] ").unwrap();
    assert!(
        time.ends_with(" +0000") && time.len() == "10/Oct/2000:13:55:36 +0000".len(),
        "{time}"
    );
    assert_eq!(
        rest,
        "\"GET /big?n=70000 HTTP/1.1\" 200 70000 \"http://a/b\" \"x \\x22y\\x22\""
    );
    assert!(
        lines[1].ends_with("\"HEAD /big?n=70000 HTTP/1.1\" 200 - \"-\" \"\\xC2\\x80\""),
        "{}",
        lines[1]
    );
}

#[test]
fn json_lines_are_json_with_route_and_id() {
    let folder = Folder::new();
    let log = folder.file("log");
    let server = start(&log, &["--access-log-format", "json"]);
    let mut connection = server.connect();
    ask(
        &mut connection,
        "GET",
        "/p/x",
        "X-Request-Id: req-1\r\nUser-Agent: \u{9b}31m\u{202e}\r\n",
    );
    let parent = "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    ask(&mut connection, "GET", "/none", parent);
    ask(&mut connection, "GET", "/", "X-Request-Id: a b\r\n");
    ask(&mut connection, "GET", "/", "Traceparent: 00-0-0-0\r\n");
    let lines = lines(&log, 4);
    assert!(
        lines
            .iter()
            .all(|line| line.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
    );
    let values: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (value, expected) in values.iter().zip([
        ("/p/{segment}", 200, "req-1"),
        ("", 404, "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("/", 200, ""),
        ("/", 200, ""),
    ]) {
        let (route, status, id) = expected;
        assert_eq!(value["route"].as_str().unwrap_or_default(), route, "{value}");
        assert_eq!(value["status"], status);
        assert_eq!(
            (&value["ended"], &value["shard"]),
            (&Value::from("whole"), &Value::from(0))
        );
        let found = value["id"].as_str().unwrap();
        assert!(found == id || id.is_empty() && found.len() == 32, "{value}");
    }
    assert_ne!(values[2]["id"], values[3]["id"]);
    assert_eq!(values[0]["user_agent"], "\u{9b}31m\u{202e}");
    assert_eq!(values[0]["bytes"], 1);
}

/// The lines that a handler logs carry the id of the request.
#[test]
fn every_log_line_of_a_request_carries_its_id() {
    let folder = Folder::new();
    let server = start(&folder.file("log"), &[]);
    ask(&mut server.connect(), "GET", "/boom", "X-Request-Id: req-7391\r\n");
    let found = || {
        server
            .log()
            .lines()
            .find(|line| line.contains("detail-7391"))
            .map(str::to_owned)
    };
    eventually("the error is logged", || found().is_some());
    let line = found().unwrap();
    assert!(
        line.contains("request{id=\"req-7391\" method=GET route=\"/boom\"}"),
        "{line}"
    );
    let plain = Server::start("conformance", &[]);
    ask(&mut plain.connect(), "GET", "/boom", "X-Request-Id: req-7391\r\n");
    eventually("the error is logged", || plain.log().contains("detail-7391"));
    assert!(
        !plain.log().contains("req-7391\""),
        "without an access log no span is made"
    );
}

#[test]
fn a_rotated_log_is_begun_anew_without_a_signal() {
    let folder = Folder::new();
    let (log, rotated) = (folder.file("log"), folder.file("log.1"));
    let server = start(&log, &[]);
    let mut connection = server.connect();
    ask(&mut connection, "GET", "/p/before", "");
    lines(&log, 1);
    fs::rename(&log, &rotated).unwrap();
    eventually("a line in a new file", || {
        ask(&mut connection, "GET", "/p/after", "");
        read_to_string(&log).is_ok_and(|text| text.contains("/p/after"))
    });
    assert!(read_to_string(&rotated).unwrap().contains("/p/before"));
}

#[test]
fn a_log_that_takes_nothing_holds_no_request_and_no_stop() {
    let folder = Folder::new();
    let log = folder.file("fifo");
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
    // Open at both ends and never read.
    let reader = OpenOptions::new().read(true).write(true).open(&log).unwrap();
    let server = start(&log, &["--max-access-log-rate", "0"]);
    let target = format!("/{}", "x".repeat(LONG_TARGET_BYTES));
    let mut connection = server.connect();
    for _ in 0..UNREAD_REQUESTS {
        ask(&mut connection, "GET", &target, "");
    }
    drop(connection);
    server.terminate();
    assert!(server.wait().success());
    assert!(
        server.log().contains("could not write the end of the access log"),
        "{}",
        server.log()
    );
    drop(reader);
}

#[test]
fn lines_beyond_the_rate_are_dropped_and_counted() {
    let folder = Folder::new();
    let log = folder.file("log");
    let server = start(&log, &["--max-access-log-rate", "3"]);
    let mut connection = server.connect();
    for _ in 0..200 {
        ask(&mut connection, "GET", "/", "");
    }
    server.terminate();
    assert!(server.wait().success());
    let written = read_to_string(&log).unwrap().lines().count();
    assert!(written < 100, "{written}");
    let said = server.log();
    let dropped: usize = said
        .lines()
        .filter_map(|line| line.split("lines=").nth(1)?.split(' ').next()?.parse::<usize>().ok())
        .sum();
    assert_eq!(written + dropped, 200, "{said}");
}

#[test]
fn a_log_that_cannot_be_opened_stops_the_start() {
    let output = run_to_end(
        "conformance",
        &["--listen", "127.0.0.1:0", "--access-log", "/proc/none/log"],
    );
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("could not open the access log /proc/none/log: "),
        "{said}"
    );
}

/// HTTP/2 by prior knowledge: the preface, SETTINGS, and two requests with the static table of HPACK.
#[test]
fn requests_over_http_2_have_lines_too() {
    let folder = Folder::new();
    let log = folder.file("log");
    let server = start(&log, &["--access-log-format", "json"]);
    let mut connection = server.connect();
    let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // GET, http, /, and the authority `a` as a literal without indexing.
    let block: &[u8] = &[0x82, 0x86, 0x84, 0x01, 1, b'a'];
    let request = |stream: u8| [&[0, 0, 6, 1, 5, 0, 0, 0, stream][..], block].concat();
    let preface = &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..];
    connection
        .send(&[preface, settings, &request(1), &request(3)].concat())
        .unwrap();
    let lines = lines(&log, 2);
    for line in lines {
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["version"], &value["status"]), (&"HTTP/2.0".into(), &200.into()));
        assert_eq!((&value["route"], &value["bytes"]), (&"/".into(), &2.into()));
    }
}
