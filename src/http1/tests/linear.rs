//! Work is linear in the bytes received, however they are split. Bytes that were read are replaced by a line feed,
//! which a second read would reject.

use super::super::{Event, Limits, ParseError};
use super::Bench;

/// Presents `bytes` one more at a time, with those already presented (from `start` on) replaced by LF, until something
/// other than [`Event::NeedData`] is returned. Returns how many were presented.
fn present_once(bench: &mut Bench, start: &[u8], bytes: &[u8]) -> (usize, Result<(), ParseError>) {
    let mut presented = start.to_vec();
    for (index, &byte) in bytes.iter().enumerate() {
        presented.push(byte);
        let mut input = presented.as_slice();
        match bench.receive(&mut input) {
            Ok(Event::NeedData) => {}
            Ok(event) => panic!("{event:?}"),
            Err(error) => return (index + 1, Err(error)),
        }
        assert_eq!(input.len(), presented.len(), "nothing is consumed before the line ends");
        if let Some(seen) = presented.last_mut() {
            *seen = b'\n';
        }
    }
    (bytes.len(), Ok(()))
}

/// One endless field value.
#[test]
fn a_field_value_without_end_is_scanned_once() {
    let start = b"GET / HTTP/1.1\r\nX: ".as_slice();
    let mut bench = Bench::new();
    let mut input = start;
    assert_eq!(bench.receive(&mut input), Ok(Event::NeedData));
    let (presented, result) = present_once(&mut bench, start, &vec![b'a'; 1 << 20]);
    assert_eq!(result, Err(ParseError::HeadTooLarge));
    assert_eq!(start.len() + presented, Limits::default().max_header_bytes + 1);
}

#[test]
fn a_request_line_without_end_is_scanned_once() {
    let start = b"GET /".as_slice();
    let mut bench = Bench::new();
    let mut input = start;
    assert_eq!(bench.receive(&mut input), Ok(Event::NeedData));
    let (presented, result) = present_once(&mut bench, start, &vec![b'a'; 1 << 20]);
    assert_eq!(result, Err(ParseError::TargetTooLong));
    let longest = "GET ".len() + Limits::default().max_target_bytes + " HTTP/1.1".len();
    assert_eq!(start.len() + presented, longest + 1);
}

/// Chunk lines are consumed byte by byte; a trailer line waits and is scanned once.
#[test]
fn a_trailer_line_without_end_is_scanned_once() {
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(bench.receive_all(b"0\r\n"), Ok(Event::NeedData));
    let (presented, result) = present_once(&mut bench, b"", &vec![b'a'; 1 << 20]);
    assert_eq!(result, Err(ParseError::TrailersTooLarge));
    assert_eq!(presented, Limits::default().max_trailer_bytes + 1);
}

/// Checked lines are not checked again until the head is complete: a field name damaged afterwards goes unnoticed until
/// then.
#[test]
fn checked_lines_are_not_checked_again() {
    let mut bench = Bench::new();
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n".to_vec();
    let mut input = head.as_slice();
    assert_eq!(bench.receive(&mut input), Ok(Event::NeedData));
    head.fill(b'\n');
    for byte in b"Z: \r" {
        head.push(*byte);
        let mut input = head.as_slice();
        assert_eq!(bench.receive(&mut input), Ok(Event::NeedData));
    }
}
