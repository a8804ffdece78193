//! Host names in routing: a group of routes serves one host, or every host below a domain (RFC 9110 §7.2).

use crate::message::host_and_port;

/// The hosts that a group of routes serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) enum HostPattern {
    /// This host only.
    Exact(String),
    /// Every host with this ending, which starts with a dot: `.example.com` for `*.example.com`.
    Below(String),
}

impl HostPattern {
    /// Parses `host` or `*.domain`; the error is one sentence.
    pub(in crate::app) fn parse(text: &str) -> Result<Self, String> {
        let (name, below) = text.strip_prefix("*.").map_or((text, false), |domain| (domain, true));
        let is_address = name.starts_with('[') && name.ends_with(']');
        if name.is_empty() || name.contains(['*', '/', ' ']) {
            return Err(format!(
                "the host `{text}` is invalid; write it as `example.com` or `*.example.com`"
            ));
        }
        if name.contains(':') && !is_address {
            return Err(format!(
                "the host `{text}` has a port; remove it, because routes match names only"
            ));
        }
        let name = name.trim_end_matches('.');
        Ok(if below {
            Self::Below(format!(".{name}"))
        } else {
            Self::Exact(name.to_owned())
        })
    }

    /// Whether the pattern includes a host name. Case and a final dot are ignored.
    pub(in crate::app) fn matches(&self, host_name: &str) -> bool {
        let host_name = host_name.strip_suffix('.').unwrap_or(host_name);
        match self {
            Self::Exact(name) => host_name.eq_ignore_ascii_case(name),
            Self::Below(ending) => host_name
                .len()
                .checked_sub(ending.len())
                .filter(|&start| start > 0)
                .and_then(|start| host_name.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(ending)),
        }
    }
}

/// An authority without its port; an IPv6 address retains its brackets.
pub(in crate::app) fn host_name(authority: &str) -> &str {
    let name_end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority.get(..name_end).unwrap_or(authority)
}

/// An authority without a port that is empty or the default (RFC 9110 §4.2.3).
pub(in crate::app) fn without_default_port(authority: &str, default_port: u16) -> &str {
    match host_and_port(authority, default_port) {
        Some((host, port)) if port == default_port => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::{HostPattern, host_name, without_default_port};

    #[test]
    fn removes_an_empty_or_default_port() {
        for (authority, port, expected) in [
            ("a", 80, "a"),
            ("a:80", 80, "a"),
            ("a:0080", 80, "a"),
            ("a:", 80, "a"),
            ("a:443", 80, "a:443"),
            ("a:443", 443, "a"),
            ("[::1]:80", 80, "[::1]"),
            ("[::80]", 80, "[::80]"),
            ("", 80, ""),
        ] {
            assert_eq!(without_default_port(authority, port), expected, "{authority} {port}");
        }
    }

    #[test]
    fn a_host_name_has_no_port() {
        for (authority, name) in [
            ("example.com", "example.com"),
            ("example.com:8080", "example.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(host_name(authority), name);
        }
    }

    #[test]
    fn matches_whole_labels_without_case() {
        let below = HostPattern::parse("*.Example.com").unwrap();
        for (name, expected) in [
            ("a.example.com", true),
            ("a.b.EXAMPLE.com", true),
            ("a.example.com.", true),
            ("example.com", false),
            (".example.com", false),
            ("badexample.com", false),
            ("a.example.com.evil.org", false),
        ] {
            assert_eq!(below.matches(name), expected, "{name}");
        }
        let exact = HostPattern::parse("api.example.com").unwrap();
        assert!(exact.matches("API.example.com"));
        assert!(!exact.matches("x.api.example.com"));
    }

    #[test]
    fn rejects_invalid_host_names() {
        for text in ["", "*.", "*", "a.*.com", "a/b", "example.com:80"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
        assert!(HostPattern::parse("[::1]").is_ok());
    }
}
