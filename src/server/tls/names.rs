//! Values by the name of a host: exact names first, then one wildcard label (RFC 9525 §6.3).

use std::collections::HashMap;

/// A map from names of hosts to values.
#[derive(Debug, Clone)]
pub(super) struct Names<T> {
    exact: HashMap<String, T>,
    /// By the domain behind `*.`.
    wildcards: HashMap<String, T>,
}

impl<T> Names<T> {
    pub(super) fn new() -> Self {
        Self {
            exact: HashMap::new(),
            wildcards: HashMap::new(),
        }
    }

    /// Adds a value for a name, or for `*.` and a domain; the first value of a name stays.
    pub(super) fn add(&mut self, name: &str, value: T) {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(domain) => self.wildcards.entry(domain.to_owned()).or_insert(value),
            None => self.exact.entry(name).or_insert(value),
        };
    }

    /// Returns the value of a name, in any case and with or without the dot of the root.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let name = name.strip_suffix('.').unwrap_or(name);
        // Names of clients are in lower case already, except those of `Host`.
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.find(&name.to_ascii_lowercase());
        }
        self.find(name)
    }

    fn find(&self, name: &str) -> Option<&T> {
        let by_wildcard = || {
            let (label, domain) = name.split_once('.')?;
            self.wildcards.get(domain).filter(|_| !label.is_empty())
        };
        self.exact.get(name).or_else(by_wildcard)
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn an_exact_name_precedes_a_wildcard_of_one_label() {
        let mut names = Names::new();
        for (name, value) in [("a.example", 1), ("*.example", 2), ("*.a.example", 3), ("A.EXAMPLE", 4)] {
            names.add(name, value);
        }
        for (name, expected) in [
            ("a.example", Some(1)),
            ("A.Example.", Some(1)),
            ("b.example", Some(2)),
            ("b.a.example", Some(3)),
            ("c.b.example", None),
            ("example", None),
            (".example", None),
            ("", None),
        ] {
            assert_eq!(names.get(name).copied(), expected, "{name}");
        }
    }
}
