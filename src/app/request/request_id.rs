//! The id of a request that its client or a proxy has given: `X-Request-Id`, or the trace of `traceparent`.

use crate::message::Fields;

/// The longest id that is taken over. 128 bytes: twice the longest that proxies make.
const ID_BYTES_MAX: usize = 128;

/// The length of a `traceparent` (W3C Trace Context §3.2): `00-` trace `-` parent `-` flags.
const TRACE_PARENT_BYTES: usize = 55;

/// Returns the id of a request: the value of `X-Request-Id`, or else the trace id of `traceparent`.
///
/// `None` if neither is there once and well-formed. An id is 1 to 128 letters, digits and `-_.:+/=@`, so it cannot forge
/// part of a log line. A client chooses it freely, so several requests may have one id.
#[must_use]
pub fn request_id<'f>(fields: Fields<'f>) -> Option<&'f str> {
    let given = only(fields, "x-request-id").filter(|id| is_id(id));
    given.or_else(|| trace_id(only(fields, "traceparent")?))
}

fn only<'f>(fields: Fields<'f>, name: &str) -> Option<&'f str> {
    let mut lines = fields.get_all(name);
    let value = core::str::from_utf8(lines.next()?).ok()?;
    lines.next().is_none().then_some(value)
}

fn is_id(id: &str) -> bool {
    let is_id_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(&byte);
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_id_byte)
}

/// Returns the trace id of a `traceparent`, 32 digits in lower case.
///
/// A version after 00 may have more behind the flags; version ff and ids of zeros are invalid.
fn trace_id(text: &str) -> Option<&str> {
    let known = text.get(..TRACE_PARENT_BYTES)?;
    let rest = text.get(TRACE_PARENT_BYTES..)?;
    let mut parts = known.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &str, length: usize| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let has_valid_end = rest.is_empty() || version != "00" && rest.starts_with('-');
    let is_valid = parts.next().is_none()
        && is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2)
        && has_valid_end;
    is_valid.then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_trace_parent_is_read_strictly() {
        assert_eq!(trace_id(PARENT), Some(TRACE));
        assert_eq!(trace_id(&PARENT.replacen("00", "01", 1)), Some(TRACE));
        assert_eq!(trace_id(&(PARENT.replacen("00", "01", 1) + "-more")), Some(TRACE));
        for invalid in [
            String::new(),
            PARENT.to_uppercase(),
            PARENT.replacen("00", "ff", 1),
            PARENT.replace(TRACE, &"0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            format!("{PARENT}-more"),
            format!("{PARENT} "),
            PARENT.replace('-', "_"),
        ] {
            assert_eq!(trace_id(&invalid), None, "{invalid}");
        }
        // Every byte wrong once: another character than a digit or the dash that belongs there.
        for place in 0..PARENT.len() {
            let mut wrong = PARENT.to_owned();
            wrong.replace_range(place..=place, "g");
            assert_eq!(trace_id(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_id_has_no_character_that_a_log_line_could_mistake() {
        for id in ["a", "req-1.2_3", "a/b+c==", "1:2@3", &"x".repeat(128)] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "a b", "a\tb", "a\"b", "a\\b", "é", "a\x1b", "{a}", &"x".repeat(129)] {
            assert!(!is_id(id), "{id:?}");
        }
    }
}
