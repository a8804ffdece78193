//! Parsing an authority, `host` or `host:port` (RFC 3986 §3.2).

use super::grammar::parse_digits;

/// The default port of a scheme: 443 for `https`, else 80 (RFC 9110 §4.2.1, §4.2.2).
pub(crate) fn default_port(scheme: &str) -> u16 {
    if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 }
}

/// Splits a host from its port. An IPv6 address retains its brackets.
///
/// A missing or empty port is `default_port` (RFC 9110 §4.2.3). `None` if the port is not a number up to 65535.
pub(crate) fn host_and_port(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, port) = match authority.rsplit_once(':') {
        // A `]` after the colon means that the colon belongs to an IPv6 address.
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => return Some((authority, default_port)),
    };
    let port = if port.is_empty() {
        default_port
    } else {
        parse_digits(port.as_bytes())?
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn parts_at_the_last_colon_outside_an_address() {
        for (authority, expected) in [
            ("a", Some(("a", 80))),
            ("a:", Some(("a", 80))),
            ("a:80", Some(("a", 80))),
            ("a:0443", Some(("a", 443))),
            ("[::1]", Some(("[::1]", 80))),
            ("[::1]:8080", Some(("[::1]", 8080))),
            ("", Some(("", 80))),
            ("a:65536", None),
            ("a:+1", None),
            ("a:b", None),
        ] {
            assert_eq!(host_and_port(authority, 80), expected, "{authority}");
        }
    }
}
