//! Routes as an application lists them: patterns, handlers, groups.
//!
//! [`Application`](crate::app::Application) and [`Routes`] have the same methods.
//! [`Application::build`](crate::app::Application::build) checks everything and reports all mistakes at once.

use core::fmt;
use std::rc::Rc;

use super::pattern::Pattern;
use super::router::Route;
use crate::app::context::Context;
use crate::app::handler::endpoint::Endpoint;
use crate::app::handler::middleware::{Chain, Middleware};
use crate::app::handler::request_handler::{Function, Handler, RequestHandler};
use crate::app::response::responder::IntoResponse;
use crate::app::websocket::{WebSocketHandler, WebSocketOptions, WebSocketRoute};
use crate::error::Result;
use crate::message::{HeaderValue, Method};

/// A group of routes, for a path prefix or a host.
///
/// ```
/// use squall::prelude::*;
///
/// async fn show_user(cx: &mut Context) -> Result<String> {
///     let id: u64 = cx.param("id")?;
///     Ok(format!("user {id}"))
/// }
///
/// let users = Routes::new().get("/{id:u64}", show_user).named("user");
/// let app = Application::new().nest("/users", users).build()?;
/// assert_eq!(app.reverse_url("user", &[&7])?, "/users/7");
/// # Ok::<(), squall::Error>(())
/// ```
#[derive(Default)]
#[must_use = "routes do nothing until they are part of an application"]
pub struct Routes {
    entries: Vec<RouteEntry>,
    /// The route added last, to which `named` and `route_middleware` apply.
    last: Option<usize>,
    chain: Chain,
    nested: Vec<(String, Self)>,
    problems: Vec<String>,
}

/// One pattern and everything added to it so far.
struct RouteEntry {
    pattern: String,
    name: Option<String>,
    endpoints: Vec<(Method, Rc<dyn Endpoint>)>,
    chain: Chain,
}

