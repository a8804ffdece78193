//! Clients of others: curl, nghttp and h2load where they are installed, and Python's `h2`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::server::Server;
use crate::support::skip::skip_without_program;

/// Runs a program; `None`, and skipped, where it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(_) => {
            skip_without_program(format!("{program} is not installed"));
            None
        }
    }
}

fn curl(server: &Server, path: &str, arguments: &[&str]) -> Option<String> {
    let url = format!("http://{}{path}", server.address());
    let all = [
        &["--silent", "--show-error", "--http2-prior-knowledge", &url],
        arguments,
    ]
    .concat();
    let output = run("curl", &all)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn curl_reads_pages_uploads_and_large_downloads() {
    let server = Server::start("conformance", &["--max-body-bytes", "2M"]);
    let version = [
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_version} %{http_code} %{size_download}",
    ];
    let Some(small) = curl(&server, "/", &version) else {
        return;
    };
    assert_eq!(small, "2 200 2");
    assert_eq!(curl(&server, "/big?n=20000000", &version).unwrap(), "2 200 20000000");
    assert_eq!(
        curl(&server, "/missing", &version).unwrap().split(' ').nth(1),
        Some("404")
    );
    assert_eq!(
        curl(&server, "/", &["--head"]).unwrap().lines().next(),
        Some("HTTP/2 200 ")
    );
    let body = "b".repeat(1_500_000);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("http2-upload");
    std::fs::write(&path, &body).unwrap();
    let upload = format!("@{}", path.display());
    assert_eq!(curl(&server, "/echo", &["--data-binary", &upload]).unwrap(), body);
}

#[test]
fn h2load_and_nghttp_are_served() {
    let server = Server::start("conformance", &[]);
    let url = format!("http://{}/", server.address());
    if let Some(output) = run("h2load", &["-n2000", "-c8", "-m32", &url]) {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("2000 succeeded, 0 failed"), "{text}");
    }
    if let Some(output) = run("nghttp", &["--no-verify-peer", "-m20", &url]) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Runs the scenarios of a script, each silent on success, in the Python that has its library.
#[track_caller]
fn run_python(server: &Server, script: &str, library: &str, scenarios: &[&str]) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let own = target.join("third_party/python/bin/python");
    let python = if own.exists() { own } else { PathBuf::from("python3") };
    let probe = Command::new(&python)
        .args(["-c", &format!("import {library}")])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip_without_program(format!("{script} finds no library; pip install {library}"));
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http2").join(script);
    for scenario in scenarios {
        let address = server.address();
        let mut command = Command::new(&python);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let output = command
            .arg(&path)
            .args([scenario, host.as_str(), &port])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{scenario}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            server.log()
        );
    }
}

#[test]
fn pythons_h2_is_served() {
    let server = Server::start("conformance", &["--max-body-bytes", "4M", "--http2-websockets"]);
    let scenarios = [
        "streams",
        "upload",
        "download",
        "cancel",
        "trailers",
        "small_windows",
        "small_tables",
        "websocket",
    ];
    run_python(&server, "python_client.py", "h2", &scenarios);
}

/// The example of gRPC: unary calls, replies in a stream, a conversation, and statuses in trailers.
#[test]
fn grpcio_calls_a_service_by_hand() {
    let server = Server::start("grpc", &[]);
    let scenarios = ["unary", "errors", "replies", "conversation"];
    run_python(&server, "grpc_client.py", "grpc", &scenarios);
}
