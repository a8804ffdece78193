//! Precompressed files beside others.

use crate::site::{LETTERS, Site, field};

fn site() -> Site {
    let site = Site::start();
    site.folder.write("az.txt.gz", "gzipped");
    site.folder.write("az.txt.br", "brotli");
    site.folder.write("az.txt.zst", "zstandard");
    site
}

#[test]
fn the_weights_of_the_client_select_the_variant() {
    let site = site();
    for (accepted, coding, content) in [
        ("gzip", "gzip", b"gzipped".as_slice()),
        ("br", "br", b"brotli"),
        ("zstd", "zstd", b"zstandard"),
        ("gzip, br;q=0.5", "gzip", b"gzipped"),
        ("gzip;q=0.2, zstd;q=0.3, br;q=0.1", "zstd", b"zstandard"),
        ("GZIP", "gzip", b"gzipped"),
        ("*, br;q=0, zstd;q=0", "gzip", b"gzipped"),
        ("gzip;q=0.5, identity;q=0.1", "gzip", b"gzipped"),
        ("gzip;q=0.5, identity", "", LETTERS),
        ("gzip;q=0", "", LETTERS),
        ("identity", "", LETTERS),
        ("deflate", "", LETTERS),
        ("", "", LETTERS),
    ] {
        let response = site.get_with("az.txt", &format!("Accept-Encoding: {accepted}\r\n"));
        response.expect(200, content).unwrap();
        assert_eq!(field(&response, "content-encoding"), coding, "{accepted}");
        assert_eq!(field(&response, "vary"), "Accept-Encoding", "{accepted}");
        assert_eq!(
            field(&response, "content-type"),
            "text/plain; charset=utf-8",
            "{accepted}"
        );
    }
    site.get("az.txt").expect(200, LETTERS).unwrap();
    assert_eq!(field(&site.get("az.txt"), "vary"), "Accept-Encoding");
}

#[test]
fn each_variant_has_a_tag_of_its_own() {
    let site = site();
    // The same bytes in every coding.
    for name in ["same", "same.gz", "same.br", "same.zst"] {
        site.folder.write(name, "same");
    }
    for path in ["az.txt", "same"] {
        let mut tags: Vec<_> = ["br", "zstd", "gzip", "identity"]
            .iter()
            .map(|coding| {
                let response = site.get_with(path, &format!("Accept-Encoding: {coding}\r\n"));
                field(&response, "etag").to_owned()
            })
            .collect();
        for (coding, tag) in ["br", "zstd", "gzip", "identity"].iter().zip(&tags) {
            let fields = format!("Accept-Encoding: {coding}\r\nIf-None-Match: {tag}\r\n");
            let response = site.get_with(path, &fields);
            assert_eq!(
                (response.status, field(&response, "vary")),
                (304, "Accept-Encoding"),
                "{path} {coding}"
            );
            let other = if *coding == "br" { "gzip" } else { "br" };
            let fields = format!("Accept-Encoding: {other}\r\nIf-None-Match: {tag}\r\n");
            assert_eq!(site.get_with(path, &fields).status, 200, "{path} {coding}");
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 4, "{path}: {tags:?}");
    }
}

#[test]
fn a_compressed_file_asked_for_by_name_is_an_ordinary_file() {
    let site = site();
    let response = site.get_with("az.txt.gz", "Accept-Encoding: gzip\r\n");
    response.expect(200, b"gzipped").unwrap();
    assert_eq!(field(&response, "content-type"), "application/gzip");
    assert_eq!(
        (response.field("content-encoding"), response.field("vary")),
        (None, None)
    );
}

#[test]
fn a_range_is_one_of_the_variant() {
    let site = site();
    let response = site.get_with("az.txt", "Accept-Encoding: gzip\r\nRange: bytes=0-2\r\n");
    response.expect(206, b"gzi").unwrap();
    assert_eq!(field(&response, "content-range"), "bytes 0-2/7");
    assert_eq!(field(&response, "content-encoding"), "gzip");
}

#[test]
fn only_regular_files_that_are_there_now_are_variants() {
    let site = Site::start();
    site.folder.write("az.txt.gz/file", "x");
    site.folder.link("../outside.txt", "az.txt.br");
    let accept = "Accept-Encoding: gzip, br, zstd\r\n";
    let response = site.get_with("az.txt", accept);
    response.expect(200, LETTERS).unwrap();
    assert_eq!(response.field("vary"), None);
    site.folder.write("az.txt.zst", "zstandard");
    site.get_with("az.txt", accept).expect(200, b"zstandard").unwrap();
    std::fs::remove_file(site.folder.root().join("az.txt.zst")).unwrap();
    site.get_with("az.txt", accept).expect(200, LETTERS).unwrap();
    // A variant needs the file itself.
    site.folder.write("alone.gz", "x");
    assert_eq!(site.get_with("alone", accept).status, 404);
}

#[test]
fn an_index_has_variants_too() {
    let site = Site::start();
    site.folder.write("dir/index.html", "index");
    site.folder.write("dir/index.html.br", "compressed");
    let response = site.get_with("dir/", "Accept-Encoding: br\r\n");
    response.expect(200, b"compressed").unwrap();
    assert_eq!(field(&response, "content-type"), "text/html; charset=utf-8");
}
