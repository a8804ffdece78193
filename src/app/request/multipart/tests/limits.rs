//! The limits, each at the limit and one beyond.

use bytes::Bytes;

use super::super::MultipartError::{FieldTooLarge, PartHeadTooLarge, TooManyParts};
use super::{Parser, boundary, disposition, form, run_pieces, run_with};
use crate::app::limits::Limits;

#[test]
fn parts_are_counted() {
    let named = disposition("name=a");
    for count_max in [0, 1, 3] {
        let limits = Limits::default().max_parts(count_max);
        for count in 0..=count_max + 1 {
            let outcome = run_with(limits, &form(&vec![(named.as_str(), &b""[..]); count]));
            assert_eq!(
                outcome.error,
                (count > count_max).then_some(TooManyParts),
                "{count} of {count_max}"
            );
            assert_eq!(outcome.parts.len(), count.min(count_max));
        }
    }
}

#[test]
fn the_default_is_100_parts() {
    let named = disposition("name=a; filename=b");
    for (count, error) in [(100, None), (101, Some(TooManyParts))] {
        let form = form(&vec![(named.as_str(), &b"x"[..]); count]);
        assert_eq!(run_pieces(Limits::default(), [form.as_slice()]).error, error);
    }
}

#[test]
fn bytes_of_a_head_are_counted() {
    let limits = Limits::default().max_part_head_bytes(60);
    let rest = disposition("name=").len() + "\r\n\r\n".len();
    for (name_bytes, error) in [(60 - rest, None), (61 - rest, Some(PartHeadTooLarge))] {
        let named = disposition(&format!("name={}", "n".repeat(name_bytes)));
        assert_eq!(run_with(limits, &form(&[(&named, b"x"), (&named, b"y")])).error, error);
    }
    let endless = run_with(limits, format!("--b-1\r\n{}", "x".repeat(200)).as_bytes());
    assert_eq!(endless.error, Some(PartHeadTooLarge));
}

#[test]
fn bytes_of_a_field_are_counted_and_those_of_a_file_are_not() {
    let limits = Limits::default().max_field_bytes(10);
    let field = disposition("name=a");
    for content in [&b"0123456789"[..], b"\r\n--b-0\r\n-"] {
        assert_eq!(
            run_with(limits, &form(&[(&field, content), (&field, content)])).error,
            None
        );
        let beyond = [content, b"x"].concat();
        let outcome = run_with(limits, &form(&[(&field, &beyond)]));
        assert_eq!(outcome.error, Some(FieldTooLarge));
        assert_eq!(outcome.parts[0].content, content, "up to the limit");
    }
    let file = disposition("name=a; filename=b");
    assert_eq!(run_with(limits, &form(&[(&file, &[b'x'; 100])])).error, None);
    assert_eq!(run_with(limits.max_field_bytes(0), &form(&[(&field, b"")])).error, None);
}

/// What the machine allocates does not depend on the size of the content.
#[test]
fn a_large_file_takes_no_memory() {
    let mut parser = Parser::new(&boundary(), Limits::default());
    let head = format!("--b-1\r\n{}\r\n\r\n", disposition("name=a; filename=b"));
    let mut input = Bytes::from(head);
    while parser.receive(&mut input).unwrap().is_some() {}
    let piece = Bytes::from(b"\r\n--b-\r".repeat(8 * 1024));
    // The first clone of bytes allocates the count that the others share.
    let _shared = piece.clone();
    let measured = allocation_counter::measure(|| {
        for _ in 0..100 {
            let mut input = piece.clone();
            while parser.receive(&mut input).unwrap().is_some() {}
        }
    });
    assert_eq!(measured.count_total, 0);
}
