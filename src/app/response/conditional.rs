//! Conditional requests (RFC 9110 §13): whether a request's preconditions hold for the current representation.
//!
//! It reads fields and compares validators. It sets no status and sends nothing.
//!
//! Invariant: fields that cannot be read never match. A malformed date is ignored (§13.1.3), and a malformed entity tag
//! equals no tag.

use std::time::SystemTime;

use crate::message::{Fields, Method};

/// The most bytes between two quotes of an entity tag that are compared. 1 KiB: no server makes a longer one.
const OPAQUE_TAG_BYTES_MAX: usize = 1024;

/// The validators of the current representation (RFC 9110 §8.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validators<'a> {
    /// The value of `ETag`, such as `"abc"` or `W/"abc"`.
    pub etag: Option<&'a [u8]>,
    /// The time of `Last-Modified`; parts of a second do not count.
    pub last_modified: Option<SystemTime>,
}

/// What the preconditions of a request ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// To go on with the request.
    Met,
    /// To answer 304: the client has the current representation.
    NotModified,
    /// To answer 412: the representation is another than the client expects.
    Failed,
}

/// Evaluates the preconditions of a request in the order of RFC 9110 §13.2.2.
///
/// Call it only where the response would otherwise be a success, for a representation that exists.
#[must_use]
pub fn evaluate_preconditions(method: &Method, fields: Fields<'_>, current: Validators<'_>) -> Precondition {
    if has(fields, "if-match") {
        if !lists_tag(fields, "if-match", current.etag, |one, other| one.strong_eq(other)) {
            return Precondition::Failed;
        }
    } else if let (Some(date), Some(modified)) = (date(fields, "if-unmodified-since"), seconds(current.last_modified))
        && modified > date
    {
        return Precondition::Failed;
    }
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if has(fields, "if-none-match") {
        if lists_tag(fields, "if-none-match", current.etag, |one, other| one.weak_eq(other)) {
            return if is_read {
                Precondition::NotModified
            } else {
                Precondition::Failed
            };
        }
    } else if let (true, Some(date), Some(modified)) = (
        is_read,
        date(fields, "if-modified-since"),
        seconds(current.last_modified),
    ) && modified <= date
    {
        return Precondition::NotModified;
    }
    Precondition::Met
}

/// Returns whether `If-Range` allows a partial response (RFC 9110 §13.1.5); without the field it does.
///
/// An entity tag must be strong and equal. A date must equal `Last-Modified`.
#[must_use]
pub fn allows_range(fields: Fields<'_>, current: Validators<'_>) -> bool {
    let mut lines = fields.get_all("if-range");
    let Some(line) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    let value = line.trim_ascii();
    if let Some((tag, rest)) = EntityTag::read(value) {
        let current = current.etag.and_then(EntityTag::whole);
        return rest.is_empty() && current.is_some_and(|current| current.strong_eq(tag));
    }
    let date = parse_date(value);
    date.is_some() && date == seconds(current.last_modified)
}

/// An entity tag (RFC 9110 §8.8.3).
///
/// ```text
/// entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE
/// etagc      = %x21 / %x23-7E / obs-text
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EntityTag<'a> {
    opaque: &'a [u8],
    is_weak: bool,
}

