//! What a group sets for the paths under its prefix that match no route: a fallback and error pages.
//!
//! The router asks scopes after it has found no route, so they cost requests with a route nothing.

use core::cmp::Reverse;

use super::param_span::ParamSpan;
use super::pattern::Pattern;
use crate::app::response::error_pages::ErrorPageSet;

/// The settings of one group.
pub(in crate::app) struct Scope {
    /// The index of the group's host; `None` for every host.
    pub(in crate::app) host: Option<usize>,
    /// `None` for every path.
    pub(in crate::app) prefix: Option<Prefix>,
    /// The index of the route that answers.
    pub(in crate::app) fallback: Option<usize>,
    pub(in crate::app) pages: ErrorPageSet,
}

/// The prefix of a group, which may have parameters.
pub(in crate::app) struct Prefix {
    pattern: Pattern,
    /// What each segment accepts; a smaller number is narrower.
    segments: Vec<u8>,
    /// Matches exactly the prefix.
    matcher: matchit::Router<()>,
}

impl Scope {
    /// The order in which scopes are asked: longer prefixes first, and of one length, the narrower first.
    pub(in crate::app) fn order(&self) -> impl Ord + use<> {
        let segments = self.prefix.as_ref().map(|prefix| prefix.segments.clone());
        let segments = segments.unwrap_or_default();
        (Reverse(segments.len()), segments)
    }

    /// Whether a path is the prefix or lies under it.
    pub(in crate::app) fn includes(&self, path: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| prefix.includes(path))
    }

    /// Whether both have prefixes that include the same paths.
    pub(in crate::app) fn is_same_prefix(&self, other: &Self) -> bool {
        match (&self.prefix, &other.prefix) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => {
                ours.pattern.shape() == theirs.pattern.shape() && ours.pattern.same_types(&theirs.pattern)
            }
            _ => false,
        }
    }
}

impl Prefix {
    /// Compiles a prefix; the error is one sentence.
    pub(in crate::app) fn new(pattern: Pattern) -> Result<Self, String> {
        if pattern.takes_rest() {
            let text = pattern.text();
            return Err(format!(
                "the prefix `{text}` takes the rest of the path, so a group under it has no fallback and no error page"
            ));
        }
        let mut matcher = matchit::Router::new();
        match matcher.insert(pattern.shape(), ()) {
            Ok(()) => Ok(Self {
                segments: pattern.segments(),
                pattern,
                matcher,
            }),
            Err(error) => Err(format!("the prefix `{}` cannot be matched: {error}", pattern.text())),
        }
    }

    /// The prefix as it was written.
    pub(in crate::app) fn text(&self) -> &str {
        self.pattern.text()
    }

    fn includes(&self, path: &str) -> bool {
        // A parameter takes one segment, so the prefix matches as many segments as it has itself.
        let mut slashes = path.match_indices('/').map(|(place, _)| place);
        let end = slashes.nth(self.segments.len()).unwrap_or(path.len());
        let start = path.get(..end).unwrap_or_default();
        self.matcher.at(start).is_ok_and(|matched| {
            let values = matched.params.iter().map(|(_, value)| ParamSpan::within(start, value));
            self.pattern.accepts(start, values)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorPageSet, Pattern, Prefix, Scope};

    fn scope(prefix: &str) -> Scope {
        Scope {
            host: None,
            prefix: Some(Prefix::new(Pattern::parse(prefix).unwrap()).unwrap()),
            fallback: None,
            pages: ErrorPageSet::default(),
        }
    }

    #[test]
    fn a_prefix_includes_itself_and_the_paths_under_it() {
        for (prefix, path, expected) in [
            ("/api", "/api", true),
            ("/api", "/api/", true),
            ("/api", "/api/a/b", true),
            ("/api", "/apis", false),
            ("/api", "/", false),
            ("/api", "//api", false),
            ("/api", "", false),
            ("/a/b", "/a", false),
            ("/a/b", "/a/b/c", true),
            ("/users/{id:u64}", "/users/7", true),
            ("/users/{id:u64}", "/users/7/posts", true),
            ("/users/{id:u64}", "/users/ada/posts", false),
            ("/users/{id:u64}", "/users/", false),
            ("/{x}/b", "/a%2Fa/b/c", true),
            ("/v{n:u32}", "/v1/x", true),
            ("/v{n:u32}", "/vx/x", false),
            ("/{{x}}", "/{x}/y", true),
        ] {
            assert_eq!(scope(prefix).includes(path), expected, "{prefix} {path}");
        }
    }

    #[test]
    fn longer_and_narrower_prefixes_come_first() {
        let ordered = [
            "/a/b/{x}",
            "/a/b",
            "/a/{n:u64}",
            "/a/{x}",
            "/{x}/b",
            "/a",
            "/{n:u64}",
            "/{x}",
        ];
        for pair in ordered.windows(2) {
            assert!(scope(pair[0]).order() < scope(pair[1]).order(), "{pair:?}");
        }
    }
}
