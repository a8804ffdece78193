//! Static files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use squall::StaticFiles;
use squall::prelude::*;

use crate::support::response::Response;
use crate::support::running::Running;
use crate::{ask, field};

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// A folder and two servers of it: with `index.html` for directories, and without.
struct Site {
    folder: PathBuf,
    server: Running,
}

async fn versioned(cx: &mut Context) -> Result<String> {
    let path: String = cx.param("path")?;
    cx.static_url_with_version(&path).await
}

impl Site {
    fn start() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "tornado-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let root = folder.join("root");
        fs::create_dir_all(root.join("dir")).unwrap();
        for (name, content) in [
            ("az.txt", LETTERS),
            ("robots.txt", LETTERS),
            ("dir/index.html", b"index"),
            ("x.xml", b"<x/>"),
            ("x.xml.gz", b"gz"),
            ("x.xml.bz2", b"bz2"),
            ("../outside.txt", b"outside"),
        ] {
            fs::write(root.join(name), content).unwrap();
        }
        let served = root;
        let server = Running::start(1, move || {
            let files = StaticFiles::new(&served);
            let robots = files.clone();
            Application::new()
                .route("/static/{*path}", files)
                .route("/plain/{*path}", StaticFiles::new(&served).without_index())
                .get("/surl/{*path}", versioned)
                .get("/robots.txt", async move |cx: &mut Context| {
                    robots.serve(cx, "robots.txt").await
                })
        });
        Self { folder, server }
    }

    fn get(&self, target: &str, fields: &str) -> Response {
        ask(&self.server, "GET", target, fields)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// `StaticFileTest.test_static_files`, `.test_static_files_cacheable`, `.test_static_compressed_files`. Tornado lets any
/// `v` be cached; Squall the current one alone.
#[test]
fn files_have_their_types_and_versions_are_cached() {
    let site = Site::start();
    for (target, content, types) in [
        ("/robots.txt", LETTERS, &["text/plain; charset=utf-8"][..]),
        ("/static/az.txt", LETTERS, &["text/plain; charset=utf-8"]),
        ("/static/x.xml.gz", b"gz", &["application/gzip"]),
        (
            "/static/x.xml.bz2",
            b"bz2",
            &["application/octet-stream", "application/x-bzip2", "application/x-bzip"],
        ),
        ("/plain/az.txt", LETTERS, &["text/plain; charset=utf-8"]),
    ] {
        let response = site.get(target, "");
        response.expect(200, content).unwrap();
        assert!(
            types.contains(&field(&response, "content-type")),
            "{target}: {response:?}"
        );
    }
    let xml = site.get("/static/x.xml", "");
    assert!(field(&xml, "content-type").contains("xml"), "{xml:?}");
    let url = String::from_utf8(site.get("/surl/az.txt", "").body).unwrap();
    let cached = site.get(&url, "");
    cached.expect(200, LETTERS).unwrap();
    assert!(field(&cached, "cache-control").contains("immutable"), "{cached:?}");
    assert!(!field(&site.get("/static/az.txt?v=1", ""), "cache-control").contains("max-age"));
}

/// `StaticFileTest.test_static_url`, `.test_static_etag`. The hash is another one than Tornado's.
#[test]
fn the_version_of_a_file_is_its_tag() {
    let site = Site::start();
    let file = site.get("/static/az.txt", "");
    let tag = field(&file, "etag").trim_matches('"');
    site.get("/surl/az.txt", "")
        .expect(200, format!("/static/az.txt?v={tag}").as_bytes())
        .unwrap();
}

/// `StaticFileTest.test_static_304_*`.
#[test]
fn conditions_decide_between_200_and_304() {
    let site = Site::start();
    let path = site.folder.join("root/az.txt");
    // 2000-01-01, so that one second later is not in the future.
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(946_684_800);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(modified).unwrap();
    let first = site.get("/static/az.txt", "");
    let (tag, date) = (field(&first, "etag"), field(&first, "last-modified"));
    assert_eq!(date, "Sat, 01 Jan 2000 00:00:00 GMT");
    for (fields, status) in [
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (format!("If-None-Match: {tag}\r\n"), 304),
        (
            format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {date}\r\n"),
            200,
        ),
        ("If-Modified-Since: not!valid!date\r\n".to_owned(), 200),
        ("If-Modified-Since: Fri, 01 Jan 1960 00:00:00 GMT\r\n".to_owned(), 200),
        ("If-Modified-Since: Fri, 31 Dec 1999 23:59:59 GMT\r\n".to_owned(), 200),
        ("If-Modified-Since: Sat, 01 Jan 2000 00:00:01 GMT\r\n".to_owned(), 304),
    ] {
        let response = site.get("/static/az.txt", &fields);
        assert_eq!(response.status, status, "{fields}");
        if status == 304 {
            assert_eq!(response.field("content-length"), None, "{fields}");
        }
    }
}

/// `StaticFileTest.test_static_with_range*`, `.test_static_invalid_range`, `.test_static_unsatisfiable_range_*`.
///
/// Tornado answers 416 to `10-3` and to `26`; RFC 9110 §14.2 has a server ignore a field that does not parse.
#[test]
fn ranges_are_those_of_the_letters() {
    let site = Site::start();
    let whole = (200, LETTERS, "");
    for (range, (status, content, content_range)) in [
        ("bytes=0-9", (206, &LETTERS[..10], "bytes 0-9/26")),
        ("bytes=1-10000000", (206, &LETTERS[1..], "bytes 1-25/26")),
        ("bytes=22-", (206, &LETTERS[22..], "bytes 22-25/26")),
        ("bytes=-4", (206, &LETTERS[22..], "bytes 22-25/26")),
        ("asdf", whole),
        ("bytes=26", whole),
        ("bytes=10-3", whole),
    ] {
        let response = site.get("/static/az.txt", &format!("Range: {range}\r\n"));
        response.expect(status, content).unwrap();
        assert_eq!(field(&response, "content-range"), content_range, "{range}");
    }
    // The whole file: Tornado answers 200, and RFC 9110 §15.3.7 allows both.
    for range in ["bytes=0-", "bytes=0-10000000", "bytes=-1000000"] {
        let response = site.get("/static/az.txt", &format!("Range: {range}\r\n"));
        assert!(matches!(response.status, 200 | 206), "{range}: {response:?}");
        assert_eq!(response.body, LETTERS, "{range}");
    }
    for range in ["bytes=-0", "bytes=26-"] {
        let response = site.get("/static/az.txt", &format!("Range: {range}\r\n"));
        assert_eq!(
            (response.status, field(&response, "content-range")),
            (416, "bytes */26"),
            "{range}"
        );
    }
}

/// `StaticFileTest.test_static_head`, `.test_static_head_range`, `.test_static_range_if_none_match`.
#[test]
fn head_has_the_fields_of_get() {
    let site = Site::start();
    let tag = field(&site.get("/static/az.txt", ""), "etag").to_owned();
    for (fields, status, length) in [
        (String::new(), 200, "26"),
        ("Range: bytes=1-4\r\n".to_owned(), 206, "4"),
        (format!("Range: bytes=1-4\r\nIf-None-Match: {tag}\r\n"), 304, ""),
        ("Range: bytes=26-\r\n".to_owned(), 416, ""),
    ] {
        let head = ask(&site.server, "HEAD", "/static/az.txt", &fields);
        let get = site.get("/static/az.txt", &fields);
        assert_eq!((head.status, head.body.len()), (status, 0), "{fields}");
        if !length.is_empty() {
            assert_eq!(field(&head, "content-length"), length, "{fields}");
        }
        let content_fields = |response: &Response| {
            let about = response.fields.iter().filter(|(name, _)| name.starts_with("content-"));
            about.cloned().collect::<Vec<_>>()
        };
        assert_eq!(content_fields(&head), content_fields(&get), "{fields}");
    }
}

/// `StaticFileTest.test_static_404`, `.test_path_traversal_protection`, `StaticDefaultFilenameTest`,
/// `StaticDefaultFilenameRootTest.test_no_open_redirect`.
#[test]
fn directories_and_paths_lead_nowhere_else() {
    let site = Site::start();
    for target in [
        "/static/nope",
        "/static/../outside.txt",
        "/static/..%2foutside.txt",
        "/plain/dir",
        "/plain/dir/",
    ] {
        assert_eq!(site.get(target, "").status, 404, "{target}");
    }
    site.get("/static/dir/", "").expect(200, b"index").unwrap();
    let redirected = site.get("/static/dir", "");
    assert_eq!(
        (redirected.status, field(&redirected, "location")),
        (301, "/static/dir/")
    );
    let root = site.folder.join("root/dir");
    let evil = site.get(&format!("//evil.com/..{}", root.display()), "");
    assert!(!field(&evil, "location").starts_with("//"), "{evil:?}");
}