/// Defines the methods that [`Routes`] and [`Application`](crate::app::Application) share; `$routes` is the group they
/// add to.
macro_rules! routing_methods {
    ($self:ident => $routes:expr) => {
        /// Adds a route: requests whose path matches `pattern` go to `handler`.
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
        pub fn route<H: $crate::app::RequestHandler>(mut $self, pattern: &str, handler: H) -> Self {
            $routes.add_handler(pattern, handler);
            $self
        }

        /// Adds an async function for GET, which also serves HEAD.
        ///
        /// Functions for several methods can share one pattern.
        pub fn get<F, R>($self, pattern: &str, function: F) -> Self
        where
            F: AsyncFn(&mut $crate::app::Context) -> R + 'static,
            R: $crate::app::IntoResponse + 'static,
        {
            $self.on($crate::message::Method::GET, pattern, function)
        }

        /// Adds an async function for POST.
        pub fn post<F, R>($self, pattern: &str, function: F) -> Self
        where
            F: AsyncFn(&mut $crate::app::Context) -> R + 'static,
            R: $crate::app::IntoResponse + 'static,
        {
            $self.on($crate::message::Method::POST, pattern, function)
        }

        /// Adds an async function for PUT.
        pub fn put<F, R>($self, pattern: &str, function: F) -> Self
        where
            F: AsyncFn(&mut $crate::app::Context) -> R + 'static,
            R: $crate::app::IntoResponse + 'static,
        {
            $self.on($crate::message::Method::PUT, pattern, function)
        }

        /// Adds an async function for PATCH.
        pub fn patch<F, R>($self, pattern: &str, function: F) -> Self
        where
            F: AsyncFn(&mut $crate::app::Context) -> R + 'static,
            R: $crate::app::IntoResponse + 'static,
        {
            $self.on($crate::message::Method::PATCH, pattern, function)
        }

        /// Adds an async function for DELETE.
        pub fn delete<F, R>($self, pattern: &str, function: F) -> Self
        where
            F: AsyncFn(&mut $crate::app::Context) -> R + 'static,
            R: $crate::app::IntoResponse + 'static,
        {
            $self.on($crate::message::Method::DELETE, pattern, function)
        }

        /// Adds an async function for any method.
        pub fn on<F, R>(mut $self, method: $crate::message::Method, pattern: &str, function: F) -> Self
        where
            F: AsyncFn(&mut $crate::app::Context) -> R + 'static,
            R: $crate::app::IntoResponse + 'static,
        {
            $routes.add_function(method, pattern, function);
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
            $routes.add_websocket(pattern, options, factory);
            $self
        }

        /// Names the route added last, for `reverse_url`.
        pub fn named(mut $self, name: &str) -> Self {
            $routes.name_last(name);
            $self
        }

        /// Adds middleware to the route added last, inside the middleware of its groups.
        pub fn route_middleware<M: $crate::app::Middleware>(mut $self, middleware: M) -> Self {
            $routes.wrap_last(middleware);
            $self
        }

        /// Adds a group under `prefix`: `/api` and `/users` make `/api/users`.
        ///
        /// An empty pattern stands for the prefix itself. The group's middleware runs for its own routes only.
        pub fn nest(mut $self, prefix: &str, group: $crate::app::Routes) -> Self {
            $routes.add_group(prefix, group);
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
        self.chain.push(Rc::new(middleware));
        self
    }

    routing_methods!(self => self);

    pub(in crate::app) fn add_handler<H: RequestHandler>(&mut self, pattern: &str, handler: H) {
        match Handler::<H>::methods() {
            Ok(methods) => {
                let handler: Rc<dyn Endpoint> = Rc::new(Handler::new(handler));
                let endpoints = methods.into_iter().map(|method| (method, Rc::clone(&handler)));
                self.add(pattern, endpoints);
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    pub(in crate::app) fn add_function<F, R>(&mut self, method: Method, pattern: &str, function: F)
    where
        F: AsyncFn(&mut Context) -> R + 'static,
        R: IntoResponse + 'static,
    {
        let endpoint: Rc<dyn Endpoint> = Rc::new(Function::new(function));
        self.add(pattern, core::iter::once((method, endpoint)));
    }

    pub(in crate::app) fn add_websocket<F, H>(&mut self, pattern: &str, options: WebSocketOptions, factory: F)
    where
        F: AsyncFn(&mut Context) -> Result<H> + 'static,
        H: WebSocketHandler,
    {
        let endpoint: Rc<dyn Endpoint> = Rc::new(WebSocketRoute::new(factory, options));
        self.add(pattern, core::iter::once((Method::GET, endpoint)));
    }

    pub(in crate::app) fn name_last(&mut self, name: &str) {
        match self.last.and_then(|index| self.entries.get_mut(index)) {
            Some(entry) if entry.name.is_none() => entry.name = Some(name.to_owned()),
            Some(entry) => {
                let problem = format!("`{}` cannot be named `{name}`: it already has a name", entry.pattern);
                self.problems.push(problem);
            }
            None => self
                .problems
                .push(format!("the name `{name}` was given before any route")),
        }
    }

    pub(in crate::app) fn wrap_last<M: Middleware>(&mut self, middleware: M) {
        match self.last.and_then(|index| self.entries.get_mut(index)) {
            Some(entry) => entry.chain.push(Rc::new(middleware)),
            None => self
                .problems
                .push("route middleware was added before any route".to_owned()),
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

    /// Lists the routes of this group and its subgroups, with complete patterns and middleware chains.
    pub(in crate::app) fn flatten(self, prefix: &str, outer: &Chain, problems: &mut Vec<String>) -> Vec<Route> {
        problems.extend(self.problems);
        let with = |inner: &Chain| outer.iter().chain(inner).map(Rc::clone).collect::<Chain>();
        let chain = with(&self.chain);
        let mut routes = Vec::new();
        for entry in self.entries {
            match Pattern::parse(&format!("{prefix}{}", entry.pattern)) {
                Ok(pattern) => routes.push(Route {
                    pattern: Rc::new(pattern),
                    name: entry.name,
                    endpoints: entry.endpoints,
                    chain: chain.iter().chain(&entry.chain).map(Rc::clone).collect(),
                    allow: HeaderValue::from_static(""),
                }),
                Err(problem) => problems.push(problem),
            }
        }
        for (inner, group) in self.nested {
            routes.extend(group.flatten(&format!("{prefix}{inner}"), &chain, problems));
        }
        routes
    }

    /// Adds endpoints to the entry of a pattern, and makes it the last one.
    fn add(&mut self, pattern: &str, endpoints: impl Iterator<Item = (Method, Rc<dyn Endpoint>)>) {
        let found = self.entries.iter().position(|entry| entry.pattern == pattern);
        let index = found.unwrap_or(self.entries.len());
        self.last = Some(index);
        match self.entries.get_mut(index) {
            Some(entry) => entry.endpoints.extend(endpoints),
            None => self.entries.push(RouteEntry {
                pattern: pattern.to_owned(),
                name: None,
                endpoints: endpoints.collect(),
                chain: Vec::new(),
            }),
        }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.entries.iter().map(|entry| &entry.pattern);
        formatter.debug_list().entries(patterns).finish()
    }
}
