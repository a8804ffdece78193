//! The fields of a response, in the order they were set.
//!
//! They are a list that is searched from the front, because a response has few fields. A list retains their
//! order and its memory, and hashes no names that a peer may choose.

use http::{HeaderName, HeaderValue, header};

/// Response fields in order, as names and values of the `http` crate, which cannot contain CR, LF or NUL.
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

    /// Sets a field and replaces every line of that name (Tornado's `set_header`).
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        if let Some(place) = self.list.iter().position(|(found, _)| *found == name) {
            // Keep the first line at its place and remove later ones of the same name.
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

    /// Adds a field line and keeps lines of the same name (Tornado's `add_header`).
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.list.push((name, value));
    }

    /// Removes every line of a name and returns whether there was one (Tornado's `clear_header`).
    pub fn remove(&mut self, name: &HeaderName) -> bool {
        let before = self.list.len();
        self.list.retain(|(found, _)| found != name);
        self.list.len() != before
    }

    /// Returns the first value of a name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.list
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }

    /// Returns whether there is a line of that name.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Returns every line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.list.iter().map(|(name, value)| (name, value))
    }

    /// Returns the number of lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether there are zero lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Removes every line and retains the memory.
    pub fn clear(&mut self) {
        // Most lists are empty, and `Vec::clear` costs a call even then.
        if !self.list.is_empty() {
            self.list.clear();
        }
    }
}

/// Returns whether a field may stand in a trailer section; fields that frame, route or authorise may not (RFC 9110
/// §6.5.1).
pub(crate) fn is_trailer_allowed(name: &HeaderName) -> bool {
    const FORBIDDEN: [HeaderName; 12] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TRAILER,
        header::HOST,
        header::UPGRADE,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::SET_COOKIE,
        header::AUTHORIZATION,
        header::LOCATION,
    ];
    !FORBIDDEN.contains(name)
}
