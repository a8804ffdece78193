//! What a server logs, and that all of it follows the logging that the application or the operator has chosen.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]
#![expect(
    clippy::disallowed_types,
    reason = "the test's thread waits for a line that a shard has logged"
)]

mod support;

use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex};

use serde_json::{Map, Value, json};
use squall::prelude::*;
use squall::shards::Stop;
use squall::websocket::Message;
use support::client::Connection;
use support::running::{Running, close_code, read};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tungstenite::Message as Frame;
use tungstenite::protocol::frame::coding::CloseCode;

/// The environment variable that makes a test the logging process of its parent.
const ROLE: &str = "SQUALL_LOGGING_TEST";

/// The topics that the log has named, as JSON.
static UNHEARD: (Mutex<Vec<String>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());

/// Waits until the log has named a topic.
fn await_unheard(topic: &str) {
    let topic = json!(topic).to_string();
    let named = UNHEARD.0.lock().unwrap();
    drop(UNHEARD.1.wait_while(named, |named| !named.contains(&topic)).unwrap());
}

/// A subscriber as an application may have: one JSON object a line.
struct JsonLines;

impl Subscriber for JsonLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("squall")
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        fields
            .0
            .insert("level".to_owned(), json!(event.metadata().level().as_str()));
        let topic = fields.0.get("topic").map(ToString::to_string);
        eprintln!("{}", Value::Object(fields.0));
        UNHEARD.0.lock().unwrap().extend(topic);
        UNHEARD.1.notify_all();
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), json!(format!("{value:?}")));
    }
}

/// Fails as soon as a message arrives.
struct Failing;

impl WebSocketHandler for Failing {
    async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
        Err(Error::new("the handler fails on purpose"))
    }
}

/// Runs this test again as a process that logs, and returns the lines that it logged.
fn lines_of(test: &str) -> Vec<Map<String, Value>> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, "child")
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{log}"));
    log.lines().map(parse).collect()
}

/// Returns the only line whose message begins with this text.
#[track_caller]
fn only<'l>(lines: &'l [Map<String, Value>], message: &str) -> &'l Map<String, Value> {
    let is_wanted = |line: &&Map<String, Value>| line["message"].as_str().unwrap().starts_with(message);
    let found: Vec<_> = lines.iter().filter(is_wanted).collect();
    assert_eq!(found.len(), 1, "{message}: {lines:#?}");
    found[0]
}

