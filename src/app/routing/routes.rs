//! Routes as an application lists them: patterns, handlers, groups.
//!
//! [`Application`](crate::app::Application) and [`Routes`] have the same methods.
//! [`Application::build`](crate::app::Application::build) checks everything and reports all mistakes at once.

use core::fmt;
use std::rc::Rc;

use super::pattern::Pattern;
use super::route::Route;
use super::router::{CompiledRoute, GroupScope, HostGroup, Served};
use super::scope::Prefix;
use crate::app::context::Context;
use crate::app::files::static_routes::{StaticRoute, directory_pattern};
use crate::app::handler::middleware::{Chain, Middleware};
use crate::app::request::body_state::ContentRules;
use crate::app::response::error_pages::ErrorPageSet;
use crate::app::response::responder::Responder;
use crate::error::{Error, Result};
use crate::message::{HeaderValue, StatusCode};

/// A group of routes, for a path prefix or a host.
///
/// ```
/// use squall::prelude::*;
/// use squall::routing::get;
///
/// async fn show_user(cx: &mut Context) -> Result<String> {
///     let id: u64 = cx.param("id")?;
///     Ok(format!("user {id}"))
/// }
///
/// let users = Routes::new().route("/{id:u64}", get(show_user).name("user"));
/// let app = Application::new().nest("/users", users).build()?;
/// assert_eq!(app.shared().reverse_url("user", &[&7])?, "/users/7");
/// # Ok::<(), squall::Error>(())
/// ```
#[derive(Default)]
#[must_use = "routes do nothing until they are part of an application"]
pub struct Routes {
    entries: Vec<RouteEntry>,
    chain: Chain,
    fallbacks: Vec<Route>,
    error_pages: ErrorPageSet,
    nested: Vec<(String, Self)>,
    problems: Vec<String>,
}

/// One pattern and the routes given for it.
struct RouteEntry {
    pattern: String,
    routes: Vec<Route>,
}

/// What a group takes over from the groups around it.
struct Surroundings {
    /// The complete prefix; empty for an application and a host.
    prefix: String,
    chain: Chain,
    pages: ErrorPageSet,
}

