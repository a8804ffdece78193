//! Properties of all inputs, tested on random ones: requests from a list with a few edits, so that many are nearly
//! valid.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::{BodyLength, Limits};
use super::transcript::{self, Answer, Outcome, Seen};
use super::{Bench, reference};
use crate::message::{HeaderName, HeaderValue, ResponseHead, StatusCode, Version};

const REQUESTS: [&[u8]; 9] = [
    b"GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost:\r\nX_y: \x80\t \r\n\r\n",
    b"GET http://a:80/x HTTP/1.2\r\nHost: A:80\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n\
    1;a=\"\\\"\"\r\n.\r\n0a ;b\r\n0123456789\r\n00\r\nX: y\r\nZ:\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close, x\r\n\r\nhi",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
];

/// What the edits insert: pieces of syntax, and bytes that are not syntax.
const SPOILERS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\"",
    b"0",
    b"1",
    b"f",
    b"\0",
    b"\x7f",
    b"\xff",
    b"#",
    b"?",
    b"/",
    b"-",
    b"_",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: a\r\n",
    b"\r\n\r\n",
];

/// An edit: at a place, remove some bytes and insert others.
type Edit = (Index, usize, Option<&'static [u8]>);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec(
        (any::<Index>(), 0..3_usize, proptest::option::of(select(&SPOILERS[..]))),
        0..4,
    )
}

fn spoil(requests: &[&[u8]], edits: Vec<Edit>) -> Vec<u8> {
    let mut bytes = requests.concat();
    for (place, removed, put) in edits {
        let start = place.index(bytes.len() + 1);
        let end = (start + removed).min(bytes.len());
        bytes.splice(start..end, put.into_iter().flatten().copied());
    }
    bytes
}

fn inputs() -> impl Strategy<Value = Vec<u8>> {
    (vec(select(&REQUESTS[..]), 1..4), edits()).prop_map(|(requests, edits)| spoil(&requests, edits))
}

/// Limits that these inputs sometimes exceed.
fn tight() -> Limits {
    Limits::default()
        .max_target_bytes(17)
        .max_header_bytes(100)
        .max_header_count(3)
        .max_header_name_bytes(17)
        .max_chunk_extension_bytes(8)
        .max_trailer_bytes(12)
        .max_trailer_count(2)
}

