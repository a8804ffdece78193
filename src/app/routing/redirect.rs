//! Routes that redirect to another path: Tornado's `RedirectHandler`.
//!
//! Invariant: the host of the location is written in the target. A path or a query of a client never changes it. So the
//! values of parameters stand behind the first `/` of a path, and a path never begins with two slashes (RFC 3986 §4.2).

use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::route::{Route, get};
use crate::app::context::Context;
use crate::app::response::location::NO_URI;
use crate::error::Result;
use crate::message::StatusCode;

/// What a value is encoded as in the path. Its own escapes stay.
const IN_PATH: &AsciiSet = &NO_URI.add(b'?').add(b'#').add(b'[').add(b']');
/// The same in a query or fragment, where `&`, `=` and `+` separate.
const IN_QUERY: &AsciiSet = &NO_URI.add(b'#').add(b'&').add(b'=').add(b'+').add(b'[').add(b']');

/// Makes a route that redirects GET and HEAD to `target`, permanently: 301 (Tornado's `RedirectHandler`).
///
/// The target is a path or an absolute URL, whose parameters in braces are those of the pattern. The values are passed
/// on encoded as received. The query of the request is kept, behind that of the target.
///
/// No request can change the host: a path that would begin with two slashes begins with one.
///
/// ```
/// use squall::prelude::*;
/// use squall::routing::redirect;
///
/// let application = Application::new()
///     .route("/old/{*rest}", redirect("/{rest}"))
///     .route("/people/{id}", redirect("/users/{id}?from=people"));
/// ```
pub fn redirect(target: &str) -> Route {
    redirect_with(StatusCode::MOVED_PERMANENTLY, target)
}

/// Makes a route that redirects GET and HEAD as [`redirect`] does, for now: 302.
pub fn redirect_temporarily(target: &str) -> Route {
    redirect_with(StatusCode::FOUND, target)
}

fn redirect_with(status: StatusCode, target: &str) -> Route {
    let parsed = Target::parse(target);
    let target = match parsed {
        Ok(target) => target,
        Err(problem) => {
            return Route {
                problems: vec![format!("the redirect to `{target}` {problem}")],
                ..Route::default()
            };
        }
    };
    let parameters = target.parameters().map(str::to_owned).collect();
    let route = get(async move |cx: &mut Context| -> Result {
        let location = target.fill(cx.query(), |name| cx.raw_param(name));
        cx.redirect(&location)?;
        cx.set_status(status);
        Ok(())
    });
    Route { parameters, ..route }
}

/// The parsed target of a redirect.
struct Target {
    /// The scheme and the host with `//`; empty for a path.
    origin: String,
    path: Vec<Piece>,
    query: Vec<Piece>,
    fragment: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(String),
}

impl Target {
    /// Parses a target; an error completes the sentence "the redirect to … ".
    fn parse(text: &str) -> Result<Self, String> {
        let path_start = match text.split_once("://") {
            Some(("http" | "https", rest)) => rest.find('/').map(|at| text.len() - rest.len() + at),
            _ => Some(0),
        };
        let (origin, rest) = text.split_at(path_start.unwrap_or(text.len()));
        let is_path = rest.starts_with('/') && !rest.starts_with("//") && !rest.starts_with("/\\");
        if !is_path || origin.contains(['{', '}', '?', '#', '\\']) {
            return Err("must begin with one `/`, or with http:// or https://, a host and `/`".to_owned());
        }
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Ok(Self {
            origin: origin.to_owned(),
            path: pieces(path)?,
            query: pieces(query)?,
            fragment: pieces(fragment)?,
        })
    }

