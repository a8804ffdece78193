//! Properties of all forms: what is written is read, and however bytes are split, the outcome is the same.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Part, disposition, field, form, run_pieces};
use crate::app::limits::Limits;

/// Pieces of content and of forms that resemble a delimiter.
const PIECES: [&[u8]; 14] = [
    b"\r\n",
    b"\r",
    b"\n",
    b"-",
    b"--",
    b"--b-1",
    b"\r\n--b-1",
    b"\r\n--b-1--",
    b"--b-1\r\nContent-Disposition: form-data; name=a\r\n\r\n",
    b"Content-Disposition: form-data; name=\"b\"; filename=\"c\"\r\n",
    b"\r\n\r\n",
    b"b-1",
    b"x",
    b"\0\xff",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    vec(select(&PIECES[..]), 0..24).prop_map(|pieces| pieces.concat())
}

/// Cuts bytes at these places.
fn pieces<'b>(bytes: &'b [u8], cuts: &[Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.push(bytes.len());
    places.sort_unstable();
    let mut start = 0;
    let cut = places.into_iter().map(|end| {
        let piece = &bytes[start..end];
        start = end;
        piece
    });
    cut.collect()
}

proptest! {
    #[test]
    fn the_outcome_does_not_depend_on_the_splits(bytes in soup(), cuts in vec(any::<Index>(), 0..6)) {
        let limits = Limits::default().max_parts(3).max_field_bytes(20).max_part_head_bytes(100);
        let whole = run_pieces(limits, [bytes.as_slice()]);
        prop_assert_eq!(run_pieces(limits, pieces(&bytes, &cuts)), whole);
    }

    #[test]
    fn content_is_read_as_it_was_written(contents in vec(soup(), 0..5), cuts in vec(any::<Index>(), 0..4)) {
        let contents: Vec<Vec<u8>> = contents
            .into_iter()
            .filter(|content| ![&b"\r\n"[..], content].concat().windows(7).any(|bytes| bytes == b"\r\n--b-1"))
            .collect();
        let named = disposition("name=a");
        let parts: Vec<(&str, &[u8])> = contents.iter().map(|content| (named.as_str(), content.as_slice())).collect();
        let outcome = run_pieces(Limits::default(), pieces(&form(&parts), &cuts));
        prop_assert_eq!(outcome.error, None);
        let expected: Vec<Part> = contents.iter().map(|content| field("a", content)).collect();
        prop_assert_eq!(outcome.parts, expected);
    }
}
