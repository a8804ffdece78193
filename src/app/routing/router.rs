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
use super::scope::{Prefix, Scope};
use crate::app::files::static_routes::StaticRoute;
use crate::app::handler::endpoint::Endpoint;
use crate::app::handler::middleware::Chain;
use crate::app::request::body_state::ContentRules;
use crate::app::response::error_pages::ErrorPageSet;
use crate::app::response::error_response::ErrorPage;
use crate::message::{HeaderValue, Method, RequestHead, StatusCode};

/// Every route of an application.
pub(in crate::app) struct Router {
    /// Tried before `general`, in the order they were added.
    hosts: Vec<(HostPattern, Tree)>,
    general: Tree,
    routes: Vec<CompiledRoute>,
    /// The settings for requests without a route, in the order in which they are asked.
    scopes: Vec<Scope>,
    /// The index of each named route.
    names: HashMap<String, usize>,
    /// Every method that any route serves: the answer to `OPTIONS *`.
    allow: HeaderValue,
}

/// One pattern, or a fallback, and its endpoints.
pub(in crate::app) struct CompiledRoute {
    /// `None` for a fallback.
    pub(in crate::app) pattern: Option<Rc<Pattern>>,
    pub(in crate::app) name: Option<String>,
    pub(in crate::app) methods: Vec<(Method, Served)>,
    /// Serves the methods that `methods` lacks.
    pub(in crate::app) any_method: Option<Served>,
    /// The middleware around 405 and the automatic OPTIONS.
    pub(in crate::app) chain: Chain,
    /// The error pages of the groups around it; those of inner groups count first.
    pub(in crate::app) pages: ErrorPageSet,
    /// The value of `Allow`, set by [`Router::build`].
    pub(in crate::app) allow: HeaderValue,
}

/// An endpoint with the middleware around it.
pub(in crate::app) struct Served {
    pub(in crate::app) endpoint: Rc<dyn Endpoint>,
    /// Outermost first: the application's middleware, the groups', the route's own.
    pub(in crate::app) chain: Chain,
    /// What the route says about content; most routes say nothing.
    pub(in crate::app) content: Option<Rc<ContentRules>>,
    /// Whether the route is exempt from the check for forged requests.
    pub(in crate::app) skips_xsrf: bool,
}

/// Everything that an application has for one host, or for every host.
#[derive(Default)]
pub(in crate::app) struct HostGroup {
    /// `None` for every host.
    pub(in crate::app) host: Option<HostPattern>,
    pub(in crate::app) routes: Vec<CompiledRoute>,
    pub(in crate::app) scopes: Vec<GroupScope>,
    pub(in crate::app) static_routes: Vec<StaticRoute>,
}

/// The settings of a group, before the router gives its fallback an index.
pub(in crate::app) struct GroupScope {
    /// `None` for every path.
    pub(in crate::app) prefix: Option<Prefix>,
    pub(in crate::app) fallback: Option<CompiledRoute>,
    /// The group's own error pages.
    pub(in crate::app) pages: ErrorPageSet,
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
    pub(in crate::app) fn build(groups: Vec<HostGroup>, automatic_options: bool, problems: &mut Vec<String>) -> Self {
        let mut router = Self {
            hosts: Vec::new(),
            general: Tree::default(),
            routes: Vec::new(),
            scopes: Vec::new(),
            names: HashMap::new(),
            allow: HeaderValue::from_static(""),
        };
        for group in groups {
            let mut tree = Tree::default();
            for route in group.routes {
                let index = router.add(route, automatic_options, problems);
                if let Err(problem) = tree.insert(index, &router.routes) {
                    problems.push(problem);
                }
            }
            let host = group.host.is_some().then_some(router.hosts.len());
            let mut scopes = Vec::new();
            for scope in group.scopes {
                scopes.push(Scope {
                    host,
                    prefix: scope.prefix,
                    fallback: scope
                        .fallback
                        .map(|route| router.add(route, automatic_options, problems)),
                    pages: scope.pages,
                });
            }
            scopes.sort_by_cached_key(Scope::order);
            router.scopes.extend(scopes);
            match group.host {
                Some(host) => router.hosts.push((host, tree)),
                None => router.general = tree,
            }
        }
        let routes = router.routes.iter().filter(|route| route.pattern.is_some());
        router.allow = allow(routes.flat_map(CompiledRoute::methods), automatic_options);
        router.check_scopes(problems);
        router
    }

