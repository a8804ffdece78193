//! Paths of routes without parameters, found by comparing whole paths: most routes are such, and most requests go to them.
//!
//! Sorted out by length, because two routes of one length are rare, and a length costs no hashing to know. The paths come from
//! the application; what a peer asks for is compared with those of its length and with nothing else.

/// Values by whole path.
#[derive(Default)]
pub(super) struct ExactPaths {
    /// The paths of `n` bytes are at `n`.
    by_length: Vec<Vec<(Box<str>, usize)>>,
}

impl ExactPaths {
    /// Adds a path that is not there yet.
    pub(super) fn insert(&mut self, path: &str, value: usize) {
        if self.by_length.len() <= path.len() {
            self.by_length.resize_with(path.len() + 1, Vec::new);
        }
        if let Some(paths) = self.by_length.get_mut(path.len()) {
            paths.push((path.into(), value));
        }
    }

    /// The value of a path.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let mut paths = self.by_length.get(path.len())?.iter();
        paths.find(|(known, _)| **known == *path).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::ExactPaths;

    #[test]
    fn finds_whole_paths_only() {
        let mut paths = ExactPaths::default();
        for (value, path) in ["/", "/users", "/teams", "/users/new"].into_iter().enumerate() {
            paths.insert(path, value);
        }
        for (path, value) in [
            ("/", Some(0)),
            ("/users", Some(1)),
            ("/teams", Some(2)),
            ("/users/new", Some(3)),
            ("", None),
            ("/user", None),
            ("/users/", None),
            ("/Users", None),
            ("/users/new/and/longer/than/any", None),
        ] {
            assert_eq!(paths.find(path), value, "{path}");
        }
    }
}
