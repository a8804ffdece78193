//! The examples of RFC 7541 Appendix C.

use super::super::integer;
use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

/// A block in hexadecimal digits, its fields, and the size of the table behind it.
type Example<'e> = (&'e str, &'e [(&'e str, &'e str)], usize);

/// Decodes blocks one after another, and compares the fields and the size of the table.
fn check(decoder: &mut Decoder, blocks: &[Example<'_>]) {
    for (hex, fields, table_bytes) in blocks {
        assert_eq!(decode(decoder, &bytes(hex)), Ok(list(fields)), "{hex}");
        assert_eq!(decoder.table().0, *table_bytes, "{hex}");
    }
}

/// RFC 7541 §C.1
#[test]
fn integers_of_the_appendix() {
    for (value, prefix_bits, hex) in [(10, 5, "0a"), (1337, 5, "1f9a0a")] {
        let mut written = Vec::new();
        integer::encode(value, prefix_bits, 0, &mut written);
        assert_eq!(written, bytes(hex));
    }
}

/// RFC 7541 §C.2
#[test]
fn representations_of_the_appendix() {
    let cases: [(&str, (&str, &str), usize); 4] = [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            ("custom-key", "custom-header"),
            55,
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", (":path", "/sample/path"), 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", ("password", "secret"), 0),
        ("82", (":method", "GET"), 0),
    ];
    for (hex, field, table_bytes) in cases {
        check(&mut Decoder::new(), &[(hex, &[field], table_bytes)]);
    }
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

/// RFC 7541 §C.3
#[test]
fn requests_of_the_appendix_without_huffman_coding() {
    check(
        &mut Decoder::new(),
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0], 57),
            ("8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1], 110),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                REQUESTS[2],
                164,
            ),
        ],
    );
}

/// RFC 7541 §C.4
#[test]
fn requests_of_the_appendix_with_huffman_coding() {
    check(
        &mut Decoder::new(),
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0], 57),
            ("8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1], 110),
            (
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                REQUESTS[2],
                164,
            ),
        ],
    );
}

const FIRST_DATE: &str = "Mon, 21 Oct 2013 20:13:21 GMT";
const SECOND_DATE: &str = "Mon, 21 Oct 2013 20:13:22 GMT";

const RESPONSES: [&[(&str, &str)]; 3] = [
    &[
        (":status", "302"),
        ("cache-control", "private"),
        ("date", FIRST_DATE),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "307"),
        ("cache-control", "private"),
        ("date", FIRST_DATE),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "200"),
        ("cache-control", "private"),
        ("date", SECOND_DATE),
        ("location", "https://www.example.com"),
        ("content-encoding", "gzip"),
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
];

/// RFC 7541 §C.5: a table of 256 bytes evicts.
#[test]
fn responses_of_the_appendix_without_huffman_coding() {
    let mut decoder = Decoder::new();
    decoder.set_table_size(256);
    check(
        &mut decoder,
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
                 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                RESPONSES[0],
                222,
            ),
            ("4803 3330 37c1 c0bf", RESPONSES[1], 222),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
                 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61
                 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                RESPONSES[2],
                215,
            ),
        ],
    );
}

/// RFC 7541 §C.6
#[test]
fn responses_of_the_appendix_with_huffman_coding() {
    let mut decoder = Decoder::new();
    decoder.set_table_size(256);
    check(
        &mut decoder,
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad
                 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                RESPONSES[0],
                222,
            ),
            ("4883 640e ffc1 c0bf", RESPONSES[1], 222),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
                 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                RESPONSES[2],
                215,
            ),
        ],
    );
}

/// The encoder inserts the same entries, and repeats them as indices.
#[test]
fn a_repeated_field_is_one_byte() {
    let mut encoder = Encoder::new();
    let fields = list(&[("content-type", "text/plain"), ("x-id", "7"), ("date", FIRST_DATE)]);
    let first = encode(&mut encoder, &fields, Indexing::Insert);
    assert!(first.len() > 30, "{first:?}");
    assert_eq!(encode(&mut encoder, &fields, Indexing::Insert), [0xc0, 0xbf, 0xbe]);
    // Another value of a name outside the static table has the name as an index.
    let other = encode(&mut encoder, &list(&[("x-id", "8")]), Indexing::Insert);
    assert_eq!(other, [0x40 | 63, 0x00, 0x01, b'8']);
}

#[test]
fn the_encoder_announces_a_smaller_table_once() {
    let mut encoder = Encoder::new();
    encoder.set_peer_table_size(100_000);
    assert_eq!(
        encode(&mut encoder, &[], Indexing::Insert),
        b"",
        "4 KiB whatever the peer allows"
    );
    encoder.set_peer_table_size(0);
    encoder.set_peer_table_size(1 << 20);
    assert_eq!(encode(&mut encoder, &[], Indexing::Insert), [0x20, 0x3f, 0xe1, 0x1f]);
    encoder.set_peer_table_size(10);
    assert_eq!(encode(&mut encoder, &[], Indexing::Insert), [0x2a]);
    assert_eq!(encode(&mut encoder, &[], Indexing::Insert), b"");
}

#[test]
fn a_secret_is_marked_as_never_indexed() {
    let mut encoder = Encoder::new();
    let block = encode(&mut encoder, &list(&[("set-cookie", "a=b")]), Indexing::Never);
    assert_eq!(block[..2], [0x1f, 55 - 15]);
    assert_eq!(encoder.table().1, FieldList::new());
}
