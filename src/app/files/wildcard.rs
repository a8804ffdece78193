//! Patterns of file names, such as `*.js`.

/// Whether a path matches a pattern, in which each `*` stands for any bytes.
///
/// A pattern without a slash is compared with the last segment of the path.
pub(super) fn matches(pattern: &str, path: &[u8]) -> bool {
    let name = if pattern.contains('/') {
        path
    } else {
        super::static_path::file_name(path)
    };
    let mut parts = pattern.as_bytes().split(|&byte| byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(found) = memchr::memmem::find(rest, part) else {
            return false;
        };
        rest = rest.get(found + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_bytes() {
        for (pattern, path, expected) in [
            ("*.js", "app.js", true),
            ("*.js", "a/b/app.js", true),
            ("*.js", "app.json", false),
            ("*", "anything", true),
            ("app.js", "a/app.js", true),
            ("app.js", "app.jsx", false),
            ("fonts/*", "fonts/a/b.woff2", true),
            ("fonts/*", "css/fonts/a", false),
            ("app-*.min.*", "app-1.min.js", true),
            ("app-*.min.*", "app.min.js", false),
            ("*a*a", "a", false),
            ("*a*a", "aa", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, path.as_bytes()), expected, "{pattern} {path}");
        }
    }
}
