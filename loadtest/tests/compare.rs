//! `compare` from the command line to the record, with contenders that need no build: this test program, started as a
//! server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::exit,
    reason = "a test says what is wrong by panicking, and its server ends as a server does"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

const PLAINTEXT: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nDate: now\r\n\r\nHello, World!";
const MISSING: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nDate: now\r\n\r\n";

/// The argument of a server that sends a wrong body.
const WRONG: &str = "wrong";

/// The argument of a server that exits after 40 answers: after the verification, during the measurement.
const CRASHING: &str = "crashing";
const LAST_ANSWER: usize = 40;

/// The contender: a thread for each connection. The test harness takes the address argument for the name of an unknown
/// test.
#[test]
#[ignore = "a server that the tests below start and kill"]
fn serve() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(address) = arguments
        .iter()
        .find_map(|argument| argument.parse::<SocketAddr>().ok())
    else {
        return;
    };
    let has_argument = |word| arguments.iter().any(|argument| argument == word);
    let crashes = has_argument(CRASHING);
    let body = if has_argument(WRONG) {
        "Howdy, World!"
    } else {
        "Hello, World!"
    };
    let answer = PLAINTEXT.replace("Hello, World!", body);
    for stream in TcpListener::bind(address).unwrap().incoming() {
        let answer = answer.clone();
        thread::spawn(move || serve_connection(&stream.unwrap(), &answer, crashes));
    }
}

fn serve_connection(stream: &TcpStream, answer: &str, crashes: bool) {
    static ANSWERS: AtomicUsize = AtomicUsize::new(0);
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(request_line)) = lines.next() {
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        if crashes && ANSWERS.fetch_add(1, Ordering::Relaxed) == LAST_ANSWER {
            // The harness captures `eprintln!`; this line must reach the orchestrator.
            writeln!(std::io::stderr().lock(), "error: out of answers").unwrap();
            std::process::exit(1);
        }
        let is_known = request_line == "GET /plaintext HTTP/1.1";
        let mut writer = stream;
        // The client may have closed the connection already.
        if writer
            .write_all(if is_known { answer } else { MISSING }.as_bytes())
            .is_err()
        {
            return;
        }
    }
}

/// Makes a folder with contenders `right`, `other`, `wrong`, `crashing`, `broken` and `absent`, and one workload.
fn catalogue() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = std::env::current_exe().unwrap();
    let serving = |further: &str| format!("{own:?}, 'serve', '--ignored', '--exact', '{{listen}}'{further}");
    for (name, start, requirement) in [
        ("right", serving(""), ""),
        ("other", serving(""), ""),
        (WRONG, serving(", 'wrong'"), ""),
        (CRASHING, serving(", 'crashing'"), ""),
        (
            "broken",
            "'sh', '-c', 'echo no luck today; exit 1', '{listen}'".to_owned(),
            "",
        ),
        (
            "absent",
            serving(""),
            "[[requires]]\nprogram = 'no-such-server'\nhint = 'write one'\n",
        ),
    ] {
        let contender = folder.path().join("contenders").join(name);
        fs::create_dir_all(&contender).unwrap();
        let form = format!(
            "name = '{name}'\nversion = '1.0'\nnote = 'a test'\ndirectory = '.'\n{requirement}\
             [start]\ncommand = [{start}]\n[ready]\npath = '/plaintext'\n"
        );
        fs::write(contender.join("contender.toml"), form).unwrap();
    }
    fs::create_dir(folder.path().join("workloads")).unwrap();
    let form = "title = 'Plain'\n[load]\nkind = 'capacity'\npath = '/plaintext'\nconnections = 2\n\
                [expect]\nstatus = 200\ncontent_type = 'text/plain'\nbody = 'Hello, World!'\n";
    fs::write(folder.path().join("workloads/plain.toml"), form).unwrap();
    folder
}

/// Returns a `squall-loadtest` command on cores that this process may use.
fn loadtest(subcommand: &str, catalogue: &Path) -> Command {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    let ends: Vec<&str> = allowed.trim().split([',', '-']).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall-loadtest"));
    command.args([subcommand, "--directory"]).arg(catalogue);
    command.args([
        "--server-core",
        ends.first().unwrap(),
        "--load-core",
        ends.last().unwrap(),
    ]);
    command
}

fn compare(catalogue: &Path, output: &Path) -> Command {
    let mut command = loadtest("compare", catalogue);
    command.args([
        "--baseline",
        "right",
        "--duration",
        "100ms",
        "--warmup",
        "0s",
        "--output",
    ]);
    command.arg(output);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn record(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("record.json")).unwrap()).unwrap()
}

