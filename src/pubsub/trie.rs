//! The wildcard patterns of a shard as a tree of segments: one walk finds all patterns that match a topic.
//!
//! Patterns without a wildcard are in a hash table instead. A node exists as long as a pattern passes through it.

use std::collections::HashMap;

use slab::Slab;

use super::topic::{Segment, Wildcard, split_first};

/// Wildcard patterns, each with the number of its slot.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Slab<Node>,
    /// The node above all first segments; `None` while the trie is empty.
    root: Option<usize>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, usize>,
    any: Option<usize>,
    /// The slot of the pattern that ends here.
    ends: Option<u32>,
    /// The slot of the pattern that ends with `**` below here.
    rest: Option<u32>,
}

impl Trie {
    /// Returns the slot of a pattern.
    pub(super) fn find(&self, pattern: &Wildcard) -> Option<u32> {
        let mut node = self.nodes.get(self.root?)?;
        for segment in pattern.segments() {
            let next = match segment {
                Segment::Literal(name) => *node.literals.get(name)?,
                Segment::Any => node.any?,
                Segment::Rest => return node.rest,
            };
            node = self.nodes.get(next)?;
        }
        node.ends
    }

    /// Adds a pattern that does not exist yet.
    pub(super) fn insert(&mut self, pattern: &Wildcard, slot: u32) {
        let mut place = match self.root {
            Some(root) => root,
            None => *self.root.insert(self.nodes.insert(Node::default())),
        };
        for segment in pattern.segments() {
            if segment == Segment::Rest {
                if let Some(node) = self.nodes.get_mut(place) {
                    node.rest = Some(slot);
                }
                return;
            }
            place = self.descend(place, segment);
        }
        if let Some(node) = self.nodes.get_mut(place) {
            node.ends = Some(slot);
        }
    }

    /// Returns the child of a node for a segment, creating it if needed.
    fn descend(&mut self, place: usize, segment: Segment<'_>) -> usize {
        if let Some(child) = self.nodes.get(place).and_then(|node| node.child(segment)) {
            return child;
        }
        let child = self.nodes.insert(Node::default());
        if let Some(node) = self.nodes.get_mut(place) {
            match segment {
                Segment::Literal(name) => drop(node.literals.insert(Box::from(name), child)),
                Segment::Any | Segment::Rest => node.any = Some(child),
            }
        }
        child
    }

    /// Removes a pattern, and the nodes through which no other pattern passes.
    pub(super) fn remove(&mut self, pattern: &Wildcard) {
        let mut path = Vec::new();
        let mut place = self.root;
        for segment in pattern.segments() {
            let Some(node) = place.and_then(|place| self.nodes.get_mut(place)) else {
                return;
            };
            path.extend(place.map(|place| (place, segment)));
            if segment == Segment::Rest {
                node.rest = None;
                place = None;
            } else {
                place = node.child(segment);
            }
        }
        if let Some(node) = place.and_then(|place| self.nodes.get_mut(place)) {
            node.ends = None;
        }
        let mut below = place;
        while let Some((place, segment)) = path.pop() {
            if let Some(child) = below
                && self.nodes.get(child).is_some_and(Node::is_empty)
            {
                self.nodes.remove(child);
                if let Some(node) = self.nodes.get_mut(place) {
                    node.forget(segment);
                }
            }
            below = Some(place);
        }
        if self
            .root
            .is_some_and(|root| self.nodes.get(root).is_some_and(Node::is_empty))
        {
            *self = Self::default();
        }
    }

    /// Adds the slots of all patterns that match a topic.
    pub(super) fn matches(&self, topic: &str, slots: &mut Vec<u32>) {
        if let Some(root) = self.root {
            self.visit(root, topic, slots);
        }
    }

    /// Walks down from a node along the rest of a topic; the depth is the topic's number of segments.
    fn visit(&self, place: usize, topic: &str, slots: &mut Vec<u32>) {
        let Some(node) = self.nodes.get(place) else {
            return;
        };
        slots.extend(node.rest);
        let (first, rest) = split_first(topic);
        let literal = node.literals.get(first).copied();
        for child in literal.into_iter().chain(node.any) {
            match rest {
                Some(rest) => self.visit(child, rest, slots),
                None => slots.extend(self.nodes.get(child).and_then(|node| node.ends)),
            }
        }
    }

    /// Returns whether the trie has no nodes.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

impl Node {
    fn child(&self, segment: Segment<'_>) -> Option<usize> {
        match segment {
            Segment::Literal(name) => self.literals.get(name).copied(),
            Segment::Any => self.any,
            Segment::Rest => None,
        }
    }

    fn forget(&mut self, segment: Segment<'_>) {
        match segment {
            Segment::Literal(name) => drop(self.literals.remove(name)),
            Segment::Any => self.any = None,
            Segment::Rest => self.rest = None,
        }
    }

    fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.any.is_none() && self.ends.is_none() && self.rest.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::topic::Pattern;

    fn wildcard(text: &str) -> Wildcard {
        match Pattern::new(text).unwrap() {
            Pattern::Wildcard(wildcard) => wildcard,
            Pattern::Topic(topic) => panic!("{topic} has no wildcard"),
        }
    }

    #[test]
    fn a_pattern_removed_leaves_those_beside_and_below_it() {
        let mut trie = Trie::default();
        let patterns = ["a/*", "a/**", "a/*/c", "*/b", "**", "a/*/c/**"];
        for (slot, text) in (0..).zip(patterns) {
            trie.insert(&wildcard(text), slot);
        }
        for (slot, removed) in (0..).zip(patterns) {
            assert_eq!(trie.find(&wildcard(removed)), Some(slot));
            trie.remove(&wildcard(removed));
            for (other, text) in (0..).zip(patterns) {
                assert_eq!(
                    trie.find(&wildcard(text)),
                    (other > slot).then_some(other),
                    "{text} after {removed}"
                );
            }
        }
        assert!(trie.is_empty(), "{trie:?}");
    }

    #[test]
    fn removing_what_is_not_there_removes_nothing() {
        let mut trie = Trie::default();
        trie.insert(&wildcard("a/*/c"), 7);
        for text in ["a/*", "a/**", "*/b", "a/*/c/*", "a/*/d"] {
            trie.remove(&wildcard(text));
            assert_eq!(trie.find(&wildcard("a/*/c")), Some(7), "{text}");
        }
    }

    #[test]
    fn the_rest_is_at_least_one_segment() {
        let mut trie = Trie::default();
        trie.insert(&wildcard("a/**"), 1);
        let found = |topic| {
            let mut slots = Vec::new();
            trie.matches(topic, &mut slots);
            slots.len()
        };
        assert_eq!([found("a"), found("a/b"), found("a/b/c"), found("b/a")], [0, 1, 1, 0]);
    }
}
