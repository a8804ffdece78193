//! Uploads are sent whole and counted one by one; a filling is expected byte by byte.

use std::io::Read;
use std::sync::mpsc;

use crate::server::{Peer, RIGHT, count, figure, measure, run, server, url};

/// The filling that uploads have, from its beginning.
fn filling(length: usize) -> Vec<u8> {
    (1..=251).cycle().take(length).collect()
}

/// Reads a request with binary content; returns its head and content, and `None` once the client has closed.
fn upload(peer: &mut Peer) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .unwrap();
    let mut content = vec![0; length.parse().unwrap()];
    peer.stream.read_exact(&mut content).ok()?;
    Some((head, content))
}

#[test]
fn uploads_are_sent_whole_on_one_connection() {
    const BYTES: usize = 200_003;
    let (seen, uploads) = mpsc::channel();
    let address = server(move |mut peer| {
        while let Some(upload) = upload(&mut peer) {
            seen.send((peer.number, upload)).unwrap();
            peer.say(RIGHT);
        }
    });
    let (code, result) = measure(&url(address), &format!("--upload {BYTES} -n 3 --expect-body Hello"));
    assert_eq!((code, count(&result, "/requests")), (Some(0), 3), "{result}");
    assert_eq!(count(&result, "/bytes_sent"), 3 * BYTES as u64, "{result}");
    assert_eq!(count(&result, "/latency/count"), 3, "{result}");
    assert!(figure(&result, "/elapsed_seconds") < 10.0, "{result}");
    let uploads: Vec<(usize, (String, Vec<u8>))> = uploads.try_iter().collect();
    assert_eq!(uploads.len(), 3);
    for (number, (head, content)) in uploads {
        assert_eq!(number, 0, "all on the first connection");
        let expected = format!("POST /hello HTTP/1.1\r\nHost: {address}\r\nContent-Length: {BYTES}\r\n\r\n");
        assert_eq!(head, expected);
        assert!(content == filling(BYTES));
    }
}

#[test]
fn refused_upload_ends_the_run() {
    // The server answers without reading the content.
    let address = server(|mut peer| {
        let mut head = [0; 1024];
        if peer.stream.read(&mut head).is_ok_and(|count| count > 0) {
            peer.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            std::io::copy(&mut peer.stream, &mut std::io::sink()).ok();
        }
    });
    let (code, result) = measure(&url(address), "--upload 3000000 -n 3");
    assert_eq!((code, count(&result, "/errors/wrong_status")), (Some(1), 1), "{result}");
    let (code, _, said) = run(&url(address), "--upload 5 -c 2");
    assert!(
        code == Some(1) && said.contains("an upload has one connection"),
        "{said}"
    );
}

#[test]
fn filling_is_expected_whole() {
    for (change, is_right) in [(0, true), (1, false)] {
        let address = server(move |mut peer| {
            let mut content = filling(100_000);
            content[99_999] ^= change;
            while peer.request().is_some() {
                peer.say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
                std::io::Write::write_all(&mut peer.stream, &content).ok();
            }
        });
        let (code, printed, said) = run(&url(address), "--expect-filling 100000 -n 20 -c 2 --json");
        assert_eq!(code, Some(i32::from(!is_right)), "{printed} {said}");
        assert!(is_right || said.contains("the body is not the expected one"), "{said}");
    }
}
