//! What the contexts, WebSockets and handlers of one shard's application share: settings, state, routes by name, and
//! topics.
//!
//! It knows no endpoint: contexts hold it, and endpoints are called with contexts.

use core::any::{Any, TypeId, type_name};
use core::cell::{Cell, OnceCell};
use core::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::active_route::{ActiveRoute, ActiveRouteSlot};
use super::files::source::FileSource;
use super::files::static_routes::{StaticRoute, open_all};
use super::limits::Limits;
use super::request::client_address::TrustedProxies;
use super::response::compression::CompressorPool;
use super::routing::pattern::Pattern;
use super::routing::route_table::RouteTable;
use super::runtime::{LocalState, Runtime};
use super::security::rate_limit::limiter::{Grant, PermitRequest, RateLimiter};
use super::security::rate_limit::owner::OwnerShards;
use super::topics::ShardTopics;
use super::websocket::{SocketOwner, Sockets};
use crate::error::{Error, Result};
use crate::message::HeaderValue;

/// A value of the application's state, with its type.
pub(super) struct StateEntry {
    pub(super) kind: TypeId,
    pub(super) name: &'static str,
    pub(super) value: Rc<dyn Any>,
}

/// The part of an [`App`](super::App) that its requests and WebSockets use.
pub struct Shared {
    pub(super) state: Vec<StateEntry>,
    pub(super) routes: RouteTable,
    static_routes: Vec<StaticRoute>,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) sockets: Sockets,
    pub(super) compressors: Rc<CompressorPool>,
    pub(super) rate_limiter: RateLimiter,
    limits: Cell<Limits>,
    is_debug: Cell<bool>,
    autoreloads_templates: Cell<bool>,
    panic_count: Cell<u64>,
    active_route: ActiveRouteSlot,
    /// The shard's topics, once a server runs the application.
    topics: OnceCell<Rc<ShardTopics>>,
    /// The file system, once a server runs the application.
    files: OnceCell<Rc<dyn FileSource>>,
    /// The owners of what rate limits count, once a server runs the application.
    owner_shards: OnceCell<Rc<dyn OwnerShards>>,
}

impl Shared {
    pub(super) fn new(
        state: Vec<StateEntry>,
        routes: RouteTable,
        static_routes: Vec<StaticRoute>,
        trusted_proxies: TrustedProxies,
        limits: Limits,
    ) -> Self {
        Self {
            state,
            routes,
            static_routes,
            trusted_proxies,
            sockets: Sockets::default(),
            compressors: Rc::default(),
            rate_limiter: RateLimiter::default(),
            limits: Cell::new(limits),
            is_debug: Cell::new(false),
            autoreloads_templates: Cell::new(false),
            panic_count: Cell::new(0),
            active_route: ActiveRouteSlot::default(),
            topics: OnceCell::new(),
            files: OnceCell::new(),
            owner_shards: OnceCell::new(),
        }
    }

    /// Returns how many panics of the application have been caught.
    #[must_use]
    pub fn panic_count(&self) -> u64 {
        self.panic_count.get()
    }

