//! The four forms of a request-target (RFC 9112 §3.2): which methods may use each, where path and query are, and which
//! authority it names.

use core::ops::Range;

use super::error::ParseError;
use super::grammar;
use crate::message::{Method, TargetForm};

/// A parsed request-target; ranges count from its first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) form: TargetForm,
    /// Only for the absolute-form and the authority-form.
    pub(super) authority: Option<Range<usize>>,
    pub(super) path: Range<usize>,
    pub(super) query: Option<Range<usize>>,
}

impl Target {
    /// Parses a target, and rejects bytes that no target may contain.
    ///
    /// ```text
    /// request-target = origin-form / absolute-form / authority-form / asterisk-form
    /// ```
    ///
    /// Always rejects CONNECT, the only method with an authority-form: this server is not a proxy. Reading on after a
    /// tunnel request would let the tunnelled bytes pass as requests.
    pub(super) fn parse(method: &Method, target: &[u8]) -> Result<Self, ParseError> {
        if *method == Method::CONNECT {
            return Err(match target.iter().rposition(|&byte| byte == b':') {
                Some(colon) if colon > 0 && colon + 1 < target.len() && grammar::is_host(target) => {
                    ParseError::ConnectUnsupported
                }
                _ => ParseError::Target,
            });
        }
        match target {
            [b'/', ..] => {
                let (path, query) = path_and_query(target, 0)?;
                Ok(Self {
                    form: TargetForm::Origin,
                    authority: None,
                    path,
                    query,
                })
            }
            b"*" if *method == Method::OPTIONS => Ok(Self {
                form: TargetForm::Asterisk,
                authority: None,
                path: 0..1,
                query: None,
            }),
            _ => absolute(target),
        }
    }
}

/// ```text
/// absolute-form  = absolute-URI                                          ; RFC 9112 §3.2.2
/// http-URI       = "http" "://" authority path-abempty [ "?" query ]     ; RFC 9110 §4.2.1
/// ```
///
/// Rejects userinfo (RFC 9110 §4.2.4) and an empty host (§4.2.1).
fn absolute(target: &[u8]) -> Result<Target, ParseError> {
    let scheme_bytes = ["http://", "https://"]
        .into_iter()
        .find(|scheme| {
            target
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
        })
        .ok_or(ParseError::Target)?
        .len();
    let rest = target.get(scheme_bytes..).unwrap_or_default();
    let authority_bytes = rest
        .iter()
        .position(|&byte| byte == b'/' || byte == b'?')
        .unwrap_or(rest.len());
    let authority = scheme_bytes..scheme_bytes + authority_bytes;
    let host = target.get(authority.clone()).unwrap_or_default();
    if host.is_empty() || host.starts_with(b":") || !grammar::is_host(host) {
        return Err(ParseError::Target);
    }
    let (mut path, query) = path_and_query(target, authority.end)?;
    if path.is_empty() {
        // An empty path means `/` (RFC 9110 §4.2.3); the last slash of `://` stands in for it.
        path = scheme_bytes - 1..scheme_bytes;
    }
    Ok(Target {
        form: TargetForm::Absolute,
        authority: Some(authority),
        path,
        query,
    })
}

/// Splits at the first `?` into path and query; both may be empty.
fn path_and_query(target: &[u8], path_start: usize) -> Result<(Range<usize>, Option<Range<usize>>), ParseError> {
    let rest = target.get(path_start..).unwrap_or_default();
    let (path, rest) = grammar::PATH_BYTES.split(rest);
    let path = path_start..path_start + path.len();
    match rest {
        [] => Ok((path, None)),
        [b'?', query @ ..] if grammar::TARGET_BYTES.contains_all(query) => {
            let query_start = path.end + 1;
            Ok((path, Some(query_start..query_start + query.len())))
        }
        _ => Err(ParseError::Target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(target: &str, range: Range<usize>) -> &str {
        &target[range]
    }

    #[test]
    fn origin_and_absolute_forms_are_taken_apart() {
        for (target, authority, path, query) in [
            ("/", None, "/", None),
            ("/a/b?c=d?e", None, "/a/b", Some("c=d?e")),
            ("/?", None, "/", Some("")),
            ("//x/y", None, "//x/y", None),
            ("http://a", Some("a"), "/", None),
            ("HTTPS://[::1]:8/p?q", Some("[::1]:8"), "/p", Some("q")),
            ("http://a?q", Some("a"), "/", Some("q")),
            ("http://a/http://b/", Some("a"), "/http://b/", None),
        ] {
            let parsed = Target::parse(&Method::GET, target.as_bytes()).unwrap();
            assert_eq!(parsed.authority.map(|range| text(target, range)), authority, "{target}");
            assert_eq!(text(target, parsed.path), path, "{target}");
            assert_eq!(parsed.query.map(|range| text(target, range)), query, "{target}");
        }
    }

    #[test]
    fn forms_are_bound_to_their_methods() {
        let asterisk = Target::parse(&Method::OPTIONS, b"*").unwrap();
        assert_eq!((asterisk.form, asterisk.path), (TargetForm::Asterisk, 0..1));
        for (method, target, error) in [
            (Method::GET, "*", ParseError::Target),
            (Method::OPTIONS, "**", ParseError::Target),
            (Method::GET, "a:80", ParseError::Target),
            (Method::GET, "a", ParseError::Target),
            (Method::GET, "ftp://a/", ParseError::Target),
            (Method::GET, "http:/a", ParseError::Target),
            (Method::GET, "http://", ParseError::Target),
            (Method::GET, "http:///p", ParseError::Target),
            (Method::GET, "http://:80/", ParseError::Target),
            (Method::GET, "http://u@a/", ParseError::Target),
            (Method::CONNECT, "/", ParseError::Target),
            (Method::CONNECT, "a", ParseError::Target),
            (Method::CONNECT, "a:", ParseError::Target),
            (Method::CONNECT, ":80", ParseError::Target),
            (Method::CONNECT, "a:80", ParseError::ConnectUnsupported),
            (Method::CONNECT, "[::1]:80", ParseError::ConnectUnsupported),
        ] {
            assert_eq!(
                Target::parse(&method, target.as_bytes()),
                Err(error),
                "{method} {target}"
            );
        }
    }
}
