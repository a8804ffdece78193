//! The static table of HPACK (RFC 7541 Appendix A).

use crate::http2::field::FieldKind;

/// An entry of the static table.
#[derive(Debug, Clone, Copy)]
pub(super) struct StaticEntry {
    pub(super) name: &'static str,
    pub(super) value: &'static str,
    pub(super) kind: FieldKind,
}

/// Entries of the static table; the first dynamic entry has the index behind them.
pub(super) const STATIC_ENTRIES: usize = 61;

const fn entry(name: &'static str, value: &'static str, kind: FieldKind) -> StaticEntry {
    StaticEntry { name, value, kind }
}

const fn other(name: &'static str, value: &'static str) -> StaticEntry {
    entry(name, value, FieldKind::Other)
}

/// The entries, from index 1 on.
static ENTRIES: [StaticEntry; STATIC_ENTRIES] = [
    entry(":authority", "", FieldKind::Authority),
    entry(":method", "GET", FieldKind::Method),
    entry(":method", "POST", FieldKind::Method),
    entry(":path", "/", FieldKind::Path),
    entry(":path", "/index.html", FieldKind::Path),
    entry(":scheme", "http", FieldKind::Scheme),
    entry(":scheme", "https", FieldKind::Scheme),
    entry(":status", "200", FieldKind::Status),
    entry(":status", "204", FieldKind::Status),
    entry(":status", "206", FieldKind::Status),
    entry(":status", "304", FieldKind::Status),
    entry(":status", "400", FieldKind::Status),
    entry(":status", "404", FieldKind::Status),
    entry(":status", "500", FieldKind::Status),
    other("accept-charset", ""),
    other("accept-encoding", "gzip, deflate"),
    other("accept-language", ""),
    other("accept-ranges", ""),
    other("accept", ""),
    other("access-control-allow-origin", ""),
    other("age", ""),
    other("allow", ""),
    other("authorization", ""),
    other("cache-control", ""),
    other("content-disposition", ""),
    other("content-encoding", ""),
    other("content-language", ""),
    entry("content-length", "", FieldKind::ContentLength),
    other("content-location", ""),
    other("content-range", ""),
    other("content-type", ""),
    entry("cookie", "", FieldKind::Cookie),
    other("date", ""),
    other("etag", ""),
    entry("expect", "", FieldKind::Expect),
    other("expires", ""),
    other("from", ""),
    entry("host", "", FieldKind::Host),
    other("if-match", ""),
    other("if-modified-since", ""),
    other("if-none-match", ""),
    other("if-range", ""),
    other("if-unmodified-since", ""),
    other("last-modified", ""),
    other("link", ""),
    other("location", ""),
    other("max-forwards", ""),
    other("proxy-authenticate", ""),
    other("proxy-authorization", ""),
    other("range", ""),
    other("referer", ""),
    other("refresh", ""),
    other("retry-after", ""),
    other("server", ""),
    other("set-cookie", ""),
    other("strict-transport-security", ""),
    entry("transfer-encoding", "", FieldKind::ConnectionSpecific),
    other("user-agent", ""),
    other("vary", ""),
    other("via", ""),
    other("www-authenticate", ""),
];

/// Returns the entry of an index, which counts from 1.
pub(super) fn get(index: usize) -> Option<&'static StaticEntry> {
    ENTRIES.get(index.checked_sub(1)?)
}

/// Returns the first index of a name.
pub(super) fn index_of_name(name: &[u8]) -> Option<usize> {
    let index = match name {
        b":authority" => 1,
        b":method" => 2,
        b":path" => 4,
        b":scheme" => 6,
        b":status" => 8,
        b"accept-charset" => 15,
        b"accept-encoding" => 16,
        b"accept-language" => 17,
        b"accept-ranges" => 18,
        b"accept" => 19,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"authorization" => 23,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"cookie" => 32,
        b"date" => 33,
        b"etag" => 34,
        b"expect" => 35,
        b"expires" => 36,
        b"from" => 37,
        b"host" => 38,
        b"if-match" => 39,
        b"if-modified-since" => 40,
        b"if-none-match" => 41,
        b"if-range" => 42,
        b"if-unmodified-since" => 43,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"max-forwards" => 47,
        b"proxy-authenticate" => 48,
        b"proxy-authorization" => 49,
        b"range" => 50,
        b"referer" => 51,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"transfer-encoding" => 57,
        b"user-agent" => 58,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => return None,
    };
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, get, index_of_name};
    use crate::http2::field::classify;

    #[test]
    fn names_are_found_at_their_first_index() {
        for entry in &ENTRIES {
            let first = ENTRIES
                .iter()
                .position(|other| other.name == entry.name)
                .map(|place| place + 1);
            assert_eq!(index_of_name(entry.name.as_bytes()), first, "{}", entry.name);
        }
        assert_eq!(index_of_name(b"x"), None);
        assert!(get(0).is_none() && get(62).is_none());
        assert_eq!(get(61).map(|entry| entry.name), Some("www-authenticate"));
    }

    #[test]
    fn every_entry_has_its_class() {
        for entry in &ENTRIES {
            let kind = classify(entry.name.as_bytes(), entry.value.as_bytes());
            assert_eq!(entry.kind, kind, "{}", entry.name);
        }
    }
}