/// Defines the methods that [`Routes`] and [`Application`](crate::app::Application) share; `$routes` is the group they
/// add to.
macro_rules! routing_methods {
    ($self:ident => $routes:expr) => {
        /// Adds a route: requests whose path matches `pattern` go to `route`.
        ///
        /// The route is a [`RequestHandler`](crate::app::RequestHandler), or a
        /// [`Route`](crate::app::routing::Route) made by [`get`](crate::app::routing::get),
        /// [`handler`](crate::app::routing::handler) and their like. Several routes can share one pattern if they
        /// serve different methods. A name and middleware stay with the route that they were given to.
        ///
        /// A pattern is text with parameters, at most one in a segment:
        ///
        /// | parameter | matches |
        /// |---|---|
        /// | `{id}` | one or more characters up to the next `/` |
        /// | `{id:u64}` | a value that parses as `u64` once decoded; also `u32`, `i32`, `i64`, `uuid` |
        /// | `{id:slug}` | letters, digits, `-`, `_` |
        /// | `{*rest}` | the rest of the path |
        ///
        /// Fixed text takes precedence over a parameter, a typed parameter over an untyped one. A path that matches
        /// no pattern is answered with 404. `{{` and `}}` stand for braces.
        pub fn route(mut $self, pattern: &str, route: impl $crate::app::routing::IntoRoute) -> Self {
            $routes.add(pattern, route.into_route());
            $self
        }

        /// Adds an async function for GET, which also serves HEAD: short for `.route(pattern, get(function))`.
        pub fn get<F, S>($self, pattern: &str, function: F) -> Self
        where
            F: $crate::app::HandlerFunction<S>,
            S: $crate::app::Signature<F>,
        {
            $self.on($crate::message::Method::GET, pattern, function)
        }

        /// Adds an async function for POST.
        pub fn post<F, S>($self, pattern: &str, function: F) -> Self
        where
            F: $crate::app::HandlerFunction<S>,
            S: $crate::app::Signature<F>,
        {
            $self.on($crate::message::Method::POST, pattern, function)
        }

        /// Adds an async function for PUT.
        pub fn put<F, S>($self, pattern: &str, function: F) -> Self
        where
            F: $crate::app::HandlerFunction<S>,
            S: $crate::app::Signature<F>,
        {
            $self.on($crate::message::Method::PUT, pattern, function)
        }

        /// Adds an async function for PATCH.
        pub fn patch<F, S>($self, pattern: &str, function: F) -> Self
        where
            F: $crate::app::HandlerFunction<S>,
            S: $crate::app::Signature<F>,
        {
            $self.on($crate::message::Method::PATCH, pattern, function)
        }

        /// Adds an async function for DELETE.
        pub fn delete<F, S>($self, pattern: &str, function: F) -> Self
        where
            F: $crate::app::HandlerFunction<S>,
            S: $crate::app::Signature<F>,
        {
            $self.on($crate::message::Method::DELETE, pattern, function)
        }

        /// Adds an async function for any method.
        pub fn on<F, S>(mut $self, method: $crate::message::Method, pattern: &str, function: F) -> Self
        where
            F: $crate::app::HandlerFunction<S>,
            S: $crate::app::Signature<F>,
        {
            $routes.add(pattern, $crate::app::routing::on(method, function));
            $self
        }

        /// Redirects GET and HEAD to `target`, permanently: short for `.route(pattern, redirect(target))`.
        ///
        /// [`redirect`](crate::app::routing::redirect) describes the target.
        pub fn redirect(mut $self, pattern: &str, target: &str) -> Self {
            $routes.add(pattern, $crate::app::routing::redirect(target));
            $self
        }

        /// Adds a WebSocket route: `factory` makes a handler for each connection.
        ///
        /// The factory sees the request and rejects it by returning an error. A GET that opens no WebSocket is
        /// answered with 400, or with 426 if it asks for another protocol version.
        pub fn websocket<F, H>($self, pattern: &str, factory: F) -> Self
        where
            F: AsyncFn(&mut $crate::app::Context) -> $crate::error::Result<H> + 'static,
            H: $crate::app::WebSocketHandler,
        {
            $self.websocket_with(pattern, $crate::app::WebSocketOptions::default(), factory)
        }

        /// Adds a WebSocket route with its own options, such as limits and compression.
        pub fn websocket_with<F, H>(
            mut $self,
            pattern: &str,
            options: $crate::app::WebSocketOptions,
            factory: F,
        ) -> Self
        where
            F: AsyncFn(&mut $crate::app::Context) -> $crate::error::Result<H> + 'static,
            H: $crate::app::WebSocketHandler,
        {
            $routes.add(pattern, $crate::app::routing::websocket_with(options, factory));
            $self
        }

        /// Adds a feed: clients subscribe to topics over a WebSocket, and the application says which.
        ///
        /// [`Feed`](crate::app::Feed) describes it.
        pub fn feed(mut $self, pattern: &str, feed: $crate::app::Feed) -> Self {
            $routes.add(pattern, feed.into_route());
            $self
        }

        /// Adds a group under `prefix`: `/api` and `/users` make `/api/users`.
        ///
        /// An empty pattern stands for the prefix itself. The group's middleware runs for its own routes only.
        pub fn nest(mut $self, prefix: &str, group: $crate::app::Routes) -> Self {
            $routes.add_group(prefix, group);
            $self
        }

        /// Sets what answers requests that match no route, instead of 404 (Tornado's `default_handler_class`).
        ///
        /// An async function serves every method; a handler or a route serves its methods. In an application, the
        /// fallback is for all paths. In a group, it is for the prefix or host of the group, and runs within the
        /// group's middleware. The fallback of the innermost group counts; hosts come before prefixes. Requests
        /// without any fallback get 404 within the application's middleware alone.
        pub fn fallback<Kind>(mut $self, fallback: impl $crate::app::routing::IntoFallback<Kind>) -> Self {
            $routes.add_fallback(fallback.into_fallback());
            $self
        }

        /// Sets the function that writes error pages (Tornado's `write_error`).
        ///
        /// In a group, it writes the page of every error of a request to the group's routes, also of the middleware
        /// further out. It also answers requests under its prefix or host that match no route. The page of the
        /// innermost group counts.
        ///
        /// Status and fields of the error are set before the call, and the function may change them. If it fails, the
        /// default page is sent.
        ///
        /// The application's page also answers requests that no handler gets. They are malformed or late (400, 408,
        /// 414, 417, 431, 501, 505), or find no memory (503). Such a context has the method GET, an empty path and no
        /// fields, unless the head was read whole. A stream is replaced by the default page there.
        pub fn error_page<F, R>(mut $self, page: F) -> Self
        where
            F: Fn(&mut $crate::app::Context, &$crate::error::Error) -> R + 'static,
            R: $crate::app::Responder,
        {
            $routes.set_error_page(None, page);
            $self
        }

        /// Sets the function that writes the error pages of one status.
        ///
        /// It comes before the [`error_page`](Self::error_page) of the same group, and before every page of the groups
        /// further out.
        pub fn error_page_for<F, R>(mut $self, status: impl $crate::error::IntoStatus, page: F) -> Self
        where
            F: Fn(&mut $crate::app::Context, &$crate::error::Error) -> R + 'static,
            R: $crate::app::Responder,
        {
            $routes.set_error_page(Some(status.into_status()), page);
            $self
        }
    };
}
pub(in crate::app) use routing_methods;

