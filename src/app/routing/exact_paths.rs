//! Routes without parameters, found by comparing the whole path. Most routes have none, and most requests go to them.
//!
//! Paths are grouped by length: two routes rarely share one, and a length needs no hash. A request's path is compared
//! only with the application's paths of its length.

/// Values by complete path.
#[derive(Default)]
pub(in crate::app) struct ExactPaths {
    /// The paths of `n` bytes are at index `n`.
    by_length: Vec<Vec<(Box<str>, usize)>>,
}

impl ExactPaths {
    /// Adds a new path.
    pub(in crate::app) fn insert(&mut self, path: &str, value: usize) {
        if self.by_length.len() <= path.len() {
            self.by_length.resize_with(path.len() + 1, Vec::new);
        }
        if let Some(paths) = self.by_length.get_mut(path.len()) {
            paths.push((path.into(), value));
        }
    }

    /// The value of a path.
    pub(in crate::app) fn find(&self, path: &str) -> Option<usize> {
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