impl<'a> EntityTag<'a> {
    /// Reads a tag at the start of `text`; returns it and the bytes behind it.
    fn read(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (is_weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let end = inside.iter().position(|&byte| byte == b'"')?;
        let (opaque, rest) = inside.split_at_checked(end)?;
        let is_valid = opaque.len() <= OPAQUE_TAG_BYTES_MAX && opaque.iter().all(|&byte| is_tag_byte(byte));
        is_valid.then_some((Self { opaque, is_weak }, rest.get(1..)?))
    }

    /// Reads a text that is one tag and nothing else.
    fn whole(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::read(text)?;
        rest.is_empty().then_some(tag)
    }

    /// The strong comparison of RFC 9110 §8.8.3.2.
    fn strong_eq(self, other: Self) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    /// The weak comparison.
    fn weak_eq(self, other: Self) -> bool {
        self.opaque == other.opaque
    }
}

fn is_tag_byte(byte: u8) -> bool {
    byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80
}

fn has(fields: Fields<'_>, name: &str) -> bool {
    fields.get_all(name).next().is_some()
}

/// Whether a field is `*`, or lists a tag that equals the current one. `*` matches every representation.
fn lists_tag(
    fields: Fields<'_>,
    name: &str,
    current: Option<&[u8]>,
    equals: for<'a> fn(EntityTag<'a>, EntityTag<'a>) -> bool,
) -> bool {
    let current = current.and_then(EntityTag::whole);
    fields.get_all(name).any(|line| {
        let line = line.trim_ascii();
        line == b"*" || current.is_some_and(|current| tags(line).any(|tag| equals(current, tag)))
    })
}

/// The tags of a list, up to the first byte that fits no list (RFC 9110 §5.6.1: empty elements are skipped).
fn tags(line: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = line;
    let mut is_first = true;
    core::iter::from_fn(move || {
        let mut has_comma = core::mem::take(&mut is_first);
        while let Some((&byte, behind)) = rest.split_first()
            && matches!(byte, b' ' | b'\t' | b',')
        {
            has_comma |= byte == b',';
            rest = behind;
        }
        let (tag, behind) = EntityTag::read(rest).filter(|_| has_comma)?;
        rest = behind;
        Some(tag)
    })
}

/// The date of a field in seconds since 1970, if it is one valid line.
fn date(fields: Fields<'_>, name: &str) -> Option<u64> {
    let mut lines = fields.get_all(name);
    let date = parse_date(lines.next()?.trim_ascii());
    date.filter(|_| lines.next().is_none())
}

fn parse_date(value: &[u8]) -> Option<u64> {
    seconds(httpdate::parse_http_date(str::from_utf8(value).ok()?).ok())
}

/// A time in whole seconds since 1970. An earlier one counts as 1970, as in `Last-Modified`.
fn seconds(time: Option<SystemTime>) -> Option<u64> {
    let since = time?.duration_since(SystemTime::UNIX_EPOCH);
    Some(since.map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::message::RequestHead;

    const CURRENT: Validators<'static> = Validators {
        etag: Some(b"\"xyzzy\""),
        last_modified: None,
    };

    /// 1994-11-06 08:49:37.5, half a second behind the date of the specification's examples.
    fn modified() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500)
    }

    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn with_fields<R>(fields: &[(&str, &[u8])], check: impl FnOnce(Fields<'_>) -> R) -> R {
        let mut head = RequestHead::new();
        {
            let mut builder = head.rewrite();
            let mut at = 0;
            for (name, value) in fields {
                builder.bytes(name.as_bytes()).bytes(value);
                let behind_name = at + name.len();
                builder.field(at..behind_name, behind_name..behind_name + value.len());
                at = behind_name + value.len();
            }
        }
        check(head.fields())
    }

    fn verdict(method: &Method, fields: &[(&str, &str)], current: Validators<'_>) -> Precondition {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        with_fields(&fields, |fields| evaluate_preconditions(method, fields, current))
    }

    #[test]
    fn if_none_match_compares_weakly_and_alone_decides() {
        use Precondition::{Met, NotModified};
        let dated = Validators {
            last_modified: Some(modified()),
            ..CURRENT
        };
        // RFC 9110 §13.1.2; a matching date beside a field that does not match changes nothing.
        for (value, expected) in [
            ("\"xyzzy\"", NotModified),
            ("W/\"xyzzy\"", NotModified),
            ("\"a\", \"xyzzy\"", NotModified),
            (",, \"a\" ,\t, W/\"xyzzy\",", NotModified),
            ("*", NotModified),
            (" * ", NotModified),
            ("\"other\"", Met),
            ("xyzzy", Met),
            ("\"a\" \"xyzzy\"", Met),
            ("w/\"xyzzy\"", Met),
            ("\"xyzzy", Met),
            ("", Met),
        ] {
            let fields = [("If-None-Match", value), ("If-Modified-Since", AFTER)];
            assert_eq!(verdict(&Method::GET, &fields, dated), expected, "{value}");
            assert_eq!(verdict(&Method::HEAD, &fields, dated), expected, "{value}");
        }
        let two_lines = [("If-None-Match", "\"a\""), ("if-none-match", "\"xyzzy\"")];
        assert_eq!(verdict(&Method::GET, &two_lines, CURRENT), NotModified);
        assert_eq!(
            verdict(&Method::PUT, &[("If-None-Match", "*")], CURRENT),
            Precondition::Failed
        );
    }

    #[test]
    fn if_match_compares_strongly_and_comes_before_everything() {
        use Precondition::{Failed, Met};
        let dated = Validators {
            last_modified: Some(modified()),
            ..CURRENT
        };
        for (value, expected) in [
            ("\"xyzzy\"", Met),
            ("\"a\",\"xyzzy\"", Met),
            ("*", Met),
            ("W/\"xyzzy\"", Failed),
            ("\"a\"", Failed),
            ("nonsense", Failed),
        ] {
            // §13.2.2: the date is not looked at.
            let fields = [("If-Match", value), ("If-Unmodified-Since", BEFORE)];
            assert_eq!(verdict(&Method::GET, &fields, dated), expected, "{value}");
        }
        let both = [("If-Match", "\"xyzzy\""), ("If-None-Match", "\"xyzzy\"")];
        assert_eq!(verdict(&Method::GET, &both, CURRENT), Precondition::NotModified);
        let weak = Validators {
            etag: Some(b"W/\"xyzzy\""),
            last_modified: None,
        };
        assert_eq!(verdict(&Method::GET, &[("If-Match", "W/\"xyzzy\"")], weak), Failed);
        let untagged = Validators::default();
        assert_eq!(verdict(&Method::GET, &[("If-Match", "*")], untagged), Met);
        assert_eq!(verdict(&Method::GET, &[("If-Match", "\"xyzzy\"")], untagged), Failed);
    }

    #[test]
    fn dates_are_compared_by_the_second_and_junk_is_ignored() {
        use Precondition::{Failed, Met, NotModified};
        let dated = Validators {
            etag: None,
            last_modified: Some(modified()),
        };
        for (name, value, expected) in [
            ("If-Modified-Since", SAME, NotModified),
            ("If-Modified-Since", AFTER, NotModified),
            ("If-Modified-Since", BEFORE, Met),
            ("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
            ("If-Modified-Since", "Sun Nov  6 08:49:37 1994", NotModified),
            ("If-Modified-Since", "yesterday", Met),
            ("If-Modified-Since", "784111777", Met),
            ("If-Modified-Since", "", Met),
            ("If-Unmodified-Since", SAME, Met),
            ("If-Unmodified-Since", AFTER, Met),
            ("If-Unmodified-Since", BEFORE, Failed),
            ("If-Unmodified-Since", "junk", Met),
        ] {
            assert_eq!(
                verdict(&Method::GET, &[(name, value)], dated),
                expected,
                "{name}: {value}"
            );
        }
        assert_eq!(verdict(&Method::POST, &[("If-Modified-Since", AFTER)], dated), Met);
        assert_eq!(
            verdict(&Method::GET, &[("If-Modified-Since", AFTER)], Validators::default()),
            Met
        );
        let twice = [("If-Modified-Since", AFTER), ("If-Modified-Since", AFTER)];
        assert_eq!(verdict(&Method::GET, &twice, dated), Met);
    }

    #[test]
    fn if_range_takes_a_strong_tag_or_the_exact_date() {
        let current = Validators {
            etag: Some(b"\"xyzzy\""),
            last_modified: Some(modified()),
        };
        let allows = |fields: &[(&str, &[u8])]| with_fields(fields, |fields| allows_range(fields, current));
        assert!(allows(&[]));
        for (value, expected) in [
            ("\"xyzzy\"", true),
            ("W/\"xyzzy\"", false),
            ("\"other\"", false),
            ("\"xyzzy\", \"other\"", false),
            ("xyzzy", false),
            ("*", false),
            (SAME, true),
            (BEFORE, false),
            (AFTER, false),
            ("", false),
        ] {
            assert_eq!(allows(&[("If-Range", value.as_bytes())]), expected, "{value}");
        }
        assert!(!allows(&[("If-Range", b"\"xyzzy\""), ("If-Range", b"\"xyzzy\"")]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_evaluated_and_the_current_tag_is_found_in_any_list(
            junk in proptest::collection::vec(any::<u8>(), 0..64),
            before in proptest::collection::vec("[!#-~]{0,8}", 0..4),
            opaque in "[!#-~]{0,16}",
        ) {
            let tag = format!("\"{opaque}\"");
            let current = Validators { etag: Some(tag.as_bytes()), last_modified: Some(modified()) };
            for name in ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"] {
                with_fields(&[(name, &junk)], |fields| {
                    let _ = evaluate_preconditions(&Method::GET, fields, current);
                    let _ = allows_range(fields, current);
                });
            }
            let mut list: Vec<String> = before.iter().map(|tag| format!("\"{tag}\"")).collect();
            list.push(format!("W/{tag}"));
            let list = list.join(" , ");
            let found = with_fields(&[("If-None-Match", list.as_bytes())], |fields| {
                evaluate_preconditions(&Method::GET, fields, current)
            });
            prop_assert_eq!(found, Precondition::NotModified);
        }
    }
}
