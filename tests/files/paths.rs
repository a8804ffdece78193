//! Which paths name a file, and the fields that it is sent with.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::site::{LETTERS, Site, field};

#[test]
fn a_file_is_sent_with_its_type_length_and_validators() {
    let site = Site::start();
    site.folder.write("page.html", "<p>\u{e9}");
    site.folder.write("a/b/app.js", "1");
    site.folder.write("data.json", "{}");
    site.folder.write("image.png", "png");
    site.folder.write("LOUD.TXT", "x");
    site.folder.write("no-extension", "x");
    site.folder.write("strange.xyzzy", "x");
    site.folder.write("archive.tar.gz", "x");
    site.folder.write("empty.css", "");
    for (path, content_type, content) in [
        ("az.txt", "text/plain; charset=utf-8", LETTERS),
        ("page.html", "text/html; charset=utf-8", "<p>\u{e9}".as_bytes()),
        ("a/b/app.js", "text/javascript; charset=utf-8", b"1"),
        ("data.json", "application/json", b"{}"),
        ("image.png", "image/png", b"png"),
        ("LOUD.TXT", "text/plain; charset=utf-8", b"x"),
        ("no-extension", "application/octet-stream", b"x"),
        ("strange.xyzzy", "application/octet-stream", b"x"),
        ("archive.tar.gz", "application/gzip", b"x"),
        ("empty.css", "text/css; charset=utf-8", b""),
    ] {
        let response = site.get(path);
        response.expect(200, content).unwrap();
        assert_eq!(field(&response, "content-type"), content_type, "{path}");
        assert_eq!(field(&response, "content-length"), content.len().to_string(), "{path}");
        assert_eq!(field(&response, "accept-ranges"), "bytes", "{path}");
        assert_eq!(response.field("vary"), None, "{path}");
        assert_eq!(response.field("content-encoding"), None, "{path}");
        let etag = field(&response, "etag");
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
        let modified = httpdate::parse_http_date(field(&response, "last-modified")).unwrap();
        let date = httpdate::parse_http_date(field(&response, "date")).unwrap();
        assert!(modified <= date, "{path}");
        let head = site.head_with(path, "");
        assert_eq!(head.body, b"");
        let without_date = |response: &crate::site::Response| {
            let fields = response.fields.iter().filter(|(name, _)| name != "date").cloned();
            fields.collect::<Vec<_>>()
        };
        assert_eq!(
            (head.status, without_date(&head)),
            (200, without_date(&response)),
            "{path}"
        );
    }
}

#[test]
fn other_methods_get_405_with_allow() {
    let site = Site::start();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"] {
        for target in ["/static/az.txt", "/static/missing", "/static/", "/static-url"] {
            let response = site.send(method, target, "Content-Length: 0\r\n");
            assert_eq!(response.status, 405, "{method} {target}");
            assert_eq!(response.list("allow"), ["get", "head"], "{method} {target}");
        }
    }
}

/// F07 of the attacks: dot segments, encodings, doubled slashes, NUL, hidden names.
#[test]
fn nothing_outside_the_directory_comes_out_whatever_the_path_says() {
    let site = Site::start();
    site.folder.write("dir/inner.txt", "inner");
    site.folder.write(".git/config", "hidden");
    site.folder.write(".env", "hidden");
    site.folder.write("dir/.secret", "hidden");
    for path in [
        "../outside.txt",
        "dir/../../outside.txt",
        "%2e%2e/outside.txt",
        "..%2foutside.txt",
        "%2e%2e%2foutside.txt",
        "%2E%2E%2Foutside.txt",
        "%252e%252e/outside.txt",
        "..%252foutside.txt",
        "..\\outside.txt",
        "..%5coutside.txt",
        "%c0%ae%c0%ae/outside.txt",
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "/az.txt",
        "dir//inner.txt",
        "dir/./inner.txt",
        "dir/../az.txt",
        "./az.txt",
        "az.txt%00",
        "az.txt%00.png",
        "%00",
        ".git/config",
        ".git/",
        ".env",
        "%2eenv",
        "dir/.secret",
        ".",
        "..",
        "...",
        "az.txt/",
        "az.txt/.",
        "az.txt/x",
        "az.txt%2f",
        "dir",
        "dir/",
        "",
        "missing",
        "missing/",
        "a%0d%0ab",
        "~root",
        "az.txt%20",
        "AZ.TXT",
    ] {
        let response = site.get(path);
        assert_eq!(response.status, 404, "{path}");
        let said = String::from_utf8_lossy(&response.body);
        assert!(
            !said.contains("secret") && !said.contains("hidden") && !said.contains("root:"),
            "{path}: {said}"
        );
    }
    assert_eq!(site.get("a%zz").status, 400);
    let long = "a/".repeat(2000) + "b";
    assert_eq!(site.get(&long).status, 404);
    assert_eq!(site.get(&"n".repeat(300)).status, 404);
}

#[test]
fn names_are_percent_decoded_once() {
    let site = Site::start();
    for name in [
        "a b.txt",
        "\u{e9}.txt",
        "100%.txt",
        "a?b#c.txt",
        "a\\b.txt",
        "a+b.txt",
        "%2e.txt",
        "q\"<.txt",
    ] {
        site.folder.write(name, name);
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        site.get(&encoded).expect(200, name.as_bytes()).unwrap();
    }
    site.get("a+b.txt").expect(200, b"a+b.txt").unwrap();
    site.get("%61z.txt").expect(200, LETTERS).unwrap();
}

#[test]
fn a_name_that_is_not_utf_8_is_a_name() {
    use std::os::unix::ffi::OsStrExt as _;
    let site = Site::start();
    let name = std::ffi::OsStr::from_bytes(b"\xff.txt");
    fs::write(site.folder.root().join(name), "latin").unwrap();
    site.get("%FF.txt").expect(200, b"latin").unwrap();
}

