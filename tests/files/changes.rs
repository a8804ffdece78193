//! Files that change: between two requests, and while they are sent.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::site::{LETTERS, Site, field};

/// How large a file is that no socket buffer holds whole.
const LARGE_BYTES: usize = 32 * 1024 * 1024;

#[test]
fn the_next_request_sees_every_change() {
    let site = Site::start();
    let mut tags = vec![field(&site.get("az.txt"), "etag").to_owned()];
    // As long as before, and within the same second.
    for content in [
        "zyxwvutsrqponmlkjihgfedcba",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "bcdefghijklmnopqrstuvwxyza",
    ] {
        site.folder.write("az.txt", content);
        let response = site.get("az.txt");
        response.expect(200, content.as_bytes()).unwrap();
        tags.push(field(&response, "etag").to_owned());
        site.folder.replace("az.txt", content.to_lowercase().replace('a', "-"));
        tags.push(field(&site.get("az.txt"), "etag").to_owned());
    }
    let count = tags.len();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), count, "{tags:?}");
    fs::remove_file(site.folder.root().join("az.txt")).unwrap();
    assert_eq!(site.get("az.txt").status, 404);
    site.folder.write("az.txt", LETTERS);
    site.get("az.txt").expect(200, LETTERS).unwrap();
}

/// A time that was set back hides nothing: the kernel stamps every change.
#[test]
fn a_change_with_the_old_time_and_size_is_seen() {
    let site = Site::start();
    site.folder.write("large.bin", vec![b'x'; 200_000]);
    for (name, changed) in [
        ("az.txt", vec![b'-'; LETTERS.len()]),
        ("large.bin", vec![b'y'; 200_000]),
    ] {
        let path = site.folder.root().join(name);
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let before = site.get(name);
        fs::write(&path, &changed).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(modified)
            .unwrap();
        let after = site.get(name);
        after.expect(200, &changed).unwrap();
        assert_ne!(field(&before, "etag"), field(&after, "etag"), "{name}");
    }
}

/// Contents are kept from two seconds after their last change, so this test waits for that.
#[test]
fn a_change_of_a_file_in_memory_is_seen() {
    let site = Site::start();
    let path = site.folder.root().join("az.txt");
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    assert!(never.recv_timeout(Duration::from_millis(2200)).is_err());
    for _ in 0..3 {
        site.get("az.txt").expect(200, LETTERS).unwrap();
    }
    let old = field(&site.get("az.txt"), "etag").to_owned();
    fs::write(&path, b"zyxwvutsrqponmlkjihgfedcba").unwrap();
    site.get("az.txt").expect(200, b"zyxwvutsrqponmlkjihgfedcba").unwrap();
    assert_eq!(
        site.get_with("az.txt", &format!("If-None-Match: {old}\r\n")).status,
        200
    );
    fs::rename(&path, site.folder.root().join("moved.txt")).unwrap();
    assert_eq!(site.get("az.txt").status, 404);
    site.get("moved.txt")
        .expect(200, b"zyxwvutsrqponmlkjihgfedcba")
        .unwrap();
    // A directory that is moved away and linked to is outside, though its files are the same.
    site.folder.write("dir/file", LETTERS);
    site.get("dir/file").expect(200, LETTERS).unwrap();
    let outside = site.folder.root().parent().unwrap().join("dir");
    fs::rename(site.folder.root().join("dir"), &outside).unwrap();
    site.folder.link(&outside, "dir");
    assert_eq!(site.get("dir/file").status, 404);
}

/// Paths are held open from two seconds after the last change of their directories, so this test waits for that.
#[test]
fn a_change_on_the_way_to_a_file_is_seen() {
    let site = Site::start();
    let names = ["a/b/file", "c/d/file", "e/f/file", "g/h/file", "i/j/file", "k/l/file"];
    for name in names {
        site.folder.write(name, LETTERS);
        site.folder.write(&format!("{name}.html/index.html"), LETTERS);
    }
    let outside = site.folder.root().parent().unwrap().join("elsewhere");
    let changed = b"zyxwvutsrqponmlkjihgfedcba";
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    assert!(never.recv_timeout(Duration::from_millis(2200)).is_err());
    let serve_all = |names: &[&str]| {
        for name in names.iter().cycle().take(3 * names.len()) {
            site.get(name).expect(200, LETTERS).unwrap();
            site.get(&format!("{name}.html/")).expect(200, LETTERS).unwrap();
        }
    };
    let root = site.folder.root();
    serve_all(&names);
    fs::write(root.join("a/b/file"), changed).unwrap();
    site.get("a/b/file").expect(200, changed).unwrap();
    serve_all(&names[1..]);
    site.folder.replace("c/d/file", changed);
    site.get("c/d/file").expect(200, changed).unwrap();
    serve_all(&names[2..]);
    fs::write(root.join("e/f/file.gz"), "variant").unwrap();
    site.get_with("e/f/file", "Accept-Encoding: gzip\r\n")
        .expect(200, b"variant")
        .unwrap();
    assert_eq!(field(&site.get("e/f/file"), "vary"), "Accept-Encoding");
    serve_all(&names[3..]);
    fs::rename(root.join("g/h"), &outside).unwrap();
    site.folder.link(&outside, "g/h");
    assert_eq!(site.get("g/h/file").status, 404);
    assert_eq!(site.get("g/h/file.html/").status, 404);
    serve_all(&names[4..]);
    fs::rename(root.join("i"), root.join("z")).unwrap();
    assert_eq!(site.get("i/j/file").status, 404);
    site.get("z/j/file").expect(200, LETTERS).unwrap();
    fs::remove_file(root.join("k/l/file")).unwrap();
    assert_eq!(site.get("k/l/file").status, 404);
}

