//! Byte ranges of a request (RFC 9110 §14): which parts of a content the client asks for.
//!
//! Invariant: the ranges of an answer are disjoint, none is empty, and together they are at most the whole content. So
//! no request makes a response longer than the content and a bounded number of part heads.

use core::ops::Range;

/// The most ranges that one response sends; more, after overlapping ones are joined, get the whole content. 8.
///
/// Each part costs a head and a seek. Viewers of documents ask for a few; CVE-2011-3192 asked for 1300.
pub const RANGES_MAX: usize = 8;

/// The most disjoint ranges that are remembered while a field is read. 64: a later range can still join them.
const DISJOINT_MAX: usize = 64;

/// What a `Range` field asks for, of a content of known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedRanges {
    /// The whole content: the field is malformed, has another unit, asks for everything, or for too many parts.
    Whole,
    /// These parts, at least one and at most [`RANGES_MAX`], in the order of the request.
    Parts(Vec<Range<u64>>),
    /// Nothing that the content has: answer 416.
    Unsatisfiable,
}

impl RequestedRanges {
    /// Reads the value of a `Range` field for a content of this many bytes.
    ///
    /// ```text
    /// ranges-specifier = "bytes" "=" 1#range-spec                        ; RFC 9110 §14.1.1, §14.1.2
    /// range-spec       = first-pos "-" [ last-pos ] / "-" suffix-length
    /// ```
    #[must_use]
    pub fn read(field: &[u8], content_bytes: u64) -> Self {
        let Some(specifiers) = specifiers(field) else {
            return Self::Whole;
        };
        let mut disjoint: Vec<Range<u64>> = Vec::new();
        let mut is_satisfiable = false;
        for specifier in specifiers.split(|&byte| byte == b',').map(trim_blanks) {
            // Empty elements are skipped (RFC 9110 §5.6.1).
            if specifier.is_empty() {
                continue;
            }
            match requested(specifier, content_bytes) {
                Specifier::Invalid => return Self::Whole,
                Specifier::Beyond => {}
                Specifier::Part(part) => {
                    is_satisfiable = true;
                    if !part.is_empty() {
                        join(&mut disjoint, part);
                    }
                }
            }
            if disjoint.len() > DISJOINT_MAX {
                return Self::Whole;
            }
        }
        let is_whole = disjoint.first().is_none_or(|part| *part == (0..content_bytes));
        match disjoint.len() {
            // A field without any range is malformed.
            _ if specifiers.iter().all(|&byte| matches!(byte, b' ' | b'\t' | b',')) => Self::Whole,
            _ if !is_satisfiable => Self::Unsatisfiable,
            ..=RANGES_MAX if !is_whole => Self::Parts(disjoint),
            _ => Self::Whole,
        }
    }
}

/// One range of a field.
enum Specifier {
    Invalid,
    /// Valid, and outside the content.
    Beyond,
    Part(Range<u64>),
}

/// The text behind `bytes=`. The name of a unit matches in any case (RFC 9110 §14.1).
fn specifiers(field: &[u8]) -> Option<&[u8]> {
    let (unit, rest) = field.split_at_checked(5)?;
    let specifiers = rest.strip_prefix(b"=")?;
    unit.eq_ignore_ascii_case(b"bytes").then_some(specifiers)
}

fn requested(specifier: &[u8], content_bytes: u64) -> Specifier {
    let Some(dash) = specifier.iter().position(|&byte| byte == b'-') else {
        return Specifier::Invalid;
    };
    let (first, last) = specifier.split_at(dash);
    let last = last.get(1..).unwrap_or_default();
    match (number(first), number(last)) {
        // The last bytes, or the whole content if it is shorter.
        (None, Some(count)) if first.is_empty() => match count {
            0 => Specifier::Beyond,
            _ => Specifier::Part(content_bytes.saturating_sub(count)..content_bytes),
        },
        (Some(first), None) if last.is_empty() => part(first..content_bytes, content_bytes),
        (Some(first), Some(last)) if first <= last => {
            part(first..last.saturating_add(1).min(content_bytes), content_bytes)
        }
        _ => Specifier::Invalid,
    }
}

fn part(range: Range<u64>, content_bytes: u64) -> Specifier {
    if range.start < content_bytes {
        Specifier::Part(range)
    } else {
        Specifier::Beyond
    }
}

/// A number of any length; one beyond `u64` is beyond every content, so it saturates.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |number, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

/// Adds a range, joined with every range that it overlaps, at the place of the first of them.
fn join(disjoint: &mut Vec<Range<u64>>, mut part: Range<u64>) {
    let overlaps = |one: &Range<u64>, other: &Range<u64>| one.start < other.end && other.start < one.end;
    let mut place = None;
    // The joined range may reach ranges that the one before did not.
    while let Some(found) = disjoint.iter().position(|known| overlaps(known, &part)) {
        let known = disjoint.remove(found);
        part = part.start.min(known.start)..part.end.max(known.end);
        place = Some(place.map_or(found, |place: usize| place.min(found)));
    }
    let place = place.unwrap_or(disjoint.len()).min(disjoint.len());
    disjoint.insert(place, part);
}

