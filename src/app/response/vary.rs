//! `Vary`: which fields of the request have chosen the response (RFC 9110 §12.5.5).

use crate::message::{HeaderValue, Headers, header};

/// Adds the name of a field to `Vary`, behind the names that stand there; `*` stands for all.
pub(in crate::app) fn add(headers: &mut Headers, name: &'static str) {
    let mut joined = Vec::new();
    for (_, line) in headers.iter().filter(|(field, _)| **field == header::VARY) {
        let mut names = line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        if names.any(|known| known == b"*" || known.eq_ignore_ascii_case(name.as_bytes())) {
            return;
        }
        if line.is_empty() {
            continue;
        }
        joined.extend_from_slice(line.as_bytes());
        joined.extend_from_slice(b", ");
    }
    let value = if joined.is_empty() {
        HeaderValue::from_static(name)
    } else {
        joined.extend_from_slice(name.as_bytes());
        // Values joined by a comma are a value.
        HeaderValue::from_bytes(&joined).unwrap_or_else(|_| HeaderValue::from_static("*"))
    };
    headers.set(header::VARY, value);
}

#[cfg(test)]
mod tests {
    use super::add;
    use crate::message::{HeaderValue, Headers, header};

    #[test]
    fn a_name_is_added_once_behind_the_others() {
        for (lines, expected) in [
            (&[][..], "Accept-Encoding"),
            (&["Cookie"], "Cookie, Accept-Encoding"),
            (&["Cookie, Accept", "X-A"], "Cookie, Accept, X-A, Accept-Encoding"),
            (&["accept-encoding"], "accept-encoding"),
            (&["Cookie , ACCEPT-ENCODING"], "Cookie , ACCEPT-ENCODING"),
            (&["Accept-Encodings"], "Accept-Encodings, Accept-Encoding"),
            (&["*"], "*"),
            (&[""], "Accept-Encoding"),
        ] {
            let mut headers = Headers::new();
            for line in lines {
                headers.add(header::VARY, HeaderValue::from_static(line));
            }
            add(&mut headers, "Accept-Encoding");
            let found: Vec<_> = headers.iter().map(|(_, value)| value.to_str().unwrap()).collect();
            assert_eq!(found, [expected], "{lines:?}");
        }
    }
}