fn texts<'a>(record: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    record[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[field].as_str().unwrap())
        .collect()
}

#[test]
fn comparison_is_interleaved_and_skips_contenders_that_cannot_take_part() {
    let catalogue = catalogue();
    let output = tempfile::tempdir().unwrap();
    let run = compare(catalogue.path(), output.path())
        .args(["--rounds", "2", "--contenders", "absent,broken,other,right,wrong"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));

    let record = record(output.path());
    assert_eq!(
        texts(&record, "samples", "contender"),
        ["other", "right", "right", "other"]
    );
    for sample in record["samples"].as_array().unwrap() {
        assert!(sample["requests"].as_u64().unwrap() > 0, "{sample}");
        assert_eq!(sample["errors"], 0, "{sample}");
        assert!(sample["latency"]["p99_us"].as_f64() >= sample["latency"]["p50_us"].as_f64());
        assert!(sample["server_busy"].as_f64().unwrap() > 0.0, "{sample}");
    }
    let skipped: Vec<&str> = texts(&record, "skipped", "name");
    assert_eq!(
        skipped.iter().copied().collect::<BTreeSet<_>>(),
        ["absent", "broken", WRONG].into()
    );
    let reason_of =
        |name| texts(&record, "skipped", "reason")[skipped.iter().position(|skipped| *skipped == name).unwrap()];
    assert_eq!(reason_of("absent"), "`no-such-server` is not installed (write one)");
    assert!(reason_of("broken").contains("no luck today"), "{}", reason_of("broken"));
    assert!(reason_of(WRONG).contains("got `Howdy, World!`"), "{}", reason_of(WRONG));
    assert_eq!(texts(&record, "contenders", "name"), ["other", "right", WRONG]);
    for file in ["report.html", "report.md"] {
        let report = fs::read_to_string(output.path().join(file)).unwrap();
        assert!(report.contains("no luck today"), "{file}");
    }
}

#[test]
fn server_that_dies_under_load_is_skipped_and_the_others_go_on() {
    let catalogue = catalogue();
    let output = tempfile::tempdir().unwrap();
    let run = compare(catalogue.path(), output.path())
        .args(["--rounds", "2", "--contenders", "crashing,right"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let record = record(output.path());
    assert_eq!(texts(&record, "samples", "contender"), ["right", "right"]);
    assert_eq!(texts(&record, "skipped", "workload"), ["plain"]);
    let reason = texts(&record, "skipped", "reason").concat();
    assert!(reason.starts_with("the server ended by itself"), "{reason}");
    assert!(reason.ends_with("error: out of answers"), "{reason}");
}

#[test]
fn interrupt_keeps_what_was_measured() {
    let catalogue = catalogue();
    let output = tempfile::tempdir().unwrap();
    let mut command = compare(catalogue.path(), output.path());
    command.args(["--rounds", "1000", "--contenders", "right"]);
    let mut loadtest = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(loadtest.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(lines.any(|line| line.contains("requests/s")), "no window was measured");
    let interrupted = Command::new("kill")
        .args(["-INT", &loadtest.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    lines.for_each(drop);
    assert_eq!(loadtest.wait().unwrap().code(), Some(130));
    let record = record(output.path());
    assert!(!record["samples"].as_array().unwrap().is_empty());
    let remarks = record["remarks"].to_string();
    assert!(remarks.contains("interrupted in round"), "{remarks}");
}

#[test]
fn mistakes_are_reported_before_the_measurement() {
    let catalogue = catalogue();
    let output = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let run = compare(catalogue.path(), output.path())
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(1), "{}", stderr(&run));
        stderr(&run)
    };
    assert!(refused(&["--workloads", "plane"]).contains("unknown workload `plane`; choose from plain"));
    assert!(refused(&["--contenders", "absent,broken"]).contains("no contender is left to run"));
    fs::write(catalogue.path().join("workloads/plain.toml"), "tilte = 'x'").unwrap();
    let error = refused(&[]);
    assert!(error.contains("plain.toml") && error.contains("tilte"), "{error}");
}

#[test]
fn verify_names_wrong_answers_and_skips_missing_contenders() {
    let catalogue = catalogue();
    let run = loadtest("verify", catalogue.path()).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(
        stderr(&run).contains("wrong under plain: GET /plaintext: expected body"),
        "{}",
        stderr(&run)
    );
    let run = loadtest("verify", catalogue.path())
        .args(["--contenders", "absent,right"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
}