fn trim_blanks(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::RequestedRanges::{Parts, Unsatisfiable, Whole};
    use super::*;

    fn read(field: &str, bytes: u64) -> RequestedRanges {
        RequestedRanges::read(field.as_bytes(), bytes)
    }

    #[expect(clippy::single_range_in_vec_init, reason = "one range is what most clients ask for")]
    #[test]
    fn ranges_are_read_as_rfc_9110_writes_them() {
        for (field, expected) in [
            ("bytes=0-9", Parts(vec![0..10])),
            ("BYTES=0-9", Parts(vec![0..10])),
            ("bytes=22-", Parts(vec![22..26])),
            ("bytes=-4", Parts(vec![22..26])),
            ("bytes=1-10000000", Parts(vec![1..26])),
            ("bytes=25-25", Parts(vec![25..26])),
            ("bytes= 0-1 ,\t 4-5 ,,", Parts(vec![0..2, 4..6])),
            ("bytes=4-5,0-1", Parts(vec![4..6, 0..2])),
            ("bytes=0-1,2-3", Parts(vec![0..2, 2..4])),
            ("bytes=0-1,900-", Parts(vec![0..2])),
            ("bytes=1-18446744073709551616", Parts(vec![1..26])),
            ("bytes=00000000000000000000000001-2", Parts(vec![1..3])),
            // Everything, in one part or several.
            ("bytes=0-", Whole),
            ("bytes=0-25", Whole),
            ("bytes=-26", Whole),
            ("bytes=-1000000", Whole),
            ("bytes=0-12,10-30", Whole),
            // Valid, and not there.
            ("bytes=26-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=26-30,99-", Unsatisfiable),
            ("bytes=18446744073709551616-", Unsatisfiable),
            // Malformed fields are ignored.
            ("bytes=", Whole),
            ("bytes=,, ,", Whole),
            ("bytes=-", Whole),
            ("bytes=26", Whole),
            ("bytes=9-1", Whole),
            ("bytes=0-1,9-1", Whole),
            ("bytes=a-b", Whole),
            ("bytes=0--1", Whole),
            ("bytes=--1", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes=1 - 2", Whole),
            ("bytes=\u{661}-\u{662}", Whole),
            ("bytes 0-1", Whole),
            ("bytes = 0-1", Whole),
            ("bytes", Whole),
            ("lines=0-1", Whole),
            ("0-1", Whole),
            ("", Whole),
        ] {
            assert_eq!(read(field, 26), expected, "{field}");
        }
    }

    #[test]
    fn an_empty_content_has_no_part() {
        assert_eq!(read("bytes=0-", 0), Unsatisfiable);
        assert_eq!(read("bytes=-1", 0), Whole);
        assert_eq!(read("bytes=-0", 0), Unsatisfiable);
    }

    #[expect(clippy::single_range_in_vec_init, reason = "joining leaves one range")]
    #[test]
    fn overlapping_ranges_are_joined_at_the_place_of_the_first() {
        assert_eq!(read("bytes=0-5,3-8", 26), Parts(vec![0..9]));
        assert_eq!(read("bytes=20-21,0-2,2-4,24-25", 26), Parts(vec![20..22, 0..5, 24..26]));
        assert_eq!(read("bytes=8-9,0-1,4-5,0-5", 26), Parts(vec![8..10, 0..6]));
        let many_times = format!("bytes={}", "0-1,".repeat(2000));
        assert_eq!(read(&many_times, 26), Parts(vec![0..2]));
        assert_eq!(read(&format!("bytes={}", "0-,".repeat(2000)), 26), Whole);
    }

    #[test]
    fn more_than_eight_ranges_get_the_whole_content() {
        let list = |count: u64| {
            let list: Vec<_> = (0..count).map(|place| format!("{0}-{0}", place * 2)).collect();
            format!("bytes={}", list.join(","))
        };
        assert!(matches!(read(&list(8), 1000), Parts(parts) if parts.len() == 8));
        assert_eq!(read(&list(9), 1000), Whole);
        assert_eq!(read(&list(1000), 10_000), Whole);
        assert!(matches!(read(&format!("{},0-30", list(12)), 1000), Parts(_)));
    }

    /// What a plain reading of the same ranges covers.
    fn covered(ranges: &[(u64, u64)], bytes: u64) -> Vec<bool> {
        let is_covered = |at: u64| ranges.iter().any(|(first, last)| (*first..=*last).contains(&at));
        (0..bytes).map(is_covered).collect()
    }

    proptest! {
        #[test]
        fn an_answer_covers_what_was_asked_for_and_no_byte_twice(
            ranges in proptest::collection::vec((0..60_u64, 0..12_u64), 1..12),
            bytes in 1..64_u64,
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(first, more)| (first, first + more)).collect();
            let list: Vec<_> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
            let expected = covered(&ranges, bytes);
            match read(&format!("bytes={}", list.join(", ")), bytes) {
                Parts(parts) => {
                    let asked: Vec<_> = parts.iter().map(|part| (part.start, part.end - 1)).collect();
                    prop_assert_eq!(covered(&asked, bytes), expected);
                    prop_assert!(parts.len() <= RANGES_MAX);
                    prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= bytes));
                    let sum: u64 = parts.iter().map(|part| part.end - part.start).sum();
                    prop_assert!(sum <= bytes);
                }
                Unsatisfiable => prop_assert!(!expected.contains(&true)),
                Whole => prop_assert!(expected.contains(&true)),
            }
        }

        #[test]
        fn any_bytes_are_read(field in proptest::collection::vec(any::<u8>(), 0..64), bytes in any::<u64>()) {
            drop(RequestedRanges::read(&field, bytes));
            drop(RequestedRanges::read(&[b"bytes=", field.as_slice()].concat(), bytes));
        }
    }
}
