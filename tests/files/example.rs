//! The example `files`, which serves a directory at `/`.

use crate::site::{Folder, LETTERS, field, send};
use crate::support::server::{Server, command};

fn start(folder: &Folder, flags: &[&str]) -> Server {
    let mut program = command("files");
    program.arg(folder.root()).args(flags);
    Server::start_by(program, 1, &[])
}

#[test]
fn the_example_serves_a_directory_by_the_same_rules() {
    let folder = Folder::new();
    folder.write("az.txt", LETTERS);
    folder.write("dir/index.html", "index");
    folder.write("bare/file", "x");
    folder.write(".env", "hidden");
    folder.link("../outside.txt", "out");
    let server = start(&folder, &[]);
    let get = |target: &str| send(&server, "GET", target, "");
    get("/az.txt").expect(200, LETTERS).unwrap();
    get("/dir/").expect(200, b"index").unwrap();
    assert_eq!(field(&get("/dir"), "location"), "/dir/");
    for target in [
        "/",
        "/missing",
        "/bare",
        "/bare/",
        "/.env",
        "/out",
        "/../outside.txt",
        "//az.txt",
        "/az.txt/",
    ] {
        assert_eq!(get(target).status, 404, "{target}");
    }
    folder.write("index.html", "home");
    get("/").expect(200, b"home").unwrap();
    let ranged = send(&server, "GET", "/az.txt", "Range: bytes=1-2\r\n");
    ranged.expect(206, b"bc").unwrap();
    let posted = send(&server, "POST", "/az.txt", "Content-Length: 0\r\n");
    assert_eq!(
        (posted.status, posted.list("allow")),
        (405, ["get", "head", "options"].map(str::to_owned).to_vec())
    );
}

/// F08 of the attacks.
#[test]
fn no_path_of_the_example_redirects_to_another_host() {
    let folder = Folder::new();
    for name in ["evil.example", "\\evil.example", "https:", "a/evil.example"] {
        folder.write(&format!("{name}/index.html"), "x");
    }
    for flags in [&[][..], &["--list"]] {
        let server = start(&folder, flags);
        for target in [
            "//evil.example",
            "//evil.example/",
            "//evil.example/..%2f",
            "///evil.example",
            "/\\evil.example",
            "/%5Cevil.example",
            "/%2Fevil.example",
            "/%2F%2Fevil.example",
            "/a//evil.example",
            "/evil.example",
            "/https:",
            "//",
            "/./evil.example",
            "/..//evil.example",
            "http://evil.example//evil.example",
            "http://evil.example/evil.example",
        ] {
            let response = send(&server, "GET", target, "");
            let location = field(&response, "location");
            let is_local = location.starts_with('/') && !location.starts_with("//") && !location.contains('\\');
            assert!(
                response.status == 404 || (response.status == 301 && is_local),
                "{target}: {} {location}",
                response.status
            );
        }
    }
}

#[test]
fn directories_are_listed_only_if_asked_for() {
    let folder = Folder::new();
    folder.write("dir/<b>&.txt", "x");
    folder.write("dir/inner/file", "x");
    folder.write("dir/.hidden", "x");
    folder.write("indexed/index.html", "index");
    folder.fifo("dir/fifo");
    folder.link("/etc/passwd", "dir/out");
    let server = start(&folder, &["--list"]);
    let get = |target: &str| send(&server, "GET", target, "");
    let listed = get("/dir/");
    let page = String::from_utf8(listed.body.clone()).unwrap();
    assert_eq!(
        (listed.status, field(&listed, "content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(page.contains("href=\"./%3Cb%3E%26.txt\">&lt;b&gt;&amp;.txt<"), "{page}");
    assert!(page.contains("href=\"./inner/\">inner/<"), "{page}");
    for absent in ["hidden", "fifo", "out<"] {
        assert!(!page.contains(absent), "{absent}: {page}");
    }
    assert_eq!(field(&get("/dir"), "location"), "/dir/");
    get("/indexed/").expect(200, b"index").unwrap();
    assert_eq!(get("/").status, 200);
    assert_eq!(get("/missing/").status, 404);
    assert_eq!(get("/.hidden/").status, 404);
    let head = send(&server, "HEAD", "/dir/", "");
    assert_eq!((head.status, head.body.as_slice()), (200, b"".as_slice()));
}

#[test]
fn a_fallback_answers_pages_and_no_scripts() {
    let folder = Folder::new();
    folder.write("index.html", "app");
    folder.write("app.js", "script");
    let server = start(&folder, &["--fallback", "index.html"]);
    let html = "Accept: text/html, */*;q=0.8\r\n";
    for (target, fields, status) in [
        ("/", "", 200),
        ("/users/7", "", 200),
        ("/users/jane.doe", html, 200),
        ("/missing.js", "Accept: */*\r\n", 404),
        ("/.env", "", 404),
    ] {
        let response = send(&server, "GET", target, fields);
        assert_eq!(response.status, status, "{target}");
        assert_eq!(status == 200, response.body == b"app", "{target}");
    }
    let script = send(&server, "GET", "/app.js", html);
    script.expect(200, b"script").unwrap();
}
