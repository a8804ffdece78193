//! Paths of this host, as every browser reads them: where a login may send its visitor.

/// Returns a redirection's target if every browser reads it as a path of this host, for a `next` that a client has sent.
///
/// Browsers read `//evil.example` and `/\evil.example` as another host, and they remove tabs and line ends before.
///
/// ```
/// use squall::security::local_path;
///
/// assert_eq!(local_path("/account?tab=2"), Some("/account?tab=2"));
/// assert_eq!(local_path("//evil.example"), None);
/// assert_eq!(local_path("https://evil.example"), None);
/// ```
#[must_use]
pub fn local_path(target: &str) -> Option<&str> {
    let rest = target.strip_prefix('/')?;
    let is_path = !rest.starts_with(['/', '\\']) && !target.chars().any(char::is_control);
    is_path.then_some(target)
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn only_paths_of_this_host_pass() {
        for target in [
            "/", "/a", "/a?b=//c", "/a//b", "/.//b", "/a\\b", "/?", "/#", "/ä", "/ /a", "/%2F/a",
        ] {
            assert_eq!(local_path(target), Some(target));
        }
        for target in [
            "",
            "a",
            "//",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            " /a",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            "/a\0",
            "/a\u{85}",
        ] {
            assert_eq!(local_path(target), None, "{target:?}");
        }
    }
}
