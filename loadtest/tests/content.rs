//! `compare` with files, pages and uploads, against a contender that needs no build: this test program, started as a
//! server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

/// The folders of the contender, and whether it writes uploads and pages wrongly.
#[derive(Clone)]
struct Folders {
    files: PathBuf,
    scratch: PathBuf,
    is_wrong: bool,
}

/// The contender: a thread for each connection. The test harness takes the arguments for names of unknown tests.
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
    let folder = |prefix: &str| {
        arguments
            .iter()
            .find_map(|argument| argument.strip_prefix(prefix))
            .unwrap()
    };
    let folders = Folders {
        files: folder("files=").into(),
        scratch: folder("scratch=").into(),
        is_wrong: arguments.iter().any(|argument| argument == "wrong"),
    };
    for stream in TcpListener::bind(address).unwrap().incoming() {
        let folders = folders.clone();
        thread::spawn(move || serve_connection(&stream.unwrap(), &folders));
    }
}

fn serve_connection(stream: &TcpStream, folders: &Folders) {
    let mut input = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if input.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = field("Content-Length: ").map_or(0, |length| length.parse().unwrap());
        let mut content = vec![0; length];
        input.read_exact(&mut content).unwrap();
        let accepts_gzip = field("accept-encoding: ") == Some("gzip");
        let answer = answer(head.lines().next().unwrap(), &content, accepts_gzip, folders);
        // The client may have closed the connection already.
        if (&mut &*stream).write_all(&answer).is_err() {
            return;
        }
    }
}

fn answer(request_line: &str, content: &[u8], accepts_gzip: bool, folders: &Folders) -> Vec<u8> {
    let path = request_line.split(' ').nth(1).unwrap().trim_start_matches('/');
    let ok = |fields: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nDate: now\r\n{fields}Content-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    if request_line.starts_with("POST /upload ") {
        let written = &content[usize::from(folders.is_wrong)..];
        fs::write(folders.scratch.join("upload"), written).unwrap();
        return ok("Content-Type: text/plain\r\n", content.len().to_string().as_bytes());
    }
    match fs::read(folders.files.join(path)) {
        Ok(page) if accepts_gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&page[usize::from(folders.is_wrong)..]).unwrap();
            let body = encoder.finish().unwrap();
            let chunks = format!("{:x}\r\n", body.len());
            let head = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\
                        Transfer-Encoding: chunked\r\n\r\n";
            [head.as_bytes(), chunks.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
        }
        Ok(file) => ok("Content-Type: application/octet-stream\r\n", &file),
        Err(_) => b"HTTP/1.1 404 Not Found\r\nDate: now\r\nContent-Length: 0\r\n\r\n".to_vec(),
    }
}

/// Makes a folder with the contenders `right` and `wrong`, and a workload for each service.
fn catalogue() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = std::env::current_exe().unwrap();
    for (name, further) in [("right", ""), ("wrong", ", 'wrong'")] {
        let contender = folder.path().join("contenders").join(name);
        fs::create_dir_all(&contender).unwrap();
        let form = format!(
            "name = '{name}'\nversion = '1.0'\nnote = 'a test'\ndirectory = '.'\n\
             serves = ['static-files', 'gzip-page', 'upload']\n\
             [start]\ncommand = [{own:?}, 'serve', '--ignored', '--exact', '{{listen}}', 'files={{files}}', \
             'scratch={{scratch}}'{further}]\n[ready]\npath = '/1k.bin'\n"
        );
        fs::write(contender.join("contender.toml"), form).unwrap();
    }
    let workloads = folder.path().join("workloads");
    fs::create_dir(&workloads).unwrap();
    for (name, service, load, expect) in [
        (
            "files",
            "static-files",
            "kind = 'download'\npath = '/1m.bin'\nconnections = 4\nrequests = 12",
            "content_type = 'application/octet-stream'\nfile = '1m.bin'",
        ),
        (
            "page",
            "gzip-page",
            "kind = 'capacity'\npath = '/page.html'\nconnections = 2",
            "content_type = 'text/html'\nfile = 'page.html'\ncoding = 'gzip'",
        ),
        (
            "upload",
            "upload",
            "kind = 'upload'\npath = '/upload'\nupload_bytes = 3000000\nrequests = 2",
            "content_type = 'text/plain'\nbody = '3000000'",
        ),
    ] {
        let form =
            format!("title = '{name}'\nservice = '{service}'\n[load]\n{load}\n[expect]\nstatus = 200\n{expect}\n");
        fs::write(workloads.join(format!("{name}.toml")), form).unwrap();
    }
    folder
}

/// Runs a `squall-loadtest` command on cores that this process may use.
fn loadtest(subcommand: &str, catalogue: &Path, arguments: &[&str]) -> Output {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    let ends: Vec<&str> = allowed.trim().split([',', '-']).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall-loadtest"));
    command.args([subcommand, "--directory"]).arg(catalogue);
    command.args(["--server-core", ends[0], "--load-core", ends.last().unwrap()]);
    command.args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn transfers_and_pages_are_measured_and_reported() {
    let (catalogue, folder) = (catalogue(), tempfile::tempdir().unwrap());
    let output = folder.path().to_str().unwrap();
    let arguments = [
        "--baseline",
        "right",
        "--contenders",
        "right",
        "--rounds",
        "1",
        "--duration",
        "200ms",
    ];
    let run = loadtest(
        "compare",
        catalogue.path(),
        &[&arguments[..], &["--warmup", "0s", "--output", output]].concat(),
    );
    assert!(run.status.success(), "{}", stderr(&run));
    let record = fs::read(folder.path().join("record.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["skipped"], Value::Array(Vec::new()), "{record}");
    let sample = |workload: &str| {
        let samples = record["samples"].as_array().unwrap();
        samples.iter().find(|sample| sample["workload"] == workload).unwrap()
    };
    let [files, page, upload] = ["files", "page", "upload"].map(sample);
    assert_eq!((&files["requests"], &upload["requests"]), (&12.into(), &2.into()));
    // The contender holds a whole upload.
    assert!(upload["peak_growth_kib"].as_u64() > Some(2_000), "{upload}");
    assert!(files["peak_growth_kib"].is_u64() && page["peak_growth_kib"].is_null());
    let page_bytes = page["received_bytes_each"].as_f64().unwrap();
    assert!((500.0..8_000.0).contains(&page_bytes), "{page}");
    assert!(files["received_bytes_each"].is_null(), "{files}");
    let report = fs::read_to_string(folder.path().join("report.md")).unwrap();
    for heading in ["peak growth MiB", "bytes/answer", "CPU/transfer", "--upload 3000000"] {
        assert!(report.contains(heading), "{heading}: {report}");
    }
}

#[test]
fn wrong_uploads_and_pages_are_named() {
    let catalogue = catalogue();
    let run = loadtest("verify", catalogue.path(), &[]);
    let said = stderr(&run);
    assert_eq!(run.status.code(), Some(1), "{said}");
    for mistake in [
        "wrong under upload: POST /upload: the file that the server wrote: expected body the filling of 1048579 bytes",
        "wrong under page: GET /page.html: expected body 16384 bytes that begin with",
    ] {
        assert!(said.contains(mistake), "{mistake}: {said}");
    }
    assert!(
        !said.contains("skipping right") && !said.contains("wrong under files"),
        "{said}"
    );
}
