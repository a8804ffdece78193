//! An application: routes, middleware, state and settings. The server calls a closure that builds one on each shard.

use core::any::{TypeId, type_name};
use core::fmt;
use std::rc::Rc;

use super::context::Context;
use super::dispatch::App;
use super::handler::endpoint::Endpoint;
use super::handler::middleware::{Chain, Middleware};
use super::handler::request_handler::Function;
use super::limits::Limits;
use super::request::client_address::TrustedProxies;
use super::response::error_response::{ErrorPage, ErrorResponder};
use super::response::responder::IntoResponse;
use super::routing::host::HostPattern;
use super::routing::router::Router;
use super::routing::routes::{Routes, routing_methods};
use super::shared::Shared;
use crate::error::{Error, Result};

/// The routes, middleware, state and settings that a shard serves (Tornado's class of this name).
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

/// Every mistake in an application, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    problems: Vec<String>,
}

impl Application {
    /// Makes an application without routes, which answers every request with 404.
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

    /// Adds routes for one host (`api.example.com`) or for every host below a domain (`*.example.com`).
    ///
    /// Host routes are tried before the others, in the order the hosts were added. A path that a host's routes lack
    /// falls through to the next (Tornado's `add_handlers`).
    pub fn host(mut self, host: &str, add: impl FnOnce(Routes) -> Routes) -> Self {
        self.hosts.push((host.to_owned(), add(Routes::new())));
        self
    }

    /// Adds middleware around everything, inside the middleware added before.
    ///
    /// It also runs for 404 and 405.
    pub fn middleware<M: Middleware>(mut self, middleware: M) -> Self {
        self.chain.push(Rc::new(middleware));
        self
    }

    /// Sets the function for paths that match no route, instead of 404 (Tornado's `default_handler_class`).
    pub fn fallback<F, R>(mut self, function: F) -> Self
    where
        F: AsyncFn(&mut Context) -> R + 'static,
        R: IntoResponse + 'static,
    {
        self.fallback = Some(Rc::new(Function::new(function)));
        self
    }

    /// Sets the function that writes error pages (Tornado's `write_error`).
    ///
    /// Status and fields of the error are set before the call, and the function may change them. If it fails, the
    /// default page is sent.
    pub fn error_page<F, R>(mut self, page: F) -> Self
    where
        F: Fn(&mut Context, &Error) -> R + 'static,
        R: IntoResponse,
    {
        self.error_page = Some(Box::new(move |cx, error| page(cx, error).into_response(cx)));
        self
    }

    /// Adds a value that handlers get by its type, with [`Context::state`].
    ///
    /// It belongs to this shard alone, so it may be a `Cell` or a `RefCell`.
    pub fn state<T: 'static>(mut self, value: T) -> Self {
        let kind = TypeId::of::<T>();
        if self.state.iter().any(|(other, _)| *other == kind) {
            self.problems
                .push(format!("state of the type `{}` is added twice", type_name::<T>()));
        }
        self.state.push((kind, Rc::new(value)));
        self
    }

    /// Trusts these proxies' fields for the client's address and scheme (Tornado's `xheaders`).
    ///
    /// The default is to trust no proxy.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = proxies;
        self
    }

    /// Sets all bounds on reading requests; [`build`](Self::build) rejects unsafe ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`Limits::body_bytes_max`] alone: how many bytes of content a request may carry.
    ///
    /// [`Context::set_body_limit`] changes it for one request.
    pub fn body_bytes_max(mut self, bytes_max: u64) -> Self {
        self.limits.body_bytes_max = bytes_max;
        self
    }

    /// Sets whether a route without a handler for OPTIONS answers it with `Allow` (the default) or with 405.
    pub fn automatic_options(mut self, automatic: bool) -> Self {
        self.automatic_options = automatic;
        self
    }

    /// Checks and compiles the application.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that lists every mistake: invalid patterns, two patterns that match the same paths, two
    /// handlers for one method, names and state added twice, unsafe limits.
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
        // Last, because routes for a host are tried before those for every host.
        groups.push((None, self.routes.flatten("", &self.chain, &mut problems)));
        let router = Router::build(groups, self.automatic_options, &mut problems);
        if !problems.is_empty() {
            return Err(BuildError { problems }.into());
        }
        let shared = Shared::new(self.state, router.table(), self.trusted_proxies, self.limits);
        let shared = Rc::new(shared);
        Ok(Rc::new(App {
            errors: ErrorResponder {
                shared: Rc::clone(&shared),
                page: self.error_page,
            },
            shared,
            router,
            chain: self.chain,
            fallback: self.fallback,
            automatic_options: self.automatic_options,
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
    /// Returns the mistakes, one sentence each.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(String::as_str)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("could not build the application:")?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl core::error::Error for BuildError {}
