//! The invariants for any conditions and ranges of a request for a file. A violation panics. libFuzzer calls this
//! function through `fuzz_targets/`, and `tests/fuzz_smoke.rs` on stable Rust.

use std::time::{Duration, SystemTime};

use squall::app::{
    AcceptedCodings, ContentCoding, Precondition, RANGES_MAX, RequestedRanges, Validators, allows_range,
    evaluate_preconditions,
};
use squall::message::{Method, RequestHead};

/// The names whose values are fuzzed, one for each line of the input.
const NAMES: [&str; 7] = [
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "range",
    "accept-encoding",
];

/// Lines of `DIGIT value`, where the digit selects the name. The answer to any of them keeps within the file, and adding
/// the current tag to `If-None-Match` always makes it match.
pub(crate) fn conditions(data: &[u8]) {
    let mut head = RequestHead::new();
    let mut lines: Vec<(&str, &[u8])> = Vec::new();
    for line in data.split(|&byte| byte == b'\n').take(16) {
        let Some((&place, value)) = line.split_first() else {
            continue;
        };
        lines.push((NAMES[usize::from(place) % NAMES.len()], value));
    }
    fill(&mut head, &lines);
    let current = Validators {
        etag: Some(b"\"abc\""),
        last_modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)),
    };
    let fields = head.fields();
    let met = evaluate_preconditions(&Method::GET, fields, current);
    let also_met = evaluate_preconditions(&Method::HEAD, fields, current);
    assert_eq!(met, also_met);
    let changing = evaluate_preconditions(&Method::PUT, fields, current);
    assert_ne!(changing, Precondition::NotModified, "only GET and HEAD get 304");
    let _ = allows_range(fields, current);
    let _ = AcceptedCodings::read(fields).preferred(ContentCoding::ALL);
    for (_, value) in lines.iter().filter(|(name, _)| *name == "range") {
        for bytes in [0, 1, 26, 1 << 40, u64::MAX] {
            check(&RequestedRanges::read(value, bytes), bytes);
        }
    }
    let mut tagged = lines.clone();
    tagged.retain(|(name, _)| !matches!(*name, "if-match" | "if-unmodified-since"));
    tagged.push(("if-none-match", b"\"abc\""));
    fill(&mut head, &tagged);
    let met = evaluate_preconditions(&Method::GET, head.fields(), current);
    assert_eq!(met, Precondition::NotModified);
}

fn check(ranges: &RequestedRanges, bytes: u64) {
    let RequestedRanges::Parts(parts) = ranges else { return };
    assert!(!parts.is_empty() && parts.len() <= RANGES_MAX);
    assert!(parts.iter().all(|part| part.start < part.end && part.end <= bytes));
    for (place, part) in parts.iter().enumerate() {
        let others = parts.iter().skip(place + 1);
        assert!(
            others
                .into_iter()
                .all(|other| part.end <= other.start || other.end <= part.start)
        );
    }
}

fn fill(head: &mut RequestHead, lines: &[(&str, &[u8])]) {
    let mut builder = head.rewrite();
    let mut at = 0;
    for (name, value) in lines {
        builder.bytes(name.as_bytes()).bytes(value);
        let middle = at + name.len();
        builder.field(at..middle, middle..middle + value.len());
        at = middle + value.len();
    }
}
