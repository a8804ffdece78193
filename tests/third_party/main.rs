//! The `conformance` example with WebSocket clients of others: Python's `websockets`, Node's `ws`, and Chromium's. It
//! also shares cookies with a server of Tornado.
//!
//! Each scenario is a function in each client's script, silent on success. The libraries come from
//! `target/third_party`, where `.ci/run` installs the versions in `requirements.txt` and `package-lock.json`, or else
//! from `python3` and `node`. A client that is not installed is skipped.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::browser::Browser;
use support::server::Server;

/// The script of the browser's page.
const BROWSER_CLIENT: &str = include_str!("browser_client.js");

/// How many shards the server has: two, so that a broadcast crosses from one to another.
const SHARDS: usize = 3;

/// The cookie secret of the server and of `tornado_peer.py`.
const SHARED_SECRET: &str = "the secret that Tornado and Squall share";

#[test]
fn text_binary_empty_and_large_messages_come_back_as_they_were() {
    let server = start(&[]);
    meet(&server, "echo", &[python, node]);
    meet_browser(&server, &["echo"]);
}

/// RFC 7692 §7.1: context takeover and window bits of both ends, in the combinations each client can offer.
#[test]
fn compression_is_agreed_upon_under_every_set_of_parameters() {
    let server = start(&[]);
    meet(&server, "deflate", &[python, node]);
    meet_browser(&server, &["deflate"]);
}

/// RFC 6455 §1.9, §4.1: one of the offered subprotocols, or none.
#[test]
fn a_subprotocol_is_chosen_among_those_offered() {
    let server = start(&[]);
    meet(&server, "subprotocol", &[python, node]);
    meet_browser(&server, &["subprotocol"]);
}

/// RFC 6455 §5.5.2: with the same payload, also between the fragments of a message. (A page cannot send a ping.)
#[test]
fn every_ping_is_answered_with_its_pong() {
    meet(&start(&[]), "ping", &[python, node]);
}

/// RFC 6455 §7.1.5, §7.4: the client gets its code back; invalid UTF-8 closes with 1007.
#[test]
fn close_codes_are_understood_both_ways() {
    let server = start(&[]);
    meet(&server, "close", &[python, node]);
    meet_browser(&server, &["close"]);
}

/// RFC 6455 §7.4.1; the message that inflates beyond the limit is small on the wire.
#[test]
fn a_message_of_more_than_the_limit_ends_with_1009() {
    let server = start(&["--max-message-bytes", "1000"]);
    meet(&server, "limit", &[python, node]);
    meet_browser(&server, &["limit"]);
}

#[test]
fn what_is_published_reaches_every_subscriber_on_every_shard_in_order() {
    let server = start(&[]);
    meet(&server, "fan_out", &[python, node]);
    meet_browser(&server, &["fan_out"]);
}

#[test]
fn a_server_that_stops_says_1001_to_script_clients() {
    for client in [python, node] {
        let server = start(&[]);
        let Some(mut child) = spawn(client, &server, "goodbye") else {
            continue;
        };
        let mut said = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        output.read_line(&mut said).unwrap();
        if said == "open\n" {
            server.terminate();
            assert!(server.wait().success(), "{}", server.log());
        }
        expect_success(child, "goodbye");
    }
}

#[test]
fn a_server_that_stops_says_1001_to_a_browser() {
    let server = start(&[]);
    let Some(browser) = Browser::start() else { return };
    let page = browser.open(&format!("http://{}/", server.address()));
    page.evaluate(&format!("{BROWSER_CLIENT}; run('goodbye')"));
    server.terminate();
    page.evaluate("run('gone')");
    assert!(server.wait().success(), "{}", server.log());
}

#[test]
fn cookies_of_tornado_and_of_squall_are_read_by_each_other() {
    meet(&start(&[]), "plain", &[tornado]);
}

#[test]
fn signed_cookies_of_tornado_and_of_squall_are_valid_for_each_other() {
    let server = start(&["--cookie-secret", SHARED_SECRET]);
    meet(&server, "signed", &[tornado]);
    meet(&server, "refused", &[tornado]);
}

#[test]
fn xsrf_tokens_of_tornado_and_of_squall_fit_each_others_cookies() {
    meet(&start(&[]), "xsrf", &[tornado]);
}

fn start(flags: &[&str]) -> Server {
    Server::start_with_shards("conformance", SHARDS, flags)
}

/// Runs a scenario in the script clients.
fn meet(server: &Server, scenario: &str, clients: &[fn() -> Option<Command>]) {
    for client in clients {
        if let Some(child) = spawn(*client, server, scenario) {
            expect_success(child, scenario);
        }
    }
}

/// Runs scenarios in a browser, in a page that the server itself serves.
fn meet_browser(server: &Server, scenarios: &[&str]) {
    let Some(browser) = Browser::start() else { return };
    let page = browser.open(&format!("http://{}/", server.address()));
    page.evaluate(BROWSER_CLIENT);
    for scenario in scenarios {
        page.evaluate(&format!("run('{scenario}')"));
    }
}

fn spawn(client: fn() -> Option<Command>, server: &Server, scenario: &str) -> Option<Child> {
    let mut command = client()?;
    command.args([scenario, &format!("ws://{}", server.address())]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Some(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

fn expect_success(child: Child, scenario: &str) {
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{scenario}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Python with `websockets`; `None`, and skipped, without.
fn python() -> Option<Command> {
    let probe = ["-c", "import websockets.asyncio.client"];
    available(python_command(), &probe, "python_client.py", "pip install websockets")
}

/// Python with Tornado; `None`, and skipped, without.
fn tornado() -> Option<Command> {
    let probe = ["-c", "import tornado.web"];
    available(python_command(), &probe, "tornado_peer.py", "pip install tornado")
}

fn python_command() -> Command {
    let own = installed().join("python/bin/python");
    let mut command = Command::new(if own.exists() { own } else { PathBuf::from("python3") });
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Node with `ws`; `None`, and skipped, without.
fn node() -> Option<Command> {
    let mut command = Command::new("node");
    let own = installed().join("node_modules");
    if own.exists() {
        command.env("NODE_PATH", own);
    }
    available(command, &["-e", "require('ws')"], "node_client.cjs", "npm install ws")
}

/// The command that runs a script, if a probe finds its library.
fn available(mut command: Command, probe: &[&str], script: &str, hint: &str) -> Option<Command> {
    let mut trial = Command::new(command.get_program());
    trial.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let succeeds = trial.args(probe).output().is_ok_and(|output| output.status.success());
    if !succeeds {
        support::skip::skip_without_program(format!("{script} finds no library; {hint}"));
        return None;
    }
    command.arg(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/third_party")
            .join(script),
    );
    Some(command)
}

/// The folder in which `.ci/run` installs the clients.
fn installed() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.expect("the folder is one of cargo's").join("third_party")
}