#[test]
fn a_servers_life_and_its_refusals_are_events_for_the_subscriber_of_the_application() {
    if std::env::var(ROLE).is_ok() {
        tracing::subscriber::set_global_default(JsonLines).unwrap();
        return serve_and_refuse();
    }
    let lines = lines_of("a_servers_life_and_its_refusals_are_events_for_the_subscriber_of_the_application");
    let listening = only(&lines, "listening on http://127.0.0.1:");
    assert_eq!((&listening["level"], &listening["shards"]), (&json!("INFO"), &json!(2)));
    assert!(listening["driver"].is_string(), "{listening:?}");
    let refused = only(&lines, "refused a request");
    assert!(
        refused["peer"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{refused:?}"
    );
    let failed = only(&lines, "a WebSocket handler failed");
    assert_eq!(
        (&failed["level"], &failed["pattern"]),
        (&json!("ERROR"), &json!("/rooms/{room}"))
    );
    let violated = only(&lines, "a peer violated the WebSocket protocol");
    assert_eq!(violated["pattern"], json!("/rooms/{room}"));
    let is_unheard =
        |line: &&Map<String, Value>| line["message"].as_str().unwrap().contains("no rule and no subscriber");
    let unheard: Vec<_> = lines.iter().filter(is_unheard).map(|line| &line["topic"]).collect();
    assert_eq!(unheard, ["mistyped", "mistyped/later"]);
    let refused = only(
        &lines,
        "refused a WebSocket from a page of \"http://evil.example\": this server is \"http://",
    );
    assert!(
        refused["message"].as_str().unwrap().contains("check_origin"),
        "{refused:?}"
    );
    assert_eq!(
        (&refused["level"], &refused["pattern"]),
        (&json!("INFO"), &json!("/rooms/{room}"))
    );
    let places = ["listening on", "stopping", "stopped"].map(|message| {
        let begins = |line: &Map<String, Value>| line["message"].as_str().unwrap().starts_with(message);
        lines.iter().position(begins)
    });
    assert!(places.is_sorted() && places[0].is_some(), "{places:?} {lines:#?}");
    assert_eq!(only(&lines, "stopping")["level"], json!("INFO"));
    assert_eq!(only(&lines, "stopped")["level"], json!("INFO"));
}

/// Serves what the test above expects in the log, then stops gracefully.
fn serve_and_refuse() {
    let application = || Application::new().websocket("/rooms/{room}", async |_: &mut Context| Ok(Failing));
    let server = Server::new(application)
        .shards(2)
        .topic("ruled", TopicOptions::default());
    let server = Running::serve(server);
    let mut malformed = Connection::open(server.address);
    malformed.send(b"GET / HTTP/3.0\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(malformed.response("GET").unwrap().status, 505);
    let mut failing = server.connect("/rooms/1");
    failing.send(Frame::text("fail")).unwrap();
    assert_eq!(close_code(&mut failing), CloseCode::Error);
    let mut violating = server.connect("/rooms/2");
    // An unmasked frame, which no client may send (RFC 6455 §5.1).
    violating.get_mut().write_all(&[0x81, 0x00]).unwrap();
    assert!(matches!(read(&mut violating), Frame::Close(_)));
    let publish = |topic| server.publisher.publish(topic, "x").confirm().blocking().unwrap();
    assert_eq!(publish("mistyped").matched, 0);
    publish("ruled");
    server.publisher.publish("mistyped/later", "x").blocking().unwrap();
    // This publisher has no receipt, so the report comes from the first shard.
    await_unheard("mistyped/later");
    let refused = server.open("/rooms/3", &[("Origin", "http://evil.example")]);
    assert_eq!(refused.unwrap_err().status(), 403);
    server.stopper.stop(Stop::Graceful);
    drop((malformed, failing, violating));
    server.wait();
}

#[test]
fn with_logging_none_a_server_prints_nothing() {
    let path = std::env::temp_dir().join(format!("squall-logging-{}.sock", std::process::id()));
    let address = format!("unix:{}", path.display());
    let mut server = support::server::command("hello")
        .args(["--shards", "1", "--logging", "none", "--listen", &address])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = connect(&path);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    assert!(response.starts_with(b"HTTP/1.1 200"), "{}", support::show(&response));
    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut log = String::new();
    server.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(server.wait().unwrap().success(), "{log}");
    assert_eq!(log, "");
}

/// The error says so, and the hook of the process has printed the panic. Lines of each shard would only repeat them.
#[test]
fn an_application_that_panics_as_it_is_built_is_reported_by_the_error_alone() {
    if std::env::var(ROLE).is_ok() {
        tracing::subscriber::set_global_default(JsonLines).unwrap();
        std::panic::set_hook(Box::new(|_| {}));
        let server = Server::new(|| -> Application { panic!("no database at {}", "db:5432") });
        let server = server.listen("127.0.0.1:0").shards(2).stop_on_signals(false);
        let error = format!("{:?}", server.run().unwrap_err());
        eprintln!("{}", json!({ "message": error }));
        return;
    }
    let lines = lines_of("an_application_that_panics_as_it_is_built_is_reported_by_the_error_alone");
    let error = "could not build the application: its function panicked: no database at db:5432";
    assert_eq!(only(&lines, "could not")["message"], json!(error));
    let panics = |line: &&Map<String, Value>| line["message"].as_str().unwrap().contains("panicked");
    assert_eq!(lines.iter().filter(panics).count(), 1, "{lines:#?}");
}

/// Connects as soon as the server listens, which this server does not announce.
fn connect(path: &std::path::Path) -> UnixStream {
    let mut stream = None;
    support::eventually("a server listens", || {
        stream = UnixStream::connect(path).ok();
        stream.is_some()
    });
    stream.unwrap()
}

#[test]
fn a_text_log_announces_the_server_as_a_bare_line_and_logs_its_stop() {
    let server = support::server::Server::start_with_shards("hello", 1, &["--logging", "warning"]);
    // Where io_uring is forbidden, a warning stands before it.
    let is_announced = |log: &str| {
        log.lines()
            .any(|line| line.starts_with("listening on http://127.0.0.1:"))
    };
    assert!(is_announced(&server.log()), "{}", server.log());
    server.terminate();
    assert!(server.wait().success());
    assert!(!server.log().contains("stopp"), "{}", server.log());
    let server = support::server::Server::start_with_shards("hello", 1, &[]);
    server.terminate();
    assert!(server.wait().success());
    let log = server.log();
    let stopping = log
        .find("stopping: finishing open requests")
        .unwrap_or_else(|| panic!("{log}"));
    assert!(log[stopping..].contains("stopped"), "{log}");
}
