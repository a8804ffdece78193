//! The trees of static files of an application, with the URLs under which clients find them.

use std::rc::Rc;

use super::source::FileSource;
use super::tree::StaticTree;
use crate::error::Result;

/// A tree at a route.
#[derive(Debug, Clone)]
pub(in crate::app) struct StaticRoute {
    /// The path in front of a file's path, such as `/static/`; `None` if the pattern has further parameters.
    pub(in crate::app) prefix: Option<String>,
    pub(in crate::app) tree: Rc<StaticTree>,
}

impl StaticRoute {
    /// Makes the entry of a tree at a complete pattern.
    pub(in crate::app) fn new(pattern: &str, tree: &Rc<StaticTree>) -> Self {
        let prefix = pattern.split_once("{*").map(|(prefix, _)| prefix);
        Self {
            prefix: prefix
                .filter(|prefix| !prefix.contains(['{', '}']))
                .map(ToOwned::to_owned),
            tree: Rc::clone(tree),
        }
    }
}

/// Returns the pattern of the directory that a rest parameter is beneath: `/static/` for `/static/{*path}`.
pub(in crate::app) fn directory_pattern(pattern: &str) -> Option<&str> {
    let (directory, _) = pattern.split_once("{*")?;
    directory.ends_with('/').then_some(directory)
}

/// Opens the directory of every tree.
///
/// # Errors
///
/// As [`StaticTree::open`], for the first that cannot be opened.
pub(in crate::app) fn open_all(routes: &[StaticRoute], source: &dyn FileSource) -> Result {
    routes
        .iter()
        .try_for_each(|route| route.tree.open(Some(source)).map(drop))
}
