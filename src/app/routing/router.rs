//! The compiled routes: from a path to its route, and from a method to the endpoint.
//!
//! Each host group has a tree, and so do the routes for every host. A tree stores shapes. Shapes without parameters
//! are compared as whole paths first; all others are in a `matchit` tree. The leaf of a shape lists its routes, those
//! with more typed parameters first.
//!
//! Invariant: no route in a leaf hides another completely, and the endpoints of a route serve different methods.
//! [`Router::build`] rejects everything else.

use core::fmt;
use std::collections::HashMap;
use std::rc::Rc;

use super::exact_paths::ExactPaths;
use super::host::{HostPattern, host_name};
use super::param_span::ParamSpan;
use super::pattern::Pattern;
use super::route_table::{RouteFacts, RouteTable};
use crate::app::handler::endpoint::Endpoint;
use crate::app::handler::middleware::Chain;
use crate::app::request::percent::decode_path;
use crate::message::{HeaderValue, Method, RequestHead};

/// Every route of an application.
pub(in crate::app) struct Router {
    /// Tried before `general`, in the order they were added.
    hosts: Vec<(HostPattern, Tree)>,
    general: Tree,
    routes: Vec<Route>,
    /// The index of each named route.
    names: HashMap<String, usize>,
    /// Every method that any route serves: the answer to `OPTIONS *`.
    allow: HeaderValue,
}

/// One pattern and its endpoints.
pub(in crate::app) struct Route {
    pub(in crate::app) pattern: Rc<Pattern>,
    pub(in crate::app) name: Option<String>,
    pub(in crate::app) endpoints: Vec<(Method, Rc<dyn Endpoint>)>,
    /// Outermost first: the application's middleware, the groups', the route's own.
    pub(in crate::app) chain: Chain,
    /// The value of `Allow`, set by [`Router::build`].
    pub(in crate::app) allow: HeaderValue,
}

/// The routes of one host group.
#[derive(Default)]
struct Tree {
    routes_by_path: ExactPaths,
    leaves_by_shape: matchit::Router<usize>,
    leaves: Vec<Leaf>,
}

/// The routes of one shape, in the order they are tried.
struct Leaf {
    shape: String,
    routes: Vec<usize>,
}

impl Router {
    /// Compiles groups of routes, and adds every mistake to `problems`, one sentence each.
    pub(in crate::app) fn build(
        groups: Vec<(Option<HostPattern>, Vec<Route>)>,
        automatic_options: bool,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut router = Self {
            hosts: Vec::new(),
            general: Tree::default(),
            routes: Vec::new(),
            names: HashMap::new(),
            allow: HeaderValue::from_static(""),
        };
        for (host, group) in groups {
            let mut tree = Tree::default();
            for mut route in group {
                let index = router.routes.len();
                route.allow = allow(route.methods(), automatic_options);
                check_methods(&route, problems);
                if let Some(name) = &route.name
                    && let Some(earlier) = router.names.insert(name.clone(), index)
                    && let Some(earlier) = router.routes.get(earlier)
                {
                    let (first, second) = (earlier.pattern.text(), route.pattern.text());
                    problems.push(format!("`{first}` and `{second}` are both named `{name}`"));
                }
                router.routes.push(route);
                if let Err(problem) = tree.insert(index, &router.routes) {
                    problems.push(problem);
                }
            }
            match host {
                Some(host) => router.hosts.push((host, tree)),
                None => router.general = tree,
            }
        }
        router.allow = allow(router.routes.iter().flat_map(Route::methods), automatic_options);
        router
    }

    /// Takes every route out of a router that is dropped, so that each can be dropped under its own guard.
    pub(in crate::app) fn take_routes(&mut self) -> Vec<Route> {
        core::mem::take(&mut self.routes)
    }

    /// Finds the route of a request and stores the positions of its parameters.
    pub(in crate::app) fn find(&self, head: &RequestHead, params: &mut Vec<ParamSpan>) -> Option<usize> {
        let path = head.path();
        if !self.hosts.is_empty() {
            let name = host_name(head.authority());
            let groups = self.hosts.iter().filter(|(host, _)| host.matches(name));
            for (_, tree) in groups {
                let found = tree.find(path, &self.routes, params);
                if found.is_some() {
                    return found;
                }
            }
        }
        self.general.find(path, &self.routes, params)
    }

    /// The route at an index that [`Router::find`] returned.
    pub(in crate::app) fn route(&self, index: usize) -> Option<&Route> {
        self.routes.get(index)
    }

    /// The facts about the routes that contexts ask for.
    pub(in crate::app) fn table(&self) -> RouteTable {
        let facts = self.routes.iter().map(|route| RouteFacts {
            pattern: Rc::clone(&route.pattern),
            allow: route.allow.clone(),
        });
        RouteTable::new(facts, self.names.clone())
    }

    /// Every method that any route serves.
    pub(in crate::app) fn allow(&self) -> &HeaderValue {
        &self.allow
    }
}

