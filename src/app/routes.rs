//! Routes as an application lists them: patterns, handlers, groups. [`Application`](super::Application) and [`Routes`] take the same
//! calls. Nothing is checked before [`Application::build`](super::Application::build), which reports every mistake at once.

use core::fmt;
use std::rc::Rc;

use super::context::Context;
use super::handler::{Endpoint, Function, Handler, RequestHandler};
use super::middleware::{Chain, Middleware};
use super::pattern::Pattern;
use super::respond::IntoResponse;
use super::router::Route;
use super::websocket::{WebSocketHandler, WebSocketOptions, WebSocketRoute};
use crate::error::Result;
use crate::message::{HeaderValue, Method};

/// A group of routes, to be nested under a prefix or bound to a host.
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
    /// The route that `named` and `route_middleware` speak of: the one added last.
    last: Option<usize>,
    chain: Chain,
    nested: Vec<(String, Self)>,
    problems: Vec<String>,
}

/// One pattern and what has been added to it so far.
struct RouteEntry {
    pattern: String,
    name: Option<String>,
    endpoints: Vec<(Method, Rc<dyn Endpoint>)>,
    chain: Chain,
}

/// Writes the calls that [`Routes`] and [`Application`](super::Application) have in common; `$routes` is the group they add to.
macro_rules! routing_methods {
    ($self:ident => $routes:expr) => {
        /// Adds a route: requests whose path matches `pattern` go to `handler`.
        ///
        /// A pattern is text with parameters: `{id}` takes one or more characters up to the next `/`, `{id:u64}` only what is a
        /// `u64` once decoded (also `u32`, `i32`, `i64`, `uuid`, and `slug` for letters, digits, `-`, `_`), `{*rest}` the rest of
        /// the path. Fixed text beats a parameter, a typed parameter an untyped one; a path that no pattern matches is 404.
        /// A segment may have text around its one parameter. `{{` and `}}` stand for braces.
        pub fn route<H: $crate::app::RequestHandler>(mut $self, pattern: &str, handler: H) -> Self {
            $routes.add_handler(pattern, handler);
            $self
        }

        /// Adds an async function for GET, and with it HEAD. Methods added to one pattern add up.
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

        /// Adds a WebSocket: requests that match and open one get a handler each, made by `factory`, which sees the request and may
        /// refuse it with any error. A GET that does not open a WebSocket is answered with what it lacks: 400, or 426 where it asks
        /// for another version of the protocol.
        pub fn websocket<F, H>($self, pattern: &str, factory: F) -> Self
        where
            F: AsyncFn(&mut $crate::app::Context) -> $crate::error::Result<H> + 'static,
            H: $crate::app::WebSocketHandler,
        {
            $self.websocket_with(pattern, $crate::app::WebSocketOptions::default(), factory)
        }

        /// Adds a WebSocket with options of its own: limits, compression.
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

        /// Adds middleware to the route added last, inside all that its groups have.
        pub fn route_middleware<M: $crate::app::Middleware>(mut $self, middleware: M) -> Self {
            $routes.wrap_last(middleware);
            $self
        }

        /// Adds a group whose patterns are put after `prefix`: `/api` and `/users` make `/api/users`, and the empty pattern is the
        /// prefix itself. Its middleware runs for its own routes only.
        pub fn nest(mut $self, prefix: &str, group: $crate::app::Routes) -> Self {
            $routes.add_group(prefix, group);
            $self
        }
    };
}
pub(super) use routing_methods;

impl Routes {
    /// Makes an empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds middleware around every route of this group, inside what was added before.
    pub fn middleware<M: Middleware>(mut self, middleware: M) -> Self {
        self.chain.push(Rc::new(middleware));
        self
    }

    routing_methods!(self => self);

    pub(super) fn add_handler<H: RequestHandler>(&mut self, pattern: &str, handler: H) {
        match Handler::<H>::methods() {
            Ok(methods) => {
                let handler: Rc<dyn Endpoint> = Rc::new(Handler::new(handler));
                let endpoints = methods.into_iter().map(|method| (method, Rc::clone(&handler)));
                self.add(pattern, endpoints);
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    pub(super) fn add_function<F, R>(&mut self, method: Method, pattern: &str, function: F)
    where
        F: AsyncFn(&mut Context) -> R + 'static,
        R: IntoResponse + 'static,
    {
        let endpoint: Rc<dyn Endpoint> = Rc::new(Function::new(function));
        self.add(pattern, core::iter::once((method, endpoint)));
    }

    pub(super) fn add_websocket<F, H>(&mut self, pattern: &str, options: WebSocketOptions, factory: F)
    where
        F: AsyncFn(&mut Context) -> Result<H> + 'static,
        H: WebSocketHandler,
    {
        let endpoint: Rc<dyn Endpoint> = Rc::new(WebSocketRoute::new(factory, options));
        self.add(pattern, core::iter::once((Method::GET, endpoint)));
    }

    pub(super) fn name_last(&mut self, name: &str) {
        match self.last.and_then(|index| self.entries.get_mut(index)) {
            Some(entry) if entry.name.is_none() => entry.name = Some(name.to_owned()),
            Some(entry) => {
                let problem = format!("`{}` is named `{name}` but has a name already", entry.pattern);
                self.problems.push(problem);
            }
            None => self
                .problems
                .push(format!("the name `{name}` was given before any route")),
        }
    }

    pub(super) fn wrap_last<M: Middleware>(&mut self, middleware: M) {
        match self.last.and_then(|index| self.entries.get_mut(index)) {
            Some(entry) => entry.chain.push(Rc::new(middleware)),
            None => self
                .problems
                .push("route middleware was added before any route".to_owned()),
        }
    }

    pub(super) fn add_group(&mut self, prefix: &str, group: Self) {
        if !prefix.starts_with('/') || prefix.ends_with('/') {
            let problem = format!("the prefix `{prefix}` must start with `/` and not end with it");
            self.problems.push(problem);
        } else {
            self.nested.push((prefix.to_owned(), group));
        }
    }

    /// Lists this group's routes and those of the groups in it, with whole patterns and whole chains.
    pub(super) fn flatten(self, prefix: &str, outer: &Chain, problems: &mut Vec<String>) -> Vec<Route> {
        problems.extend(self.problems);
        let with = |inner: &Chain| outer.iter().chain(inner).map(Rc::clone).collect::<Chain>();
        let chain = with(&self.chain);
        let mut routes = Vec::new();
        for entry in self.entries {
            match Pattern::parse(&format!("{prefix}{}", entry.pattern)) {
                Ok(pattern) => routes.push(Route {
                    pattern,
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

    /// Adds endpoints to the entry of a pattern, new or old, which is then the last one.
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
