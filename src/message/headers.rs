//! The fields of a response, in the order they were set. A short list searched from the front: a response has a handful of
//! fields, and a list keeps their order, keeps its memory between requests and needs no hash of a name the peer may choose.

use http::{HeaderName, HeaderValue};

/// Response fields in order. Names and values are the `http` crate's, so none can hold CR, LF or NUL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    list: Vec<(HeaderName, HeaderValue)>,
}

impl Headers {
    /// Makes an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Sets a field, replacing every line of that name (Tornado's `set_header`).
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        if let Some(place) = self.list.iter().position(|(found, _)| *found == name) {
            let mut index = 0;
            self.list.retain(|(found, _)| {
                index += 1;
                index - 1 <= place || *found != name
            });
            if let Some(line) = self.list.get_mut(place) {
                line.1 = value;
            }
        } else {
            self.list.push((name, value));
        }
    }

    /// Adds a field line, keeping those of the same name (Tornado's `add_header`).
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.list.push((name, value));
    }

    /// Removes every line of a name; says whether there was one (Tornado's `clear_header`).
    pub fn remove(&mut self, name: &HeaderName) -> bool {
        let before = self.list.len();
        self.list.retain(|(found, _)| found != name);
        self.list.len() != before
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.list
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }

    /// Whether there is a line of that name.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Every line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.list.iter().map(|(name, value)| (name, value))
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Forgets every line and keeps the memory.
    pub fn clear(&mut self) {
        // Most lists are empty, and dropping nothing is a call all the same.
        if !self.list.is_empty() {
            self.list.clear();
        }
    }
}