    /// Adds a route and returns its index.
    fn add(&mut self, mut route: CompiledRoute, automatic_options: bool, problems: &mut Vec<String>) -> usize {
        let index = self.routes.len();
        route.allow = allow(route.methods(), automatic_options);
        check_methods(&route, problems);
        if let Some(name) = &route.name
            && let Some(earlier) = self.names.insert(name.clone(), index)
            && let Some(earlier) = self.routes.get(earlier)
        {
            let (first, second) = (earlier.text(), route.text());
            problems.push(format!("`{first}` and `{second}` are both named `{name}`"));
        }
        self.routes.push(route);
        index
    }

    /// Reports groups of one host and prefix with several fallbacks or error pages.
    fn check_scopes(&self, problems: &mut Vec<String>) {
        for (index, scope) in self.scopes.iter().enumerate() {
            let same_place = |other: &&Scope| {
                let host = |scope: &Scope| scope.host.and_then(|host| self.hosts.get(host)).map(|(host, _)| host);
                host(other) == host(scope) && other.is_same_prefix(scope)
            };
            let earlier = || self.scopes.iter().take(index).filter(same_place);
            let place = || match &scope.prefix {
                Some(prefix) => format!("the prefix `{}`", prefix.text()),
                None => "one host".to_owned(),
            };
            if scope.fallback.is_some() && earlier().any(|other| other.fallback.is_some()) {
                problems.push(format!("two groups for {} have a fallback; keep one", place()));
            }
            if earlier().any(|other| other.pages.overlaps(&scope.pages)) {
                problems.push(format!("two groups for {} have an error page; keep one", place()));
            }
        }
    }

    /// Returns whether any route opens WebSockets.
    pub(in crate::app) fn has_websockets(&self) -> bool {
        let served = self.routes.iter().filter_map(|route| route.endpoint(&Method::GET));
        served.into_iter().any(|served| served.endpoint.opens_websockets())
    }

    /// Takes every route out of a router that is dropped, so that each can be dropped under its own guard.
    pub(in crate::app) fn take_routes(&mut self) -> Vec<CompiledRoute> {
        core::mem::take(&mut self.routes)
    }

    /// The same for the error pages of groups.
    pub(in crate::app) fn take_pages(&mut self) -> impl Iterator<Item = Rc<ErrorPage>> {
        let scopes = core::mem::take(&mut self.scopes);
        scopes.into_iter().flat_map(|scope| scope.pages.into_pages())
    }

    /// Finds the route of a request and stores the positions of its parameters.
    #[expect(
        clippy::inline_always,
        reason = "the second caller, for refused requests, must not cost all others a call"
    )]
    #[inline(always)]
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

    /// The settings of the groups around the path of a request without a route, the innermost first, and those of its
    /// hosts before others.
    fn scopes_around<'r>(&'r self, head: &'r RequestHead) -> impl Iterator<Item = &'r Scope> {
        let (path, name) = (head.path(), host_name(head.authority()));
        self.scopes.iter().filter(move |scope| {
            let host = scope.host.and_then(|index| self.hosts.get(index));
            host.is_none_or(|(host, _)| host.matches(name)) && scope.includes(path)
        })
    }

    /// The index of the route that answers a request without a route.
    #[cold]
    pub(in crate::app) fn fallback(&self, head: &RequestHead) -> Option<usize> {
        self.scopes_around(head).find_map(|scope| scope.fallback)
    }

    /// The error page for a request, given the index of its route.
    pub(in crate::app) fn error_page(
        &self,
        route: Option<usize>,
        head: &RequestHead,
        status: StatusCode,
    ) -> Option<Rc<ErrorPage>> {
        let page = match route.and_then(|index| self.route(index)) {
            Some(route) if route.pattern.is_some() => route.pages.find(status),
            // Also for a fallback, which may belong to a group further out than the page.
            _ => self.scopes_around(head).find_map(|scope| scope.pages.find(status)),
        };
        page.map(Rc::clone)
    }

    /// The route at an index that [`Router::find`] or [`Router::fallback`] returned.
    pub(in crate::app) fn route(&self, index: usize) -> Option<&CompiledRoute> {
        self.routes.get(index)
    }

    /// The facts about the routes that contexts ask for.
    pub(in crate::app) fn table(&self) -> RouteTable {
        let facts = self.routes.iter().map(|route| RouteFacts {
            pattern: route.pattern.as_ref().map(Rc::clone),
            // A fallback for every method allows whatever its function allows.
            allow: route.any_method.is_none().then(|| route.allow.clone()),
        });
        RouteTable::new(facts, self.names.clone())
    }

    /// Every method that any route serves.
    pub(in crate::app) fn allow(&self) -> &HeaderValue {
        &self.allow
    }
}