    fn parameters(&self) -> impl Iterator<Item = &str> {
        let pieces = self.path.iter().chain(&self.query).chain(&self.fragment);
        pieces.filter_map(|piece| match piece {
            Piece::Parameter(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Builds the location for a request with this query and these values.
    fn fill<'v>(&self, query: Option<&str>, value: impl Fn(&str) -> Option<&'v str>) -> String {
        let fill = |pieces: &[Piece], set: &'static AsciiSet, filled: &mut String| {
            for piece in pieces {
                match piece {
                    Piece::Text(text) => filled.push_str(text),
                    Piece::Parameter(name) => {
                        filled.extend(utf8_percent_encode(value(name).unwrap_or_default(), set));
                    }
                }
            }
        };
        let mut path = String::new();
        fill(&self.path, IN_PATH, &mut path);
        let mut location = format!("{}/{}", self.origin, path.trim_start_matches('/'));
        let mut separator = '?';
        if !self.query.is_empty() {
            location.push(separator);
            separator = '&';
            fill(&self.query, IN_QUERY, &mut location);
        }
        if let Some(query) = query {
            location.push(separator);
            location.push_str(query);
        }
        if !self.fragment.is_empty() {
            location.push('#');
            fill(&self.fragment, IN_QUERY, &mut location);
        }
        location
    }
}

/// Splits a part of a target at its parameters; `{{` and `}}` stand for braces.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        literal.push_str(before);
        if let Some(after) = brace.strip_prefix("{{") {
            literal.push('{');
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            literal.push('}');
            rest = after;
        } else {
            let parameter = brace.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let Some((name, after)) = parameter.filter(|(name, _)| !name.is_empty() && !name.contains('{')) else {
                return Err("has a brace without its other half; write `{{` and `}}` for braces".to_owned());
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(core::mem::take(&mut literal)));
            }
            pieces.push(Piece::Parameter(name.to_owned()));
            rest = after;
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::Target;

    fn filled(target: &str, value: &str, query: Option<&str>) -> String {
        Target::parse(target).unwrap().fill(query, |_| Some(value))
    }

    #[test]
    fn values_and_queries_are_passed_on_as_received() {
        for (target, value, query, expected) in [
            ("/{rest}", "a/b", None, "/a/b"),
            ("/{rest}", "caf%C3%A9%2Fx", Some("q=%20&r"), "/caf%C3%A9%2Fx?q=%20&r"),
            ("/new", "-", Some(""), "/new?"),
            ("/new?foo=bar", "-", Some("foo2=bar2"), "/new?foo=bar&foo2=bar2"),
            ("/q?x={v}#{v}", "a&b=c+d", None, "/q?x=a%26b%3Dc%2Bd#a%26b%3Dc%2Bd"),
            ("/q#end", "-", Some("a"), "/q?a#end"),
            ("/{{{v}}}/x", "1", None, "/{1}/x"),
            ("https://example.org/{v}/", "a", Some("b"), "https://example.org/a/?b"),
        ] {
            assert_eq!(filled(target, value, query), expected, "{target} {value}");
        }
    }

    #[test]
    fn no_value_changes_the_host() {
        for (value, expected) in [
            ("/evil.example", "/evil.example"),
            ("//evil.example/%2F", "/evil.example/%2F"),
            ("\\evil.example", "/%5Cevil.example"),
            ("/\\evil.example", "/%5Cevil.example"),
            ("%2F%2Fevil.example", "/%2F%2Fevil.example"),
            ("http://evil.example", "/http://evil.example"),
            ("@evil.example", "/@evil.example"),
            ("?x", "/%3Fx"),
        ] {
            assert_eq!(filled("/{rest}", value, None), expected, "{value}");
            let elsewhere = filled("https://example.org/{rest}", value, None);
            assert_eq!(elsewhere, format!("https://example.org{expected}"), "{value}");
        }
    }

    #[test]
    fn a_target_names_its_host_itself() {
        for refused in [
            "",
            "new",
            "//example.org/",
            "/\\example.org/",
            "https://example.org",
            "https://example.org{rest}",
            "https://{host}/",
            "https://a?b/",
            "javascript:alert(1)",
            "/{rest",
            "/rest}",
            "/{}",
            "/{a{b}",
        ] {
            assert!(Target::parse(refused).is_err(), "{refused}");
        }
        let names: Vec<_> = Target::parse("/{a}/{b}?{c}#{d}")
            .unwrap()
            .parameters()
            .map(str::to_owned)
            .collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }
}
