//! An application: routes, middleware, state and settings. The server calls a closure that builds one on each shard.

use core::any::{TypeId, type_name};
use core::fmt;
use std::rc::Rc;

use super::dispatch::App;
use super::handler::middleware::{Chain, Middleware};
use super::limits::{Limits, application_setters};
use super::request::client_address::TrustedProxies;
use super::response::error_pages::ErrorPageSet;
use super::routing::host::HostPattern;
use super::routing::router::{HostGroup, Router};
use super::routing::routes::{Routes, routing_methods};
use super::shared::{Shared, StateEntry};
use crate::error::Result;
use crate::settings::Settings as _;

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
    state: Vec<StateEntry>,
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
    /// falls through to the next (Tornado's `add_handlers`). A host's fallback answers what no route matches at all.
    pub fn host(mut self, host: &str, routes: Routes) -> Self {
        self.hosts.push((host.to_owned(), routes));
        self
    }

    /// Adds middleware around everything, inside the middleware added before.
    ///
    /// It also runs for 404 and 405.
    pub fn middleware<M: Middleware>(mut self, middleware: M) -> Self {
        self.problems.extend(middleware.flaw());
        self.chain.push(Rc::new(middleware));
        self
    }

    /// Adds middleware around all that the application has.
    #[cfg(feature = "serve")]
    pub(crate) fn outermost<M: Middleware>(mut self, middleware: M) -> Self {
        self.chain.insert(0, Rc::new(middleware));
        self
    }

    /// Adds a value that handlers get by its type, with [`Context::state`](super::Context::state).
    ///
    /// It belongs to this shard alone, so it may be a `Cell` or a `RefCell`.
    pub fn state<T: 'static>(mut self, value: T) -> Self {
        let kind = TypeId::of::<T>();
        if self.state.iter().any(|entry| entry.kind == kind) {
            self.problems
                .push(format!("state of the type `{}` is added twice", type_name::<T>()));
        }
        self.state.push(StateEntry {
            kind,
            name: type_name::<T>(),
            value: Rc::new(value),
        });
        self
    }

    /// Adds a mistake that [`build`](Self::build) reports.
    pub(crate) fn with_problem(mut self, problem: Option<String>) -> Self {
        self.problems.extend(problem);
        self
    }

    /// Trusts these proxies' fields for the client's address and scheme (Tornado's `xheaders`).
    ///
    /// The default is to trust no proxy.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = proxies;
        self
    }

    application_setters!();

    fn limits(&mut self) -> &mut Limits {
        &mut self.limits
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
    /// A [`BuildError`] that lists every mistake. Such are invalid patterns, two patterns that match the same paths,
    /// and two handlers for one method. Such are names and state added twice, [flaws](Middleware::flaw) of middleware,
    /// and invalid limits.
    pub fn build(self) -> Result<Rc<App>> {
        let mut problems = self.problems;
        problems.extend(self.limits.flaws());
        let error_pages = self.routes.own_error_pages().clone();
        let mut groups = Vec::new();
        let mut static_routes = Vec::new();
        for (host, routes) in self.hosts {
            let mut group = routes.compile(&self.chain, &error_pages, &mut problems);
            static_routes.append(&mut group.static_routes);
            match HostPattern::parse(&host) {
                Ok(host) => groups.push(HostGroup {
                    host: Some(host),
                    ..group
                }),
                Err(problem) => problems.push(problem),
            }
        }
        // Last, because routes for a host are tried before those for every host.
        let mut general = self
            .routes
            .compile(&self.chain, &ErrorPageSet::default(), &mut problems);
        // First, because the URLs of static files are those of routes for every host.
        static_routes.splice(..0, core::mem::take(&mut general.static_routes));
        groups.push(general);
        let router = Router::build(groups, self.automatic_options, &mut problems);
        if !problems.is_empty() {
            return Err(BuildError { problems }.into());
        }
        let shared = Shared::new(
            self.state,
            router.table(),
            static_routes,
            self.trusted_proxies,
            self.limits,
        );
        Ok(Rc::new(App {
            shared: Rc::new(shared),
            router,
            chain: self.chain,
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