#[test]
fn well_known_is_the_one_hidden_name_that_is_served() {
    let site = Site::start();
    site.folder.write(".well-known/security.txt", "contact");
    site.folder.write(".well-known/.hidden", "hidden");
    site.folder.write("dir/.well-known/x", "x");
    site.get(".well-known/security.txt").expect(200, b"contact").unwrap();
    site.get("dir/.well-known/x").expect(200, b"x").unwrap();
    assert_eq!(site.get(".well-known/.hidden").status, 404);
    assert_eq!(site.get(".well-known2/x").status, 404);
}

#[test]
fn a_link_is_followed_only_if_it_is_relative_and_stays_inside() {
    let site = Site::start();
    site.folder.write("dir/inner.txt", "inner");
    let root = site.folder.root();
    site.folder.link("az.txt", "link");
    site.folder.link("dir", "link-dir");
    site.folder.link("../az.txt", "dir/up");
    site.folder.link("dir/../az.txt", "winding");
    for path in ["link", "dir/up", "winding", "link-dir/up"] {
        site.get(path).expect(200, LETTERS).unwrap();
    }
    site.get("link-dir/inner.txt").expect(200, b"inner").unwrap();
    site.folder.link("../outside.txt", "out");
    site.folder.link("..", "parent");
    site.folder.link("/etc/passwd", "passwd");
    site.folder.link("/", "slash");
    site.folder.link(root.join("az.txt"), "absolute-inside");
    site.folder.link("self", "self");
    site.folder.link("missing", "dangling");
    site.folder.link("/proc/self/root", "magic");
    site.folder.link("../root/az.txt", "out-and-back");
    site.folder.link("../../outside.txt", "dir/far");
    for path in [
        "out",
        "parent/outside.txt",
        "passwd",
        "slash/etc/passwd",
        "absolute-inside",
        "self",
        "dangling",
        "magic/etc/passwd",
        "out-and-back",
        "dir/far",
    ] {
        let response = site.get(path);
        assert_eq!(response.status, 404, "{path}");
    }
}

#[test]
fn fifos_sockets_and_devices_are_404_at_once() {
    let site = Site::start();
    site.folder.fifo("fifo");
    site.folder.fifo("az.txt.gz");
    let socket = UnixListener::bind(site.folder.root().join("socket"));
    site.folder.link("fifo", "link-to-fifo");
    for path in ["fifo", "link-to-fifo", "fifo/", "socket"] {
        assert_eq!(site.get(path).status, 404, "{path}");
    }
    // Variants are regular files, too.
    let response = site.get_with("az.txt", "Accept-Encoding: gzip\r\n");
    response.expect(200, LETTERS).unwrap();
    assert_eq!(response.field("vary"), None);
    // Making a device takes privileges that not every machine grants.
    let device = std::process::Command::new("mknod")
        .args([site.folder.root().join("zero").to_str().unwrap(), "c", "1", "5"])
        .output();
    if device.is_ok_and(|made| made.status.success()) {
        assert_eq!(site.get("zero").status, 404);
    }
    drop(socket);
}

#[test]
fn index_html_stands_for_its_directory() {
    let site = Site::start();
    site.folder.write("dir/index.html", "index");
    site.folder.write("a b/\u{e9}/index.html", "accent");
    site.folder.write("deep/index.html/file", "x");
    for (path, location) in [
        ("dir", "/static/dir/"),
        ("dir?a=b&c", "/static/dir/?a=b&c"),
        ("a%20b/%C3%A9", "/static/a%20b/%C3%A9/"),
        ("%64ir", "/static/%64ir/"),
    ] {
        for method in ["GET", "HEAD"] {
            let response = site.send(method, &format!("/static/{path}"), "");
            assert_eq!(response.status, 301, "{path}");
            assert_eq!(field(&response, "location"), location, "{path}");
        }
    }
    for path in ["dir/", "dir/index.html", "dir/?x"] {
        let response = site.get(path);
        response.expect(200, b"index").unwrap();
        assert_eq!(field(&response, "content-type"), "text/html; charset=utf-8");
    }
    site.get("a%20b/%C3%A9/").expect(200, b"accent").unwrap();
    // An index is a regular file.
    assert_eq!(site.get("deep").status, 404);
    assert_eq!(site.get("deep/").status, 404);
    assert_eq!(site.get("").status, 404);
    site.folder.write("index.html", "root");
    site.get("").expect(200, b"root").unwrap();
}

#[test]
fn a_redirect_stays_on_this_host_whatever_the_path_says() {
    let site = Site::start();
    for name in ["evil.example", "\\evil.example", "@evil.example", "https:", "a\"b<c>"] {
        site.folder.write(&format!("{name}/index.html"), "x");
    }
    for (target, location) in [
        ("/static/evil.example", Some("/static/evil.example/")),
        ("/static/\\evil.example", Some("/static/%5Cevil.example/")),
        ("/static/%5Cevil.example", Some("/static/%5Cevil.example/")),
        ("/static/@evil.example", Some("/static/@evil.example/")),
        ("/static/https:", Some("/static/https:/")),
        ("/static/a%22b%3Cc%3E", Some("/static/a%22b%3Cc%3E/")),
        ("//static/evil.example", None),
        ("/static//evil.example", None),
        ("http://evil.example/static/evil.example", Some("/static/evil.example/")),
    ] {
        let response = site.send("GET", target, "");
        match location {
            Some(location) => {
                assert_eq!(
                    (response.status, field(&response, "location")),
                    (301, location),
                    "{target}"
                );
            }
            None => assert_eq!(response.status, 404, "{target}"),
        }
    }
}
