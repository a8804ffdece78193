//! The facts about routes that a context asks for: their patterns, names and allowed methods, without what serves them.

use core::fmt::Display;
use std::collections::HashMap;
use std::rc::Rc;

use super::pattern::Pattern;
use crate::error::{Error, Result};
use crate::message::HeaderValue;

/// The routes of an application, by index and by name.
#[derive(Debug, Default)]
pub(in crate::app) struct RouteTable {
    routes: Vec<RouteFacts>,
    names: HashMap<String, usize>,
}

/// The facts about one route.
#[derive(Debug)]
pub(in crate::app) struct RouteFacts {
    /// `None` for a fallback.
    pub(in crate::app) pattern: Option<Rc<Pattern>>,
    /// The value of `Allow`; `None` for a fallback that serves every method.
    pub(in crate::app) allow: Option<HeaderValue>,
}

impl RouteTable {
    pub(super) fn new(routes: impl Iterator<Item = RouteFacts>, names: HashMap<String, usize>) -> Self {
        Self {
            routes: routes.collect(),
            names,
        }
    }

    /// The route at an index that [`Router::find`](super::router::Router::find) returned.
    pub(in crate::app) fn route(&self, index: usize) -> Option<&RouteFacts> {
        self.routes.get(index)
    }

    /// How many routes there are.
    pub(in crate::app) fn len(&self) -> usize {
        self.routes.len()
    }

    /// The patterns of all routes, in the order of their indices; `None` for a fallback.
    pub(in crate::app) fn patterns(&self) -> impl Iterator<Item = Option<&str>> {
        self.routes
            .iter()
            .map(|route| route.pattern.as_ref().map(|pattern| pattern.text()))
    }

    /// Fills the pattern of a named route.
    pub(in crate::app) fn reverse(&self, name: &str, values: &[&dyn Display]) -> Result<String> {
        let route = self.names.get(name).and_then(|index| self.routes.get(*index));
        let pattern = route.and_then(|route| route.pattern.as_ref());
        let pattern = pattern.ok_or_else(|| {
            Error::new(format!(
                "could not build a URL: no route is named `{name}`; name it with `Route::name`"
            ))
        })?;
        let filled = pattern.fill(values);
        filled.map_err(|problem| Error::new(format!("could not build a URL of the route `{name}`: {problem}")))
    }
}
