//! Files of middle size, which a server keeps in memory and sends from there.
//!
//! They are kept from two seconds after their last change, so these tests wait for that.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use crate::changes::{begin, content, read_to_end};
use crate::site::{Site, field};
use crate::support::eventually;

/// As large as a kept file may be by default.
const BYTES: usize = 1024 * 1024;

fn letters(first: u8) -> Vec<u8> {
    (0..26).map(|place| first + place).cycle().take(BYTES).collect()
}

/// A site with `middle.bin`, which the server has copied into memory.
fn site() -> Site {
    let site = Site::start();
    site.folder.write("middle.bin", letters(b'a'));
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    assert!(never.recv_timeout(Duration::from_millis(2200)).is_err());
    assert!(!has_snapshot(&site));
    eventually("the copy of the file", || {
        site.get("middle.bin").expect(200, &letters(b'a')).unwrap();
        has_snapshot(&site)
    });
    site
}

/// Whether the server has mapped the copy of a file.
fn has_snapshot(site: &Site) -> bool {
    let maps = fs::read_to_string(format!("/proc/{}/maps", site.server.id())).unwrap();
    maps.contains("squall-snapshot")
}

#[test]
fn a_kept_file_is_the_same_file() {
    let site = Site::start();
    site.folder.write("middle.bin", letters(b'a'));
    let before = site.get("middle.bin");
    drop(site);
    let site = self::site();
    let kept = site.get("middle.bin");
    kept.expect(200, &before.body).unwrap();
    for name in ["content-length", "content-type", "accept-ranges"] {
        assert_eq!(kept.field(name), before.field(name), "{name}");
    }
    let tag = field(&kept, "etag").to_owned();
    assert_eq!(
        site.get_with("middle.bin", &format!("If-None-Match: {tag}\r\n")).status,
        304
    );
    let head = site.head_with("middle.bin", "");
    assert_eq!(
        (field(&head, "content-length"), field(&head, "etag")),
        ("1048576", tag.as_str())
    );
    let part = site.get_with("middle.bin", "Range: bytes=1000-900999\r\n");
    part.expect(206, &letters(b'a')[1000..901_000]).unwrap();
    let several = site.get_with("middle.bin", "Range: bytes=0-0,500000-999999\r\n");
    assert_eq!(several.status, 206);
    let url = site.url("middle.bin");
    assert!(
        field(&site.send("GET", &url, ""), "cache-control").contains("immutable"),
        "{url}"
    );
}

/// On a connection that is kept, the head of the next response follows the last page.
#[test]
fn responses_of_one_connection_stay_apart() {
    let site = site();
    let mut connection = site.server.connect();
    let request = b"GET /static/middle.bin HTTP/1.1\r\nHost: a\r\n\r\n";
    for _ in 0..20 {
        let response = connection.exchange(request, "GET").unwrap();
        response.expect(200, &letters(b'a')).unwrap();
    }
    connection.send(&request.repeat(5)).unwrap();
    for _ in 0..5 {
        connection.response("GET").unwrap().expect(200, &letters(b'a')).unwrap();
    }
    let small = b"GET /static/az.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    connection
        .exchange(small, "GET")
        .unwrap()
        .expect(200, crate::site::LETTERS)
        .unwrap();
}

#[test]
fn a_change_is_seen_by_the_next_request() {
    let site = site();
    let old = field(&site.get("middle.bin"), "etag").to_owned();
    site.folder.write("middle.bin", letters(b'A'));
    let new = site.get("middle.bin");
    new.expect(200, &letters(b'A')).unwrap();
    assert_ne!(field(&new, "etag"), old);
    fs::remove_file(site.folder.root().join("middle.bin")).unwrap();
    assert_eq!(site.get("middle.bin").status, 404);
}

/// The client takes 64 KiB at first, so most of the file leaves after the change.
#[test]
fn a_response_goes_on_as_it_was_when_its_file_is_written_in_place() {
    let site = site();
    let (mut stream, start) = begin(&site, "middle.bin");
    let path = site.folder.root().join("middle.bin");
    let mut file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all(&letters(b'A')).unwrap();
    let response = read_to_end(&mut stream, start);
    assert!(content(&response) == letters(b'a'));
    let (mut stream, start) = begin(&site, "middle.bin");
    fs::write(&path, "").unwrap();
    let response = read_to_end(&mut stream, start);
    // This version was not kept, so what was cut off is missing.
    let received = content(&response);
    assert!(received.len() < BYTES && letters(b'A').starts_with(received));
}

/// A client that has closed its half still reads, and one that leaves frees what it held.
#[test]
fn a_client_that_closes_its_half_gets_everything_and_others_may_leave() {
    let site = site();
    for _ in 0..8 {
        let (stream, start) = begin(&site, "middle.bin");
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut stream = stream;
        let response = read_to_end(&mut stream, start);
        assert!(content(&response) == letters(b'a'));
    }
    let leaving: Vec<_> = (0..50).map(|_| begin(&site, "middle.bin")).collect();
    drop(leaving);
    site.get("middle.bin").expect(200, &letters(b'a')).unwrap();
}

#[test]
fn without_room_in_memory_files_are_read_for_each_request() {
    let folder = crate::site::Folder::new();
    folder.write("middle.bin", letters(b'a'));
    let root = folder.root();
    let flags = ["--static-dir", root.to_str().unwrap(), "--max-file-cache-bytes", "0"];
    let server = crate::support::server::Server::start_with_shards("conformance", 1, &flags);
    let site = Site { server, folder };
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    assert!(never.recv_timeout(Duration::from_millis(2200)).is_err());
    for _ in 0..5 {
        site.get("middle.bin").expect(200, &letters(b'a')).unwrap();
    }
    assert!(!has_snapshot(&site));
}
