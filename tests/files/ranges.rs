//! Parts of files (RFC 9110 §14).

use crate::site::{LETTERS, Response, Site, field};

/// The parts of a multipart/byteranges content: fields and bytes.
fn parts(response: &Response) -> Vec<(String, Vec<u8>)> {
    let content_type = field(response, "content-type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let text = [b"\r\n", response.body.as_slice()].concat();
    let text = String::from_utf8(text).unwrap();
    let delimiter = format!("\r\n--{boundary}");
    let mut pieces: Vec<_> = text.split(&delimiter).collect();
    assert_eq!((pieces.remove(0), pieces.pop()), ("", Some("--\r\n")));
    let parts = pieces.iter().map(|piece| {
        let (head, content) = piece.split_once("\r\n\r\n").unwrap();
        let head = head.strip_prefix("\r\n").unwrap();
        (head.to_ascii_lowercase(), content.as_bytes().to_vec())
    });
    parts.collect()
}

#[test]
fn one_range_is_sent_as_it_is() {
    let site = Site::start();
    for (range, content, content_range) in [
        ("bytes=0-9", &LETTERS[..10], "bytes 0-9/26"),
        ("bytes=1-10000000", &LETTERS[1..], "bytes 1-25/26"),
        ("bytes=22-", &LETTERS[22..], "bytes 22-25/26"),
        ("bytes=-4", &LETTERS[22..], "bytes 22-25/26"),
        ("Bytes=25-25", &LETTERS[25..], "bytes 25-25/26"),
        ("bytes=3-5, 4-9", &LETTERS[3..10], "bytes 3-9/26"),
        ("bytes=0-0,99-", &LETTERS[..1], "bytes 0-0/26"),
    ] {
        let fields = format!("Range: {range}\r\n");
        let response = site.get_with("az.txt", &fields);
        response.expect(206, content).unwrap();
        assert_eq!(field(&response, "content-range"), content_range, "{range}");
        assert_eq!(field(&response, "content-type"), "text/plain; charset=utf-8", "{range}");
        assert_eq!(field(&response, "accept-ranges"), "bytes", "{range}");
        let head = site.head_with("az.txt", &fields);
        assert_eq!((head.status, head.body.as_slice()), (206, b"".as_slice()), "{range}");
        assert_eq!(field(&head, "content-length"), content.len().to_string(), "{range}");
        assert_eq!(field(&head, "content-range"), content_range, "{range}");
    }
}

#[test]
fn what_does_not_parse_or_asks_for_everything_gets_the_whole_file() {
    let site = Site::start();
    let many: String = (0..26).step_by(2).map(|place| format!("{place}-{place},")).collect();
    for range in [
        "bytes=0-",
        "bytes=0-10000000",
        "bytes=-1000000",
        "bytes=0-12,12-",
        "asdf",
        "bytes=",
        "bytes=26",
        "bytes=9-1",
        "bytes=a-b",
        "bytes=1-2,x",
        "bytes=\u{661}-\u{662}",
        "bytes=1-2, 9-1",
        "lines=0-1",
        "bytes 0-1",
        "",
        &format!("bytes={many}"),
        &format!("bytes={}", "0-,".repeat(2000)),
    ] {
        let response = site.get_with("az.txt", &format!("Range: {range}\r\n"));
        response.expect(200, LETTERS).unwrap();
        assert_eq!(response.field("content-range"), None, "{range}");
    }
    let twice = site.get_with("az.txt", "Range: bytes=0-1\r\nRange: bytes=3-4\r\n");
    twice.expect(200, LETTERS).unwrap();
}

#[test]
fn ranges_that_are_not_there_get_416_with_the_length() {
    let site = Site::start();
    site.folder.write("empty.txt", "");
    for (path, range, bytes) in [
        ("az.txt", "bytes=26-", 26),
        ("az.txt", "bytes=-0", 26),
        ("az.txt", "bytes=26-30,40-", 26),
        ("az.txt", "bytes=18446744073709551616-", 26),
        ("az.txt", "bytes=99999999999999999999999999-", 26),
        ("empty.txt", "bytes=0-", 0),
        ("empty.txt", "bytes=-0", 0),
    ] {
        let response = site.get_with(path, &format!("Range: {range}\r\n"));
        assert_eq!(response.status, 416, "{range}");
        assert_eq!(field(&response, "content-range"), format!("bytes */{bytes}"), "{range}");
    }
    site.get_with("empty.txt", "Range: bytes=-5\r\n")
        .expect(200, b"")
        .unwrap();
}

#[test]
fn several_ranges_are_parts_in_the_order_of_the_request() {
    let site = Site::start();
    let fields = "Range: bytes=20-22, 0-1,1-3, -1\r\n";
    let response = site.get_with("az.txt", fields);
    assert_eq!(response.status, 206);
    assert_eq!(response.field("content-range"), None);
    assert_eq!(field(&response, "content-length"), response.body.len().to_string());
    let expected: Vec<_> = [("20-22", "uvw"), ("0-3", "abcd"), ("25-25", "z")]
        .map(|(range, content)| {
            let head = format!("content-type: text/plain; charset=utf-8\r\ncontent-range: bytes {range}/26");
            (head, content.as_bytes().to_vec())
        })
        .into();
    assert_eq!(parts(&response), expected);
    let head = site.head_with("az.txt", fields);
    assert_eq!((head.status, head.body.as_slice()), (206, b"".as_slice()));
    assert_eq!(field(&head, "content-length"), field(&response, "content-length"));
    assert_eq!(field(&head, "content-type"), field(&response, "content-type"));
}

#[test]
fn eight_parts_are_sent_and_nine_get_the_whole_file() {
    let site = Site::start();
    let range = |count: usize| {
        let list: Vec<_> = (0..count).map(|place| format!("{0}-{0}", 2 * place)).collect();
        format!("Range: bytes={}\r\n", list.join(","))
    };
    let response = site.get_with("az.txt", &range(8));
    let contents: Vec<_> = parts(&response).into_iter().flat_map(|(_, content)| content).collect();
    assert_eq!((response.status, contents.as_slice()), (206, b"acegikmo".as_slice()));
    site.get_with("az.txt", &range(9)).expect(200, LETTERS).unwrap();
}

/// A file that is not held in memory.
#[test]
fn a_large_file_has_the_same_ranges() {
    let site = Site::start();
    let content: Vec<u8> = (0..300_000_u32).map(|place| b'a' + (place % 23) as u8).collect();
    site.folder.write("large.txt", &content);
    site.get("large.txt").expect(200, &content).unwrap();
    let response = site.get_with("large.txt", "Range: bytes=100000-249999\r\n");
    response.expect(206, &content[100_000..250_000]).unwrap();
    assert_eq!(field(&response, "content-range"), "bytes 100000-249999/300000");
    let response = site.get_with("large.txt", "Range: bytes=-1,5-6,65535-65536\r\n");
    let contents: Vec<_> = parts(&response).into_iter().map(|(_, content)| content).collect();
    let expected = [&content[299_999..], &content[5..7], &content[65_535..65_537]];
    assert_eq!(
        (response.status, contents),
        (206, expected.map(<[u8]>::to_vec).to_vec())
    );
    assert_eq!(field(&response, "content-length"), response.body.len().to_string());
    let head = site.head_with("large.txt", "");
    assert_eq!(field(&head, "content-length"), "300000");
    assert_eq!(site.get_with("large.txt", "Range: bytes=300000-\r\n").status, 416);
    let etag = field(&head, "etag");
    let again = site.get_with("large.txt", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!(again.status, 304);
}
