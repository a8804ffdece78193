//! The contract's routes over both protocols: each answers alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::server::Server;
use crate::wire::{Http2, data, request};

/// Targets of GET and HEAD whose answers do not depend on the time.
const TARGETS: [&str; 30] = [
    "/query?a=1&b=%C3%A9&a=+",
    "/query?a=%FF",
    "/cookie/get?name=missing",
    "/cookie/all",
    "/signed/get?name=missing",
    "/login?next=/x",
    "/private",
    "/logout",
    "/basic",
    "/bearer",
    "/page?name=%3Cb%3E%22%27%26",
    "/page",
    "/compress?n=100000",
    "/compress?n=4000&flush=1",
    "/etag?x=abc",
    "/redirect?to=/a%20b&status=308",
    "/redirect?to=%0D",
    "/old/a/b?c=d",
    "/locale?n=2",
    "/cors",
    "/header?name=X-Own&value=1",
    "/header?name=Connection&value=close",
    "/download?name=%C3%BC.txt",
    "/error?code=418&reason=Teapot",
    "/error?code=599",
    "/boom",
    "/bighead?n=60000",
    "/missing",
    "/form",
    "/static-url?path=az.txt",
];

/// A folder with files, removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn start() -> (Server, Folder) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("http2-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    fs::create_dir_all(folder.0.join("dir")).unwrap();
    fs::write(folder.0.join("az.txt"), "abcdefghijklmnopqrstuvwxyz").unwrap();
    fs::write(folder.0.join("dir/index.html"), "index").unwrap();
    let content: Vec<u8> = (0..1_000_000_u32).map(|place| (place % 251) as u8).collect();
    fs::write(folder.0.join("middle.bin"), &content).unwrap();
    fs::write(folder.0.join("large.bin"), content.repeat(3)).unwrap();
    let server = Server::start("conformance", &["--static-dir", folder.0.to_str().unwrap()]);
    (server, folder)
}

fn over_http1(server: &Server, method: &str, target: &str, fields: &[(&str, &str)], content: &[u8]) -> (u16, Vec<u8>) {
    let mut head = format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n",
        content.len()
    );
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    let bytes = [head.as_bytes(), b"\r\n", content].concat();
    let response = server.connect().exchange(&bytes, method).unwrap();
    (response.status, response.body)
}

fn over_http2(server: &Server, method: &str, target: &str, fields: &[(&str, &str)], content: &[u8]) -> (u16, Vec<u8>) {
    let mut connection = Http2::open(server);
    connection.send(&request(1, method, target, content.is_empty(), fields));
    if !content.is_empty() {
        connection.send(&data(1, true, content));
    }
    let answer = connection.answer(1);
    (answer.status, answer.content)
}

#[track_caller]
fn expect_alike(server: &Server, method: &str, target: &str, fields: &[(&str, &str)], content: &[u8]) -> u16 {
    let one = over_http1(server, method, target, fields, content);
    let two = over_http2(server, method, target, fields, content);
    assert_eq!(one.0, two.0, "{method} {target}");
    assert!(
        one.1 == two.1,
        "{method} {target}: {} and {} bytes",
        one.1.len(),
        two.1.len()
    );
    one.0
}

#[test]
fn every_page_answers_alike() {
    let (server, _folder) = start();
    for target in TARGETS {
        for method in ["GET", "HEAD", "DELETE"] {
            expect_alike(&server, method, target, &[], b"");
        }
        expect_alike(&server, "GET", target, &[("accept", "application/json")], b"");
        expect_alike(&server, "GET", target, &[("accept-language", "de")], b"");
    }
    assert_eq!(
        expect_alike(
            &server,
            "GET",
            "/basic",
            &[("authorization", "Basic YWRhOmxvdmVsYWNl")],
            b""
        ),
        200
    );
}

#[test]
fn every_body_answers_alike() {
    let (server, _folder) = start();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let multipart = [("content-type", "multipart/form-data; boundary=b")];
    let json = [("content-type", "application/json")];
    let parts = b"--b\r\nContent-Disposition: form-data; name=f; filename=n\r\n\r\ncontent\r\n--b--\r\n";
    for (target, fields, content, status) in [
        ("/form", &form[..], &b"a=1&b=2&a=3"[..], 200),
        ("/form", &json, b"{}", 415),
        ("/upload", &multipart, parts, 200),
        ("/upload", &multipart, b"--b\r\n", 400),
        ("/upload/stream", &multipart, parts, 200),
        ("/upload/stream", &form, b"a=1", 415),
        ("/json-in", &json, b"{\"name\":\"n\",\"count\":1}", 200),
        ("/json-in", &json, b"{\"name\":\"n\",\"count\":-1}", 422),
        ("/json-in", &json, b"{", 400),
        ("/inflate", &[("content-encoding", "deflate")], b"x", 415),
        ("/inflate", &[("content-encoding", "gzip")], b"x", 400),
        ("/xsrf", &form, b"a=1", 403),
        ("/login", &form, b"user=ada&next=//evil.example", 302),
    ] {
        assert_eq!(
            expect_alike(&server, "POST", target, fields, content),
            status,
            "{target}"
        );
    }
}

/// A file in memory is sent from its pages over HTTP/1.1, and in slices over HTTP/2.
#[test]
fn every_file_answers_alike() {
    let (server, _folder) = start();
    let all_files = || {
        for target in [
            "/static/az.txt",
            "/static/middle.bin",
            "/static/large.bin",
            "/static/dir/",
        ] {
            for method in ["GET", "HEAD"] {
                assert_eq!(expect_alike(&server, method, target, &[], b""), 200, "{target}");
            }
            let one = over_http1(&server, "GET", target, &[("range", "bytes=1-3")], b"");
            assert_eq!(one, over_http2(&server, "GET", target, &[("range", "bytes=1-3")], b""));
            assert_eq!(one.0, 206, "{target}");
        }
        for (target, status) in [("/static/dir", 301), ("/static/missing", 404), ("/static/../x", 404)] {
            assert_eq!(expect_alike(&server, "GET", target, &[], b""), status, "{target}");
        }
    };
    all_files();
    // From two seconds after their change files are kept in memory.
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    assert!(never.recv_timeout(Duration::from_millis(2200)).is_err());
    for _ in 0..3 {
        all_files();
    }
}
