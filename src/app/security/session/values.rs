//! The values of a session, and how a request has changed them.
//!
//! A request saves its changes and not its whole view. So two requests of one visitor that change different values at
//! the same time both keep their change.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The values of a session by name, each as JSON text.
pub type SessionValues = BTreeMap<String, String>;

/// The changes of one request: a new value by name, or `None` for a value that was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionChanges {
    changes: BTreeMap<String, Option<String>>,
}

impl SessionChanges {
    /// Returns whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns each changed name, with its new value or `None` for a removed one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.changes.iter().map(|(name, value)| (&**name, value.as_deref()))
    }

    /// Applies the changes to the values that a store has.
    pub fn apply_to(&self, values: &mut SessionValues) {
        for (name, value) in &self.changes {
            match value {
                Some(value) => drop(values.insert(name.clone(), value.clone())),
                None => drop(values.remove(name)),
            }
        }
    }

    /// Records a change, and returns whether it is one.
    pub(super) fn change(&mut self, values: &mut SessionValues, name: &str, value: Option<String>) -> bool {
        let is_change = match (values.entry(name.to_owned()), &value) {
            (Entry::Occupied(known), Some(value)) if known.get() == value => false,
            (Entry::Occupied(mut known), Some(value)) => {
                known.insert(value.clone());
                true
            }
            (Entry::Occupied(known), None) => {
                known.remove();
                true
            }
            (Entry::Vacant(new), Some(value)) => {
                new.insert(value.clone());
                true
            }
            (Entry::Vacant(_), None) => false,
        };
        if is_change {
            self.changes.insert(name.to_owned(), value);
        }
        is_change
    }
}

/// The bytes that values take: names and texts, with 64 for the nodes of each.
pub(super) fn bytes(values: &SessionValues) -> usize {
    let sizes = values.iter().map(|(name, value)| name.len() + value.len() + 64);
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_two_requests_to_different_values_are_both_kept() {
        let stored = SessionValues::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let (mut first, mut second) = (stored.clone(), stored.clone());
        let (mut changes, mut others) = (SessionChanges::default(), SessionChanges::default());
        assert!(changes.change(&mut first, "a", Some("3".to_owned())));
        assert!(changes.change(&mut first, "c", Some("4".to_owned())));
        assert!(others.change(&mut second, "b", None));
        let mut together = stored;
        changes.apply_to(&mut together);
        others.apply_to(&mut together);
        let expected = SessionValues::from([("a".to_owned(), "3".to_owned()), ("c".to_owned(), "4".to_owned())]);
        assert_eq!(together, expected);
    }

    #[test]
    fn a_value_that_stays_changes_nothing() {
        let mut values = SessionValues::from([("a".to_owned(), "1".to_owned())]);
        let mut changes = SessionChanges::default();
        assert!(!changes.change(&mut values, "a", Some("1".to_owned())));
        assert!(!changes.change(&mut values, "b", None));
        assert!(changes.is_empty());
    }
}