impl Routes {
    /// Makes an empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds middleware around every route of this group, inside the middleware added before.
    pub fn middleware<M: Middleware>(mut self, middleware: M) -> Self {
        self.problems.extend(middleware.flaw());
        self.chain.push(Rc::new(middleware));
        self
    }

    routing_methods!(self => self);

    pub(in crate::app) fn add(&mut self, pattern: &str, mut route: Route) {
        self.problems.append(&mut route.problems);
        match self.entries.iter_mut().find(|entry| entry.pattern == pattern) {
            Some(entry) => entry.routes.push(route),
            None => self.entries.push(RouteEntry {
                pattern: pattern.to_owned(),
                routes: vec![route],
            }),
        }
    }

    pub(in crate::app) fn add_group(&mut self, prefix: &str, group: Self) {
        if !prefix.starts_with('/') || prefix.ends_with('/') {
            let problem = format!("the prefix `{prefix}` must start with `/` and not end with it");
            self.problems.push(problem);
        } else {
            self.nested.push((prefix.to_owned(), group));
        }
    }

    pub(in crate::app) fn add_fallback(&mut self, mut fallback: Route) {
        self.problems.append(&mut fallback.problems);
        self.fallbacks.push(fallback);
    }

    pub(in crate::app) fn set_error_page<F, R>(&mut self, status: Option<StatusCode>, page: F)
    where
        F: Fn(&mut Context, &Error) -> R + 'static,
        R: Responder,
    {
        let page = Rc::new(move |cx: &mut Context, error: &Error| page(cx, error).respond(cx));
        self.error_pages.set(status, page);
    }

    /// The group's own error pages.
    pub(in crate::app) fn own_error_pages(&self) -> &ErrorPageSet {
        &self.error_pages
    }

    /// Lists the routes and the settings of this group and its subgroups, complete with what surrounds them.
    pub(in crate::app) fn compile(self, chain: &Chain, pages: &ErrorPageSet, problems: &mut Vec<String>) -> HostGroup {
        let mut compiled = HostGroup::default();
        let outer = Surroundings {
            prefix: String::new(),
            chain: chain.clone(),
            pages: pages.clone(),
        };
        self.compile_into(&mut compiled, outer, problems);
        compiled
    }

    fn compile_into(self, compiled: &mut HostGroup, outer: Surroundings, problems: &mut Vec<String>) {
        problems.extend(self.problems);
        let around = Surroundings {
            chain: joined(&outer.chain, &self.chain),
            pages: self.error_pages.inside(&outer.pages),
            prefix: outer.prefix,
        };
        let directories = directories(&self.entries);
        for entry in self.entries.into_iter().chain(directories) {
            compiled.static_routes.extend(entry.static_routes(&around.prefix));
            compiled.routes.extend(entry.compile(&around, problems));
        }
        if self.fallbacks.len() > 1 {
            problems.push(format!("{} has two fallbacks; keep one", around.name()));
        }
        let fallback = self.fallbacks.into_iter().next();
        let tree = fallback.as_ref().and_then(|route| route.static_tree.as_ref());
        compiled
            .static_routes
            .extend(tree.map(|tree| StaticRoute::new("", tree)));
        let fallback = fallback.map(|route| compile_fallback(route, &around, problems));
        if fallback.is_some() || !self.error_pages.is_empty() {
            match around.prefix() {
                Ok(prefix) => compiled.scopes.push(GroupScope {
                    prefix,
                    fallback,
                    pages: self.error_pages,
                }),
                Err(problem) => problems.push(problem),
            }
        }
        for (prefix, group) in self.nested {
            let inner = Surroundings {
                prefix: format!("{}{prefix}", around.prefix),
                chain: around.chain.clone(),
                pages: around.pages.clone(),
            };
            // One error for the prefix, instead of one for each of its routes.
            match Pattern::parse(&inner.prefix) {
                Ok(_) => group.compile_into(compiled, inner, problems),
                Err(problem) => problems.push(problem),
            }
        }
    }
}

impl Surroundings {
    /// The prefix; `None` if it is empty.
    fn prefix(&self) -> Result<Option<Prefix>, String> {
        if self.prefix.is_empty() {
            return Ok(None);
        }
        Pattern::parse(&self.prefix).and_then(Prefix::new).map(Some)
    }

    fn name(&self) -> String {
        if self.prefix.is_empty() {
            "the application or a host".to_owned()
        } else {
            format!("the group `{}`", self.prefix)
        }
    }

    /// A route without endpoints, within the middleware of the group.
    fn empty_route(&self) -> CompiledRoute {
        CompiledRoute {
            pattern: None,
            name: None,
            methods: Vec::new(),
            any_method: None,
            chain: self.chain.clone(),
            pages: self.pages.clone(),
            allow: HeaderValue::from_static(""),
        }
    }
}