fn pieces<'b>(bytes: &'b [u8], cuts: &[Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Returns the first request in the reference's terms, if the machine consumed all of it.
fn first_request(outcome: &Outcome) -> Option<reference::Reference> {
    let end = outcome.events.iter().position(|event| *event == Seen::End)?;
    let mut first = reference::Reference::default();
    for event in &outcome.events[..end] {
        match event {
            Seen::Request(request) => {
                first.method.clone_from(&request.method);
                first.target.clone_from(&request.target);
                first.is_http_1_0 = request.version == Version::Http10;
                first.fields.clone_from(&request.fields);
            }
            Seen::Data(data) => first.content.extend_from_slice(data),
            Seen::Trailer(name, value) => first.trailers.push((name.to_ascii_lowercase(), value.clone())),
            Seen::End | Seen::Next(_) | Seen::Closed => {}
        }
    }
    Some(first)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Every split of the same bytes yields the same events, the same error and the same number of bytes consumed.
    #[test]
    fn cutting_up_changes_nothing(
        bytes in inputs(),
        cuts in vec(any::<Index>(), 0..6),
        is_tight in any::<bool>(),
    ) {
        let limits = if is_tight { tight() } else { Limits::default() };
        let whole = transcript::run_pieces([bytes.as_slice()], &limits, Answer::AfterEnd);
        let cut = transcript::run_pieces(pieces(&bytes, &cuts), &limits, Answer::AfterEnd);
        prop_assert_eq!(&cut, &whole);
        let one_by_one = transcript::run_pieces(bytes.chunks(1), &limits, Answer::AfterEnd);
        prop_assert_eq!(&one_by_one, &whole);
    }

    /// The same if requests are answered before their content has been read. How much of rejected content was consumed
    /// by then depends on the split.
    #[test]
    fn cutting_up_changes_nothing_while_draining(bytes in inputs(), cuts in vec(any::<Index>(), 0..6)) {
        let whole = transcript::run_pieces([bytes.as_slice()], &Limits::default(), Answer::AtOnce);
        let cut = transcript::run_pieces(pieces(&bytes, &cuts), &Limits::default(), Answer::AtOnce);
        prop_assert_eq!(cut.events, whole.events);
        prop_assert_eq!(cut.error, whole.error);
    }

    /// The reference accepts what the machine accepts, and reads it the same way.
    #[test]
    fn nothing_is_accepted_that_another_reader_sees_differently(bytes in inputs()) {
        // The request behind the first must not become part of it.
        let followed = [bytes.as_slice(), super::CANARY].concat();
        let outcome = transcript::run_pieces([followed.as_slice()], &Limits::default(), Answer::AfterEnd);
        if let Some(mut first) = first_request(&outcome) {
            let expected = reference::read(&followed);
            prop_assert!(expected.is_some(), "only the machine accepts {}", bytes.escape_ascii());
            let expected = expected.unwrap_or_default();
            first.consumed = expected.consumed;
            prop_assert_eq!(&first, &expected);
            let alone = transcript::run_pieces([&followed[..expected.consumed]], &Limits::default(), Answer::AfterEnd);
            prop_assert_eq!(alone.consumed, expected.consumed);
            prop_assert!(alone.events.contains(&Seen::End));
        }
    }

    /// Both paths of the head reader accept the same heads: whole, and with the last byte late.
    #[test]
    fn both_ways_of_reading_a_head_agree(
        request in select(&REQUESTS[..]),
        edits in edits(),
        is_tight in any::<bool>(),
    ) {
        let limits = if is_tight { tight() } else { Limits::default() };
        let bytes = spoil(&[request], edits);
        let whole = transcript::run_pieces([bytes.as_slice()], &limits, Answer::AfterEnd);
        let (early, late) = bytes.split_at(bytes.len().min(1));
        prop_assert_eq!(transcript::run_pieces([early, late], &limits, Answer::AfterEnd), whole);
    }

    /// A content-length is a string of digits below 2⁶³, and nothing else is.
    #[test]
    fn content_length_agrees_with_a_naive_reader(value in "[0-9]{0,20}|[-+ 0-9a-fx_,;.]{0,6}|\\PC{0,3}") {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\n");
        let mut bench = Bench::new();
        let result = bench.receive(&mut request.as_bytes());
        let trimmed = value.trim_matches([' ', '\t']);
        let is_digits = !trimmed.is_empty() && trimmed.chars().all(|digit| "0123456789".contains(digit));
        let digits = trimmed.chars().filter_map(|digit| digit.to_digit(10));
        let number = digits.fold(0_u128, |sum, digit| sum * 10 + u128::from(digit));
        let expected = is_digits && number < 1 << 63;
        prop_assert_eq!(result.is_ok(), expected, "{:?}", result);
        if expected {
            prop_assert_eq!(bench.connection.content_remaining().map(u128::from), Some(number));
        }
    }

    /// Content written in chunks is read back unchanged.
    #[test]
    fn chunks_are_read_back(writes in vec(vec(any::<u8>(), 0..70), 0..6), cuts in vec(any::<Index>(), 0..4)) {
        let mut bench = Bench::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        bench.send_head(&ResponseHead::default(), BodyLength::Unknown).unwrap();
        bench.out.clear();
        for write in &writes {
            bench.send_data(write).unwrap();
        }
        bench.send_end().unwrap();
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = [head, bench.out.as_slice()].concat();
        let outcome = transcript::run_pieces(pieces(&request, &cuts), &Limits::default(), Answer::AfterEnd);
        prop_assert_eq!(outcome.content(), writes.concat());
        prop_assert_eq!(outcome.consumed, request.len());
        prop_assert!(outcome.events.contains(&Seen::End));
    }

    /// Another parser reads a response back with its fields and exactly one framing.
    #[test]
    fn responses_are_read_back(
        status in 200_u16..600,
        fields in vec(("[a-z][a-z0-9-]{0,12}", "[ -~]{0,20}"), 0..6),
        content in vec(any::<u8>(), 0..50),
        is_known in any::<bool>(),
    ) {
        let mut head = ResponseHead::new(StatusCode::from_u16(status).unwrap());
        for (name, value) in &fields {
            let name = HeaderName::try_from(format!("x-{name}")).unwrap();
            head.headers.add(name, HeaderValue::try_from(value.trim()).unwrap());
        }
        let mut bench = Bench::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let length = if is_known { BodyLength::Known(content.len() as u64) } else { BodyLength::Unknown };
        bench.send_head(&head, length).unwrap();
        bench.send_data(&content).unwrap();
        bench.send_end().unwrap();

        let mut slots = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Response::new(&mut slots);
        let head_bytes = parsed.parse(&bench.out).unwrap().unwrap();
        prop_assert_eq!((parsed.version, parsed.code), (Some(1), Some(status)));
        let sent: Vec<_> = parsed.headers.iter().filter(|field| field.name.starts_with("x-")).collect();
        prop_assert_eq!(sent.len(), fields.len());
        for (sent, (name, value)) in sent.iter().zip(&fields) {
            prop_assert_eq!((&sent.name[2..], sent.value), (name.as_str(), value.trim().as_bytes()));
        }
        let value = |name: &str| {
            let mut fields = parsed.headers.iter();
            fields.find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.to_vec())
        };
        prop_assert!(value("date").is_some());
        let body = &bench.out[head_bytes..];
        match status {
            204 | 304 => {
                prop_assert_eq!((value("content-length"), value("transfer-encoding")), (None, None));
                prop_assert_eq!(body, b"");
            }
            205 => prop_assert_eq!((value("content-length"), body), (Some(b"0".to_vec()), &b""[..])),
            _ if is_known => {
                prop_assert_eq!(value("content-length"), Some(content.len().to_string().into_bytes()));
                prop_assert_eq!(body, content.as_slice());
            }
            _ => {
                prop_assert_eq!(value("transfer-encoding"), Some(b"chunked".to_vec()));
                prop_assert!(body.ends_with(b"0\r\n\r\n"));
            }
        }
    }
}
