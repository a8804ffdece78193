//! An application: routes, middleware, state and settings, as the closure given to the server lists them once per shard.

use core::any::{TypeId, type_name};
use core::cell::{Cell, OnceCell};
use core::fmt;
use std::rc::Rc;

use super::active_route::ActiveRouteSlot;
use super::client_address::TrustedProxies;
use super::context::Context;
use super::dispatch::{App, ErrorPage};
use super::handler::{Endpoint, Function};
use super::host::HostPattern;
use super::limits::Limits;
use super::middleware::{Chain, Middleware};
use super::respond::IntoResponse;
use super::router::Router;
use super::routes::{Routes, routing_methods};
use super::websocket::Sockets;
use crate::error::{Error, Result};

/// What a shard serves: routes to handlers, and what stands around them (Tornado's class of this name).
///
/// ```
/// use squall::prelude::*;
///
/// async fn home(_: &mut Context) -> &'static str {
///     "Hello, Squall!"
/// }
///
/// let application = Application::new().get("/", home);
/// ```
#[must_use = "an application does nothing until a server runs it"]
pub struct Application {
    routes: Routes,
    hosts: Vec<(String, Routes)>,
    chain: Chain,
    fallback: Option<Rc<dyn Endpoint>>,
    error_page: Option<ErrorPage>,
    state: Vec<(TypeId, Rc<dyn core::any::Any>)>,
    trusted_proxies: TrustedProxies,
    limits: Limits,
    automatic_options: bool,
    problems: Vec<String>,
}

/// Everything that is wrong with an application, a sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    problems: Vec<String>,
}

impl Application {
    /// Makes an application without routes: it answers 404.
    pub fn new() -> Self {
        Self {
            routes: Routes::new(),
            hosts: Vec::new(),
            chain: Chain::new(),
            fallback: None,
            error_page: None,
            state: Vec::new(),
            trusted_proxies: TrustedProxies::default(),
            limits: Limits::default(),
            automatic_options: true,
            problems: Vec::new(),
        }
    }

    routing_methods!(self => self.routes);

    /// Adds routes for one host (`api.example.com`) or every host below a domain (`*.example.com`). They are tried before the
    /// others, in the order the hosts were added; a path they do not have falls through to the next (Tornado's `add_handlers`).
    pub fn host(mut self, host: &str, add: impl FnOnce(Routes) -> Routes) -> Self {
        self.hosts.push((host.to_owned(), add(Routes::new())));
        self
    }

    /// Adds middleware around everything, inside what was added before. It runs for 404 and 405 too.
    pub fn middleware<M: Middleware>(mut self, middleware: M) -> Self {
        self.chain.push(Rc::new(middleware));
        self
    }

    /// Sets what answers a path no route has, instead of 404 (Tornado's `default_handler_class`).
    pub fn fallback<F, R>(mut self, function: F) -> Self
    where
        F: AsyncFn(&mut Context) -> R + 'static,
        R: IntoResponse + 'static,
    {
        self.fallback = Some(Rc::new(Function::new(function)));
        self
    }

    /// Sets what writes the page of an error (Tornado's `write_error`). The status and the error's fields are set before it is
    /// called; it may change them. Should it fail, the default page is sent.
    pub fn error_page<F, R>(mut self, page: F) -> Self
    where
        F: Fn(&mut Context, &Error) -> R + 'static,
        R: IntoResponse,
    {
        self.error_page = Some(Box::new(move |cx, error| page(cx, error).into_response(cx)));
        self
    }

    /// Adds state that handlers get by its type, with [`Context::state`]. It belongs to this shard alone: `Cell` and `RefCell` do.
    pub fn state<T: 'static>(mut self, value: T) -> Self {
        let kind = TypeId::of::<T>();
        if self.state.iter().any(|(other, _)| *other == kind) {
            self.problems
                .push(format!("state of the type `{}` is added twice", type_name::<T>()));
        }
        self.state.push((kind, Rc::new(value)));
        self
    }

    /// Believes these proxies about the client's address and scheme (Tornado's `xheaders`). Without it nobody is believed.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = proxies;
        self
    }

    /// Sets what bounds the reading of requests, all of it at once. Limits that are not safe are an error of [`build`](Self::build).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`Limits::body_bytes_max`] alone: how many bytes of content a request may carry. [`Context::set_body_limit`] changes it for
    /// one request.
    pub fn body_bytes_max(mut self, bytes_max: u64) -> Self {
        self.limits.body_bytes_max = bytes_max;
        self
    }

    /// Sets whether a route that has no handler for OPTIONS answers it with `Allow` (it does unless told otherwise), or with 405.
    pub fn automatic_options(mut self, automatic: bool) -> Self {
        self.automatic_options = automatic;
        self
    }

    /// Checks and compiles the application.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that names everything wrong with it: patterns that cannot be read, two that match the same paths, two
    /// handlers for one method, names and state given twice, limits that are not safe.
    pub fn build(self) -> Result<Rc<App>> {
        let mut problems = self.problems;
        problems.extend(self.limits.check().err());
        let mut groups = Vec::new();
        for (host, routes) in self.hosts {
            let routes = routes.flatten("", &self.chain, &mut problems);
            match HostPattern::parse(&host) {
                Ok(host) => groups.push((Some(host), routes)),
                Err(problem) => problems.push(problem),
            }
        }
        groups.push((None, self.routes.flatten("", &self.chain, &mut problems)));
        let router = Router::build(groups, self.automatic_options, &mut problems);
        if !problems.is_empty() {
            return Err(BuildError { problems }.into());
        }
        Ok(Rc::new(App {
            router,
            chain: self.chain,
            fallback: self.fallback,
            error_page: self.error_page,
            state: self.state,
            trusted_proxies: self.trusted_proxies,
            limits: Cell::new(self.limits),
            automatic_options: self.automatic_options,
            panic_count: Cell::new(0),
            active_route: ActiveRouteSlot::default(),
            sockets: Sockets::default(),
            server: OnceCell::new(),
        }))
    }
}

impl Default for Application {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Application")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl BuildError {
    /// What is wrong, a sentence each.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(String::as_str)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the application cannot be built")?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl core::error::Error for BuildError {}