impl CompiledRoute {
    /// The endpoint that serves a method. GET's endpoint also serves HEAD if it can and no other does (RFC 9110
    /// §9.3.2).
    #[inline]
    pub(in crate::app) fn endpoint(&self, method: &Method) -> Option<&Served> {
        match self.serving(method) {
            None if *method == Method::HEAD => self.get_for_head().or(self.any_method.as_ref()),
            None => self.any_method.as_ref(),
            found => found,
        }
    }

    fn serving(&self, wanted: &Method) -> Option<&Served> {
        let mut methods = self.methods.iter();
        methods.find(|(method, _)| method == wanted).map(|(_, served)| served)
    }

    fn get_for_head(&self) -> Option<&Served> {
        self.serving(&Method::GET)
            .filter(|served| served.endpoint.answers_head())
    }

    /// The names of the served methods; a name can appear twice.
    fn methods(&self) -> impl Iterator<Item = &str> {
        let head = self.get_for_head().map(|_| "HEAD");
        self.methods.iter().map(|(method, _)| method.as_str()).chain(head)
    }

    /// The pattern as it was written.
    fn text(&self) -> &str {
        self.pattern.as_ref().map_or("a fallback", |pattern| pattern.text())
    }
}

impl Tree {
    /// Adds the route at `index`; the error names the route that it collides with.
    fn insert(&mut self, index: usize, routes: &[CompiledRoute]) -> Result<(), String> {
        let pattern = |index: &usize| routes.get(*index).and_then(|route| route.pattern.as_ref());
        let Some(inserted) = pattern(&index) else { return Ok(()) };
        let shape = inserted.shape();
        if let Some(leaf) = self.leaves.iter_mut().find(|leaf| leaf.shape == shape) {
            let mut others = leaf.routes.iter().filter_map(pattern);
            if let Some(other) = others.find(|other| other.same_types(inserted)) {
                return Err(collision(other, inserted));
            }
            // More typed parameters first: `{id:u64}` must be tried before `{name}`.
            let place = leaf.routes.partition_point(|other| {
                pattern(other).is_some_and(|other| other.typed_count() >= inserted.typed_count())
            });
            leaf.routes.insert(place, index);
            return Ok(());
        }
        let leaf = self.leaves.len();
        let added = match inserted.literal() {
            Some(path) => {
                self.routes_by_path.insert(path, index);
                Ok(())
            }
            None => self.leaves_by_shape.insert(shape.clone(), leaf),
        };
        match added {
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
                    Some(other) => collision(other, inserted),
                    None => format!(
                        "`{}` collides with an earlier pattern of the shape `{with}`",
                        inserted.text()
                    ),
                })
            }
            Err(error) => Err(format!("the pattern `{}` cannot be matched: {error}", inserted.text())),
        }
    }

    fn find(&self, path: &str, routes: &[CompiledRoute], params: &mut Vec<ParamSpan>) -> Option<usize> {
        params.clear();
        let literal = self.routes_by_path.find(path);
        literal.or_else(|| self.find_by_shape(path, routes, params))
    }

    /// Finds a route with parameters.
    ///
    /// Never inlined: the search of the tree is large code, and most requests match an exact path before it.
    #[inline(never)]
    fn find_by_shape(&self, path: &str, routes: &[CompiledRoute], params: &mut Vec<ParamSpan>) -> Option<usize> {
        let matched = self.leaves_by_shape.at(path).ok()?;
        params.extend(matched.params.iter().map(|(_, value)| ParamSpan::within(path, value)));
        let leaf = self.leaves.get(*matched.value)?;
        leaf.routes.iter().copied().find(|&index| {
            let pattern = routes.get(index).and_then(|route| route.pattern.as_ref());
            pattern.is_some_and(|pattern| pattern.accepts(path, params.iter().copied()))
        })
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.routes.iter().map(|route| (route.text(), &route.allow)))
            .finish()
    }
}

fn collision(earlier: &Pattern, later: &Pattern) -> String {
    if earlier == later {
        format!("`{}` is added twice, in different groups", later.text())
    } else {
        format!("`{}` and `{}` match the same paths", earlier.text(), later.text())
    }
}

/// Reports methods that have two endpoints in one route.
fn check_methods(route: &CompiledRoute, problems: &mut Vec<String>) {
    for (index, (method, _)) in route.methods.iter().enumerate() {
        if route.methods.iter().take(index).any(|(earlier, _)| earlier == method) {
            problems.push(format!("`{}` has two handlers for {method}", route.text()));
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
