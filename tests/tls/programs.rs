//! Programs of others as clients: curl, `openssl s_client` and Python's `ssl`.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use squall::prelude::*;

use crate::authority::Authority;
use crate::support::running::Running;
use crate::support::skip::skip_without_program;

/// A client in Python's standard library, which prints what it has read.
const PYTHON_CLIENT: &str = r#"
import http.client, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
connection = http.client.HTTPSConnection("localhost", int(sys.argv[2]), context=context, timeout=10)
for _ in range(3):
    connection.request("GET", "/")
    print(connection.getresponse().read().decode(), connection.sock.version())
connection.request("POST", "/echo", body=b"x" * 300_000)
print(len(connection.getresponse().read()))
"#;

async fn echo(cx: &mut Context) -> Result {
    let content = cx.body().await?;
    cx.write(&content);
    Ok(())
}

fn serve(authority: &Authority) -> Running {
    let application = || {
        Application::new()
            .get("/", async |_: &mut Context| "hello over TLS")
            .post("/echo", echo)
    };
    let own = authority.issue(&["localhost", "127.0.0.1"]);
    Running::serve(Server::new(application).shards(2).tls(own.tls()))
}

/// Runs a program with this input, or skips the test if it is not installed.
fn run(command: &mut Command, input: &[u8]) -> Option<Output> {
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        skip_without_program(format!("{} is not installed", command.get_program().display()));
        return None;
    };
    // A program that ends early leaves the rest unread.
    drop(child.stdin.take().unwrap().write_all(input));
    Some(child.wait_with_output().unwrap())
}

/// What a program has printed, on both streams.
fn text(output: &Output) -> String {
    let (out, error) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(error)
}

#[test]
fn curl_reads_a_response_with_each_version_and_sends_content() {
    let authority = Authority::new();
    let running = serve(&authority);
    let url = |path: &str| format!("https://localhost:{}{path}", running.address.port());
    for version in [["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3", "--tls-max", "1.3"]] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--http1.1", "--cacert"])
            .arg(authority.file());
        let two = [url("/"), url("/")];
        let Some(output) = run(curl.args(version).args(two), b"") else {
            return;
        };
        assert_eq!(text(&output), "hello over TLShello over TLS");
    }
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--data-binary", "@-", "--cacert"])
        .arg(authority.file());
    let content = vec![b'x'; 300_000];
    let output = run(curl.arg(url("/echo")), &content).unwrap();
    assert_eq!(
        output.stdout.len(),
        content.len(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A client that offers both protocols gets HTTP/2, unless the server speaks HTTP/1 alone (RFC 7301 §3.2).
#[test]
fn curl_chooses_http_2_in_the_handshake() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    for (no_http2, version) in [(false, "2 200 300000"), (true, "1.1 200 300000")] {
        let application = || Application::new().post("/echo", echo);
        let running = Running::serve(Server::new(application).shards(2).no_http2(no_http2).tls(own.tls()));
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--http2",
            "--data-binary",
            "@-",
            "--output",
            "/dev/null",
        ])
        .args([
            "--write-out",
            "%{http_version} %{http_code} %{size_download}",
            "--cacert",
        ])
        .arg(authority.file())
        .arg(format!("https://localhost:{}/echo", running.address.port()));
        let Some(output) = run(&mut curl, &vec![b'x'; 300_000]) else {
            return;
        };
        assert_eq!(text(&output), version);
    }
}

/// Runs `s_client` with one request that closes the connection.
fn s_client(authority: &Authority, running: &Running, flags: &[&str]) -> Option<String> {
    let mut client = Command::new("openssl");
    client
        .args([
            "s_client",
            "-ign_eof",
            "-servername",
            "localhost",
            "-verify_return_error",
            "-CAfile",
        ])
        .arg(authority.file())
        .args(["-connect", &running.address.to_string()])
        .args(flags);
    let output = run(
        &mut client,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )?;
    Some(text(&output))
}

/// A ticket of one shard resumes on every shard. Sixteen connections meet both shards of a server.
#[test]
fn openssl_resumes_its_session_on_every_shard() {
    let authority = Authority::new();
    let running = serve(&authority);
    let ticket = authority.folder().join("ticket").display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let Some(first) = s_client(&authority, &running, &[version, "-sess_out", &ticket]) else {
            return;
        };
        assert!(
            first.contains("hello over TLS") && first.contains("New, TLSv1."),
            "{first}"
        );
        for _ in 0..16 {
            let again = s_client(&authority, &running, &[version, "-sess_in", &ticket]).unwrap();
            assert!(
                again.contains("hello over TLS") && again.contains("Reused, TLSv1."),
                "{again}"
            );
        }
    }
}

#[test]
fn openssl_renegotiates_with_no_server_of_squall() {
    let authority = Authority::new();
    let running = serve(&authority);
    let mut client = Command::new("openssl");
    client
        .args(["s_client", "-tls1_2", "-legacy_renegotiation", "-CAfile"])
        .arg(authority.file())
        .args(["-connect", &running.address.to_string()]);
    // A line `R` asks for a renegotiation.
    let Some(output) = run(&mut client, b"R\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") else {
        return;
    };
    let said = text(&output);
    assert!(
        said.contains("RENEGOTIATING") && said.contains("no renegotiation"),
        "{said}"
    );
}

#[test]
fn openssl_with_an_older_version_gets_an_alert() {
    let authority = Authority::new();
    let running = serve(&authority);
    let Some(said) = s_client(&authority, &running, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]) else {
        return;
    };
    assert!(said.contains("SSL alert number"), "{said}");
}

#[test]
fn pythons_ssl_keeps_a_connection_and_sends_content() {
    let authority = Authority::new();
    let running = serve(&authority);
    let mut python = Command::new("python3");
    python
        .args(["-c", PYTHON_CLIENT])
        .arg(authority.file())
        .arg(running.address.port().to_string());
    let Some(output) = run(&mut python, b"") else { return };
    assert_eq!(text(&output), "hello over TLS TLSv1.3\n".repeat(3) + "300000\n");
}
