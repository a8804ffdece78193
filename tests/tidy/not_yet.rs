//! The files that do not follow the rules of prose yet. Remove a file when it is clean; never add one.

/// Files that refer to rows of a table that is not in the repository.
pub(crate) const DEAD_ROWS: [&str; 0] = [];

/// Files with tell-tale words.
pub(crate) const TELL_TALES: [&str; 0] = [];

/// Files with tell-tale words in the names of tests.
pub(crate) const TEST_NAMES: [&str; 0] = [];

/// Files with public doc summaries of more than one sentence.
pub(crate) const SUMMARIES: [&str; 0] = [];
