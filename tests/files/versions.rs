//! Versioned URLs, and how long each URL may be stored.

use crate::site::{LETTERS, Site, field, send};

/// Whether a response may be stored for a year and never asked for again.
fn is_immutable(response: &crate::site::Response) -> bool {
    let directives = response.list("cache-control");
    let age = directives
        .iter()
        .find_map(|directive| directive.strip_prefix("max-age="));
    let is_long = age.is_some_and(|age| age.parse::<u64>().unwrap() >= 31_536_000);
    assert_eq!(
        is_long,
        directives.iter().any(|directive| directive == "immutable"),
        "{directives:?}"
    );
    is_long
}

#[test]
fn the_url_with_the_current_version_is_immutable_and_no_other() {
    let site = Site::start();
    let url = site.url("az.txt");
    let (path, version) = url.split_once("?v=").unwrap();
    assert_eq!(path, "/static/az.txt");
    assert!(
        version.len() >= 16 && version.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{version}"
    );
    let response = site.send("GET", &url, "");
    response.expect(200, LETTERS).unwrap();
    assert!(is_immutable(&response));
    let etag = field(&response, "etag");
    let unchanged = site.send("GET", &url, &format!("If-None-Match: {etag}\r\n"));
    assert_eq!(unchanged.status, 304);
    assert!(is_immutable(&unchanged));
    let upper = version.to_ascii_uppercase();
    for query in [
        "",
        "?v=",
        "?v=1",
        "?v",
        "?w=1",
        &format!("?v={upper}"),
        &format!("?v={version}0"),
        "?v=%FF",
    ] {
        let response = site.send("GET", &format!("/static/az.txt{query}"), "");
        response.expect(200, LETTERS).unwrap();
        assert!(!is_immutable(&response), "{query}");
    }
    assert!(is_immutable(&site.send("GET", &format!("{path}?a=1&v={version}"), "")));
}

#[test]
fn a_changed_file_has_another_url_at_once() {
    let site = Site::start();
    let before = site.url("az.txt");
    site.folder.replace("az.txt", "zyxwvutsrqponmlkjihgfedcba");
    let after = site.url("az.txt");
    assert_ne!(before, after);
    assert!(!is_immutable(&site.send("GET", &before, "")));
    assert!(is_immutable(&site.send("GET", &after, "")));
    // The version is one of the content, so it returns with the content.
    site.folder.write("az.txt", LETTERS);
    assert_eq!(site.url("az.txt"), before);
}

#[test]
fn a_url_is_percent_encoded_and_can_be_fetched_as_it_is() {
    let site = Site::start();
    for name in [
        "a b.txt",
        "\u{e9}/\u{fc}.txt",
        "100%25.txt",
        "a?b#c&d=e.txt",
        "\"<>'.txt",
        "a+b.txt",
        "a\\b.txt",
    ] {
        site.folder.write(name, name);
        let query: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = site.url(&query);
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
        let response = site.send("GET", &url, "");
        response.expect(200, name.as_bytes()).unwrap();
        assert!(is_immutable(&response), "{url}");
    }
}

#[test]
fn what_is_not_served_has_a_url_without_a_version() {
    let site = Site::start();
    site.folder.write("dir/inner.txt", "inner");
    site.folder.write(".env", "hidden");
    site.folder.fifo("fifo");
    for (path, url) in [
        ("missing", "/static/missing"),
        ("dir", "/static/dir"),
        ("dir/", "/static/dir/"),
        ("az.txt/", "/static/az.txt/"),
        (".env", "/static/.env"),
        ("fifo", "/static/fifo"),
        ("a%20b", "/static/a%20b"),
        ("%0D%0A", "/static/%0D%0A"),
    ] {
        assert_eq!(site.url(path), url);
    }
    for path in ["../outside.txt", "/etc/passwd", "//evil.example", "", "%00"] {
        let url = site.url(path);
        assert!(url.starts_with("/static/") && !url.contains("?v="), "{path}: {url}");
    }
    assert_eq!(site.send("GET", "/static-url", "").status, 400);
    assert_eq!(site.send("GET", "/static-url?path=%FF", "").status, 400);
}

#[test]
fn an_index_has_the_version_of_its_file() {
    let site = Site::start();
    site.folder.write("dir/index.html", "index");
    let url = site.url("dir/");
    assert!(url.starts_with("/static/dir/?v="), "{url}");
    let response = site.send("GET", &url, "");
    response.expect(200, b"index").unwrap();
    assert!(is_immutable(&response));
}

#[test]
fn a_variant_is_immutable_at_the_url_of_its_file() {
    let site = Site::start();
    site.folder.write("az.txt.gz", "gzipped");
    let response = site.send("GET", &site.url("az.txt"), "Accept-Encoding: gzip\r\n");
    response.expect(200, b"gzipped").unwrap();
    assert!(is_immutable(&response));
}

/// A file that is too large to be hashed on the shard.
#[test]
fn a_large_file_is_hashed_once_however_many_ask() {
    let site = Site::with_shards(2);
    let bytes = 24 * 1024 * 1024;
    site.folder.write("large.bin", vec![b'x'; bytes]);
    site.folder.replace("settled.bin", vec![b'y'; bytes]);
    let read_before = read_bytes(&site);
    let urls: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(|| site.url("large.bin"))).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(
        urls.iter().all(|url| *url == urls[0] && url.contains("?v=")),
        "{urls:?}"
    );
    let read = read_bytes(&site) - read_before;
    // Two shards, and a client may come after the computation that the others waited for.
    assert!(read < 8 * bytes as u64, "{read} bytes were read for 16 requests");
    let response = send(&site.server, "HEAD", &urls[0], "");
    assert!(is_immutable(&response));
    assert_ne!(site.url("settled.bin"), urls[0].replace("large", "settled"));
}

/// How many bytes the server has read in all.
fn read_bytes(site: &Site) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{}/io", site.server.id())).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.parse().unwrap()
}
