//! The same bytes get the same responses however TCP cuts them: whole, byte by byte, and at every two-way split.
//!
//! Between two pieces the test sends a request to the same shard on another connection. Its response proves that the
//! server has read the first piece alone, so the test need not sleep.

use crate::harness::*;

/// Requests that end their connection by themselves: the last one says `Connection: close`, is HTTP/1.0, or is refused.
fn transcripts() -> Vec<(Vec<u8>, Vec<u16>)> {
    let close = b"Connection: close\r\n";
    let closing = bytes(&[b"GET /q?x=%41 HTTP/1.1\r\nHost: a\r\n", close, b"\r\n"]);
    let chunked = b"Connection: close\r\nTransfer-Encoding: chunked\r\n";
    vec![
        (closing.clone(), vec![200]),
        (b"\r\nGET / HTTP/1.0\r\n\r\n".to_vec(), vec![200]),
        (b"HEAD / HTTP/1.0\r\nHost: a\r\n\r\n".to_vec(), vec![200]),
        (
            post(b"Connection: close\r\nContent-Length: 7\r\n", b"a\r\n\r\nbc"),
            vec![200],
        ),
        (
            post(chunked, b"3\r\nabc\r\nA;e=f\r\n0123456789\r\n0\r\n\r\n"),
            vec![200],
        ),
        (post(chunked, b"1\r\na\r\n0\r\nX-Trailer: v\r\nY: w\r\n\r\n"), vec![200]),
        (bytes(&[&get("/p/1"), &closing]), vec![200, 200]),
        (
            bytes(&[&post_length(b"abc"), &post_chunked(b"2\r\nde\r\n0\r\n\r\n"), &closing]),
            vec![200, 200, 200],
        ),
        (bytes(&[&get("/nowhere"), &get("/echo"), &closing]), vec![404, 405, 200]),
        (
            bytes(&[&get("/p/1"), b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"]),
            vec![200, 400],
        ),
        (
            post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
            vec![400],
        ),
        (post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), vec![400]),
        (post_chunked(b"3\r\nabcX\r\n0\r\n\r\n"), vec![400]),
        (post_chunked(b"1\r\na\r\n0x1\r\n"), vec![400]),
        (b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n".to_vec(), vec![400]),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_vec(), vec![505]),
        (post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), vec![501]),
    ]
}

/// RFC 9112 §2.1: a message is a sequence of bytes; where packets end means nothing.
#[test]
fn answers_the_same_however_the_bytes_are_split() {
    let server = Server::shared();
    let mut barrier = server.connect();
    for (transcript, statuses) in transcripts() {
        let whole = play(&server, &mut barrier, &[&transcript]).unwrap();
        let found: Vec<u16> = whole.iter().map(|response| response.status).collect();
        assert_eq!(found, statuses, "{}", show(&transcript));

        let single: Vec<&[u8]> = transcript.chunks(1).collect();
        assert_eq!(
            play(&server, &mut barrier, &single).unwrap(),
            whole,
            "byte by byte: {}",
            show(&transcript)
        );

        for at in 1..transcript.len() {
            let (first, second) = transcript.split_at(at);
            let split = play(&server, &mut barrier, &[first, second]);
            let split = split.unwrap_or_else(|complaint| panic!("{complaint}: {} | {}", show(first), show(second)));
            assert_eq!(split, whole, "{} | {}", show(first), show(second));
        }
    }
}

/// Sends pieces one after the other, each in a turn of its own, and reads all responses, without their dates.
fn play(server: &Server, barrier: &mut Connection, pieces: &[&[u8]]) -> Outcome<Vec<Response>> {
    let mut connection = server.connect();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            barrier.exchange(CANARY, "GET")?.expect(200, SONG)?;
        }
        connection.send_if_open(piece);
    }
    let head = pieces.concat().starts_with(b"HEAD");
    let mut responses = connection.responses_until_end(if head { &["HEAD"] } else { &[] })?;
    for response in &mut responses {
        response.fields.retain(|(name, _)| name != "date");
    }
    Ok(responses)
}