/// Makes the routes of the directories that static files are beneath: `/static/` for `/static/{*path}`.
///
/// A rest parameter is not empty, so its pattern does not match the directory itself. A route that the application has
/// at that pattern comes first.
fn directories(entries: &[RouteEntry]) -> Vec<RouteEntry> {
    let mut directories = Vec::new();
    for entry in entries {
        let Some(pattern) = directory_pattern(&entry.pattern) else {
            continue;
        };
        let serving = entry.routes.iter().filter(|route| route.static_tree.is_some());
        for route in serving.filter(|_| !entries.iter().any(|other| other.pattern == pattern)) {
            directories.push(RouteEntry {
                pattern: pattern.to_owned(),
                routes: vec![Route {
                    endpoints: route.endpoints.clone(),
                    chain: route.chain.clone(),
                    ..Route::default()
                }],
            });
        }
    }
    directories
}

impl RouteEntry {
    /// Lists the trees of static files at this pattern.
    fn static_routes(&self, prefix: &str) -> Vec<StaticRoute> {
        let pattern = format!("{prefix}{}", self.pattern);
        let trees = self.routes.iter().filter_map(|route| route.static_tree.as_ref());
        trees.map(|tree| StaticRoute::new(&pattern, tree)).collect()
    }

    fn compile(self, around: &Surroundings, problems: &mut Vec<String>) -> Option<CompiledRoute> {
        if !around.prefix.is_empty() && !self.pattern.is_empty() && !self.pattern.starts_with('/') {
            let (pattern, group) = (&self.pattern, around.name());
            problems.push(format!("the pattern `{pattern}` in {group} does not start with `/`"));
            return None;
        }
        let pattern = match Pattern::parse(&format!("{}{}", around.prefix, self.pattern)) {
            Ok(pattern) => pattern,
            Err(problem) => {
                problems.push(problem);
                return None;
            }
        };
        let mut compiled = around.empty_route();
        // 405 and OPTIONS answer for all routes of the path, so they run within the middleware that all of them have.
        if let [route] = self.routes.as_slice() {
            compiled.chain = joined(&around.chain, &route.chain);
        }
        if self.routes.iter().filter(|route| route.any_method.is_some()).count() > 1 {
            problems.push(format!("`{}` has two handlers for every method", pattern.text()));
        }
        let mut names = Vec::new();
        for mut route in self.routes {
            names.append(&mut route.names);
            for name in route
                .parameters
                .drain(..)
                .filter(|name| pattern.position(name).is_none())
            {
                let text = pattern.text();
                problems.push(format!(
                    "the redirect of `{text}` has the parameter `{name}`, which the pattern lacks"
                ));
            }
            add_endpoints(&mut compiled, route, &around.chain);
        }
        if let [first, second, ..] = names.as_slice() {
            let text = pattern.text();
            problems.push(format!("`{text}` has the names `{first}` and `{second}`; keep one"));
        }
        compiled.name = names.into_iter().next();
        compiled.pattern = Some(Rc::new(pattern));
        Some(compiled)
    }
}

fn compile_fallback(route: Route, around: &Surroundings, problems: &mut Vec<String>) -> CompiledRoute {
    if let Some(name) = route.names.first() {
        problems.push(format!(
            "the fallback of {} has the name `{name}`; only a route with a pattern can have one",
            around.name()
        ));
    }
    if let Some(name) = route.parameters.first() {
        problems.push(format!(
            "the fallback of {} redirects with the parameter `{name}`; only a route with a pattern has parameters",
            around.name()
        ));
    }
    let mut compiled = around.empty_route();
    compiled.chain = joined(&around.chain, &route.chain);
    add_endpoints(&mut compiled, route, &around.chain);
    compiled
}

/// Adds what a route serves, each with the whole middleware around it.
fn add_endpoints(compiled: &mut CompiledRoute, route: Route, around: &Chain) {
    let content = (route.content != ContentRules::default()).then(|| Rc::new(route.content));
    let served = |endpoint| Served {
        endpoint,
        chain: joined(around, &route.chain),
        content: content.clone(),
        skips_xsrf: route.skips_xsrf,
    };
    let endpoints = route.endpoints.into_iter();
    compiled
        .methods
        .extend(endpoints.map(|(method, endpoint)| (method, served(endpoint))));
    if let Some(endpoint) = route.any_method {
        compiled.any_method = Some(served(endpoint));
    }
}

fn joined(outer: &Chain, inner: &Chain) -> Chain {
    outer.iter().chain(inner).map(Rc::clone).collect()
}

impl fmt::Debug for Routes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.entries.iter().map(|entry| &entry.pattern);
        formatter.debug_list().entries(patterns).finish()
    }
}