    /// Returns the bounds on reading requests.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// Sets the bounds on reading requests, which override the application's; exchanges use them from their next
    /// reset on.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
    }

    /// Sets whether error pages show their causes, the request and the route; for development only.
    pub fn set_debug(&self, is_debug: bool) {
        self.is_debug.set(is_debug);
    }

    pub(super) fn is_debug(&self) -> bool {
        self.is_debug.get()
    }

    /// Sets whether pages that name their files read them anew; without the feature `reload` it has no effect.
    pub fn set_autoreload_templates(&self, autoreloads: bool) {
        self.autoreloads_templates.set(autoreloads);
    }

    #[cfg(feature = "reload")]
    pub(super) fn autoreloads_templates(&self) -> bool {
        self.autoreloads_templates.get()
    }

    /// Builds the path of a named route and percent-encodes the values (Tornado's `reverse_url`).
    ///
    /// # Errors
    ///
    /// 500 if no route has the name, if the number of values is wrong, or if a value does not fit its parameter.
    pub fn reverse_url(&self, name: &str, values: &[&dyn fmt::Display]) -> Result<String> {
        self.routes.reverse(name, values)
    }

    /// Sets the limits of WebSockets whose route sets none.
    pub fn set_websocket_limits(&self, limits: crate::websocket::Limits) {
        *self.sockets.limits.borrow_mut() = Rc::new(limits);
    }

    /// Sets the shard's topics; only the first call has an effect.
    pub fn set_topics(&self, topics: Rc<ShardTopics>) {
        self.topics.get_or_init(|| topics);
    }

    /// Sets the file system and opens the directories of static files; only the first call has an effect.
    ///
    /// # Errors
    ///
    /// A directory cannot be opened; the sentence names it.
    pub fn set_file_source(&self, source: Rc<dyn FileSource>) -> Result {
        open_all(&self.static_routes, &**self.files.get_or_init(|| source))
    }

    /// Sets the owners of what rate limits count; only the first call has an effect.
    pub fn set_owner_shards(&self, shards: Rc<dyn OwnerShards>) {
        self.owner_shards.get_or_init(|| shards);
    }

    /// The owners of what rate limits count.
    ///
    /// # Errors
    ///
    /// 500 if no server runs this application.
    pub(super) fn owner_shards(&self) -> Result<&dyn OwnerShards> {
        let shards = self.owner_shards.get().map(Rc::as_ref);
        shards.ok_or_else(|| {
            Error::new("could not use a rate limit: the application runs without a server; run it with `Server`")
        })
    }

    /// Takes permits of a rate limit whose key belongs to this shard; `None` if no server runs this application.
    #[must_use]
    pub fn grant_permits(&self, request: &PermitRequest) -> Option<Grant> {
        let now = self.runtime().ok()?.now();
        Some(self.rate_limiter.grant(request, self.limits().max_rate_limit_keys, now))
    }

    /// Whether the peer is a proxy whose word about its clients counts.
    #[cfg(feature = "serve")]
    pub(crate) fn trusts(&self, peer: &super::request::client_address::Peer) -> bool {
        self.trusted_proxies.trusts(peer)
    }

    /// The file system; `None` if no server runs this application.
    pub(super) fn file_source(&self) -> Option<&dyn FileSource> {
        self.files.get().map(Rc::as_ref)
    }

    /// The trees of static files, those for every host first.
    pub(super) fn static_routes(&self) -> &[StaticRoute] {
        &self.static_routes
    }

    /// The shard's topics.
    ///
    /// # Errors
    ///
    /// 500 if no server runs this application.
    pub(super) fn topics(&self) -> Result<&Rc<ShardTopics>> {
        let topics = self.topics.get();
        topics.ok_or_else(|| {
            Error::new("could not use topics: the application runs without a server; run it with `Server`")
        })
    }

    /// The clock and the stop of the shard.
    ///
    /// # Errors
    ///
    /// 500 if no server runs this application.
    pub(super) fn runtime(&self) -> Result<&dyn Runtime> {
        Ok(self.topics()?.runtime())
    }

    /// Returns the label of each route, and last the label of requests without a route.
    #[must_use]
    pub fn route_labels(&self) -> Arc<[String]> {
        // A fallback answers paths without a route, and the last label is for 404.
        let patterns = self.routes.patterns().chain([None]);
        let label = |pattern: Option<&str>| match pattern {
            Some(pattern) => format!("the route {pattern}"),
            None => "a path without a route".to_owned(),
        };
        patterns.map(label).collect()
    }

    /// Sets where the application stores its active route, as an index into [`route_labels`](Self::route_labels).
    ///
    /// Only the first call has an effect.
    pub fn report_active_route_to(&self, place: Arc<AtomicUsize>) {
        self.active_route.report_to(place);
    }

    /// Returns the active route, for a later [`set_active_route`](Self::set_active_route).
    #[must_use]
    pub fn active_route(&self) -> ActiveRoute {
        self.active_route.get()
    }

    /// Sets the active route, before a handler is polled again.
    pub fn set_active_route(&self, route: ActiveRoute) {
        self.active_route.set(route);
    }

    /// Sets the active route by its index; `None` for a request without a route.
    pub(super) fn enter_route(&self, route: Option<usize>) {
        self.active_route.set(self.as_active(route));
    }

    /// Returns a route as an active route; `None` for a request without a route.
    pub(super) fn as_active(&self, route: Option<usize>) -> ActiveRoute {
        ActiveRoute::new(route.unwrap_or(self.routes.len()))
    }

    /// Returns the application's state of type `T`.
    ///
    /// # Errors
    ///
    /// 500 if the application has no state of this type.
    pub fn state<T: 'static>(&self) -> Result<Rc<T>> {
        let entry = self.state.iter().find(|entry| entry.kind == TypeId::of::<T>());
        let state = entry.and_then(|entry| Rc::clone(&entry.value).downcast().ok());
        state.ok_or_else(|| {
            let missing = type_name::<T>();
            let known: Vec<_> = self.state.iter().map(|entry| format!("`{}`", entry.name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::new(format!(
                "could not find state of the type `{missing}`: the application has {known}; add it with Application::state"
            ))
        })
    }

    /// The application's state of type `T`, if it has some.
    pub(super) fn state_ref<T: 'static>(&self) -> Option<&T> {
        let entry = self.state.iter().find(|entry| entry.kind == TypeId::of::<T>())?;
        entry.value.downcast_ref()
    }

    pub(super) fn pattern(&self, route: usize) -> Option<&Pattern> {
        self.routes.route(route)?.pattern.as_deref()
    }

    pub(super) fn count_panic(&self) {
        self.panic_count.set(self.panic_count.get().wrapping_add(1));
    }

    /// The value of `Allow` of a route.
    pub(super) fn allow(&self, route: usize) -> Option<&HeaderValue> {
        self.routes.route(route)?.allow.as_ref()
    }
}

impl LocalState for Shared {
    fn find(&self, kind: TypeId) -> Option<Rc<dyn Any>> {
        let entry = self.state.iter().find(|entry| entry.kind == kind)?;
        Some(Rc::clone(&entry.value))
    }

    fn close_sockets(&self, owner: &SocketOwner) -> usize {
        self.sockets.connected.close(owner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Shared")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}