/// Connects with a small receive buffer, asks for a file, and reads the start of the response.
pub(crate) fn begin(site: &Site, path: &str) -> (TcpStream, Vec<u8>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(&site.server.address().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!("GET /static/{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut start = vec![0; 4096];
    stream.read_exact(&mut start).unwrap();
    (stream, start)
}

/// The content behind the head of a response.
pub(crate) fn content(response: &[u8]) -> &[u8] {
    let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    &response[end + 4..]
}

pub(crate) fn read_to_end(stream: &mut TcpStream, mut response: Vec<u8>) -> Vec<u8> {
    // A reset ends it as well.
    drop(stream.read_to_end(&mut response));
    response
}

#[test]
fn a_file_that_is_replaced_while_it_is_sent_goes_on_as_it_was() {
    let site = Site::start();
    site.folder.write("large.bin", vec![b'x'; LARGE_BYTES]);
    let (mut stream, start) = begin(&site, "large.bin");
    site.folder.replace("large.bin", vec![b'y'; LARGE_BYTES]);
    let response = read_to_end(&mut stream, start);
    let content = content(&response);
    assert_eq!(content.len(), LARGE_BYTES);
    assert!(content.iter().all(|byte| *byte == b'x'));
    let (mut stream, start) = begin(&site, "large.bin");
    fs::remove_file(site.folder.root().join("large.bin")).unwrap();
    let response = read_to_end(&mut stream, start);
    let content = crate::changes::content(&response);
    assert!(content.len() == LARGE_BYTES && content.iter().all(|byte| *byte == b'y'));
}

#[test]
fn a_file_that_is_cut_while_it_is_sent_cuts_that_connection_alone() {
    let site = Site::start();
    site.folder.write("large.bin", vec![b'x'; LARGE_BYTES]);
    site.folder.write("other.bin", vec![b'z'; LARGE_BYTES]);
    let (mut other, other_start) = begin(&site, "other.bin");
    let (mut stream, start) = begin(&site, "large.bin");
    let file = fs::File::options()
        .write(true)
        .open(site.folder.root().join("large.bin"))
        .unwrap();
    file.set_len(1024 * 1024).unwrap();
    let response = read_to_end(&mut stream, start);
    assert!(content(&response).len() < LARGE_BYTES);
    let response = read_to_end(&mut other, other_start);
    assert_eq!(content(&response).len(), LARGE_BYTES);
    assert_eq!(site.get("large.bin").body.len(), 1024 * 1024);
}

#[test]
fn a_response_never_mixes_two_versions_of_a_file() {
    let site = Site::start();
    site.folder.write("large.bin", vec![b'x'; LARGE_BYTES]);
    let (mut stream, start) = begin(&site, "large.bin");
    // Written in place: the file stays the same one.
    fs::write(site.folder.root().join("large.bin"), vec![b'y'; LARGE_BYTES]).unwrap();
    let response = read_to_end(&mut stream, start);
    let received = content(&response);
    assert!(received.len() < LARGE_BYTES, "the connection was cut");
    assert!(received.iter().all(|byte| *byte == b'x'));
    // Without a cut in between, what is on its way to the client is still the old version.
    let (mut stream, start) = begin(&site, "large.bin");
    let file = fs::File::options()
        .write(true)
        .open(site.folder.root().join("large.bin"));
    file.unwrap().write_all(&vec![b'z'; LARGE_BYTES]).unwrap();
    let response = read_to_end(&mut stream, start);
    assert!(content(&response).len() < LARGE_BYTES, "the connection was cut");
    assert!(content(&response).iter().all(|byte| *byte == b'y'));
}

#[test]
fn downloads_take_constant_memory() {
    let site = Site::start();
    let file = fs::File::create(site.folder.root().join("huge.bin")).unwrap();
    file.set_len(256 * 1024 * 1024).unwrap();
    site.get("az.txt").expect(200, LETTERS).unwrap();
    let before = site.server.resident_bytes();
    // None of these clients reads on.
    let _waiting: Vec<_> = (0..50).map(|_| begin(&site, "huge.bin")).collect();
    let (mut stream, start) = begin(&site, "huge.bin");
    let mut received = start.len();
    let mut piece = vec![0; 1024 * 1024];
    while received < 64 * 1024 * 1024 {
        received += stream.read(&mut piece).unwrap();
    }
    let grown = site.server.resident_bytes().saturating_sub(before);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes for 51 downloads");
}