impl Route {
    /// The endpoint that serves a method. GET's endpoint also serves HEAD if it can and no other does (RFC 9110
    /// §9.3.2).
    pub(in crate::app) fn endpoint(&self, method: &Method) -> Option<&Rc<dyn Endpoint>> {
        let serving = |wanted: &Method| {
            let mut endpoints = self.endpoints.iter();
            endpoints
                .find(|(method, _)| method == wanted)
                .map(|(_, endpoint)| endpoint)
        };
        match serving(method) {
            None if *method == Method::HEAD => serving(&Method::GET).filter(|endpoint| endpoint.answers_head()),
            found => found,
        }
    }

    /// The names of the served methods; a name can appear twice.
    fn methods(&self) -> impl Iterator<Item = &str> {
        let head = self.endpoint(&Method::HEAD).map(|_| "HEAD");
        self.endpoints.iter().map(|(method, _)| method.as_str()).chain(head)
    }
}

impl Tree {
    /// Adds the route at `index`; the error names the route that it collides with.
    fn insert(&mut self, index: usize, routes: &[Route]) -> Result<(), String> {
        let Some(route) = routes.get(index) else { return Ok(()) };
        let pattern = |index: &usize| routes.get(*index).map(|route| &route.pattern);
        let shape = route.pattern.shape();
        if let Some(leaf) = self.leaves.iter_mut().find(|leaf| leaf.shape == shape) {
            let mut others = leaf.routes.iter().filter_map(pattern);
            if let Some(other) = others.find(|other| other.same_types(&route.pattern)) {
                return Err(collision(other, &route.pattern));
            }
            // More typed parameters first: `{id:u64}` must be tried before `{name}`.
            let place = leaf.routes.partition_point(|other| {
                pattern(other).is_some_and(|other| other.typed_count() >= route.pattern.typed_count())
            });
            leaf.routes.insert(place, index);
            return Ok(());
        }
        let leaf = self.leaves.len();
        let inserted = match route.pattern.literal() {
            Some(path) => {
                self.routes_by_path.insert(path, index);
                Ok(())
            }
            None => self.leaves_by_shape.insert(shape.clone(), leaf),
        };
        match inserted {
            Ok(()) => {
                self.leaves.push(Leaf {
                    shape,
                    routes: vec![index],
                });
                Ok(())
            }
            Err(matchit::InsertError::Conflict { with }) => {
                let other = self.leaves.iter().find(|leaf| leaf.shape == with);
                let other = other.and_then(|leaf| leaf.routes.first()).and_then(pattern);
                Err(match other {
                    Some(other) => collision(other, &route.pattern),
                    None => format!(
                        "`{}` collides with an earlier pattern of the shape `{with}`",
                        route.pattern.text()
                    ),
                })
            }
            Err(error) => Err(format!(
                "the pattern `{}` cannot be matched: {error}",
                route.pattern.text()
            )),
        }
    }

    fn find(&self, path: &str, routes: &[Route], params: &mut Vec<ParamSpan>) -> Option<usize> {
        params.clear();
        let literal = self.routes_by_path.find(path);
        literal.or_else(|| self.find_by_shape(path, routes, params))
    }

    /// Finds a route with parameters.
    ///
    /// Never inlined: the search of the tree is large code, and most requests match an exact path before it.
    #[inline(never)]
    fn find_by_shape(&self, path: &str, routes: &[Route], params: &mut Vec<ParamSpan>) -> Option<usize> {
        let matched = self.leaves_by_shape.at(path).ok()?;
        params.extend(matched.params.iter().map(|(_, value)| ParamSpan::within(path, value)));
        let leaf = self.leaves.get(*matched.value)?;
        leaf.routes.iter().copied().find(|&index| {
            let pattern = routes.get(index).map(|route| &route.pattern);
            pattern.is_some_and(|pattern| accepts(pattern, path, params))
        })
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.routes.iter().map(|route| (route.pattern.text(), &route.allow)))
            .finish()
    }
}

/// Whether every decoded value has the type of its parameter.
fn accepts(pattern: &Pattern, path: &str, params: &[ParamSpan]) -> bool {
    pattern.typed_count() == 0
        || pattern.parameters().zip(params).all(|(parameter, span)| {
            let value = decode_path(span.of(path));
            value.is_ok_and(|value| parameter.kind.accepts(&value))
        })
}

fn collision(earlier: &Pattern, later: &Pattern) -> String {
    if earlier == later {
        format!("`{}` is added twice, in different groups", later.text())
    } else {
        format!("`{}` and `{}` match the same paths", earlier.text(), later.text())
    }
}

/// Reports methods that have two endpoints in one route.
fn check_methods(route: &Route, problems: &mut Vec<String>) {
    for (index, (method, _)) in route.endpoints.iter().enumerate() {
        if route.endpoints.iter().take(index).any(|(earlier, _)| earlier == method) {
            problems.push(format!("`{}` has two handlers for {method}", route.pattern.text()));
        }
    }
}

/// The value of `Allow` (RFC 9110 §10.2.1): the served methods, and OPTIONS if it is automatic, sorted, each once.
fn allow<'m>(methods: impl Iterator<Item = &'m str>, automatic_options: bool) -> HeaderValue {
    let mut names: Vec<&str> = methods.collect();
    if automatic_options {
        names.push("OPTIONS");
    }
    names.sort_unstable();
    names.dedup();
    // A method is a token, and a list of tokens is a field value.
    HeaderValue::try_from(names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
}
