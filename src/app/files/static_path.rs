//! The path of a static file, as a URL names it.
//!
//! Invariant: a path that passes names each directory on its way plainly. It has no empty segment, no dot segment, no
//! hidden name and no NUL. The kernel still resolves it beneath the directory only, so this is not the only defence.

/// The one hidden name that is served: well-known URIs (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// A decoded path that may be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StaticPath<'p> {
    /// Without the slash at its end; empty for the root.
    pub(super) name: &'p [u8],
    /// Whether it names a directory: it is empty, or ends with a slash.
    pub(super) has_slash: bool,
}

impl<'p> StaticPath<'p> {
    /// Reads a path behind the static prefix; `None` if nothing can be there for clients.
    pub(super) fn read(decoded: &'p [u8]) -> Option<Self> {
        let (name, has_slash) = match decoded {
            [] => {
                return Some(Self {
                    name: b"",
                    has_slash: true,
                });
            }
            [name @ .., b'/'] => (name, true),
            name => (name, false),
        };
        let is_plain = |segment: &[u8]| {
            !segment.is_empty() && !segment.contains(&0) && (!segment.starts_with(b".") || segment == WELL_KNOWN)
        };
        let mut segments = name.split(|&byte| byte == b'/');
        segments.all(is_plain).then_some(Self { name, has_slash })
    }

    /// The path of a file in this directory.
    pub(super) fn join(self, file: &str) -> Vec<u8> {
        let mut joined = self.name.to_vec();
        if !joined.is_empty() {
            joined.push(b'/');
        }
        joined.extend_from_slice(file.as_bytes());
        joined
    }
}

/// The last segment of a path.
pub(super) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_empty_and_dot_segments_name_nothing() {
        for path in [
            "/",
            "//",
            "a//b",
            "/etc/passwd",
            "a//",
            "..",
            "../a",
            "a/..",
            "a/../b",
            ".",
            "./a",
            "a/.",
            ".git",
            ".git/config",
            "a/.env",
            "..\\a",
            ".well-known/..",
            ".well-known2",
            "a\0",
            "\0",
            "...",
        ] {
            assert_eq!(StaticPath::read(path.as_bytes()), None, "{path:?}");
        }
        for path in [
            "a",
            "a/b.c",
            ".well-known/a",
            "a/.well-known",
            "a\\b",
            "~",
            "%2e",
            "a..",
            "\u{e9}",
        ] {
            let name = path.as_bytes();
            assert_eq!(
                StaticPath::read(name),
                Some(StaticPath { name, has_slash: false }),
                "{path}"
            );
        }
        for (path, name) in [("", ""), ("a/", "a"), ("a/b/", "a/b")] {
            let expected = StaticPath {
                name: name.as_bytes(),
                has_slash: true,
            };
            assert_eq!(StaticPath::read(path.as_bytes()), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_file_of_the_root_has_no_slash_before_it() {
        let join = |path: &[u8]| StaticPath::read(path).map(|path| path.join("index.html"));
        assert_eq!(join(b""), Some(b"index.html".to_vec()));
        assert_eq!(join(b"a/"), Some(b"a/index.html".to_vec()));
        assert_eq!(file_name(b"a/b.c"), b"b.c");
        assert_eq!(file_name(b"b.c"), b"b.c");
    }
}
