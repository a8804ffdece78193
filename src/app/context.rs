//! The context of a handler: one request and the response to it.
//!
//! The request's accessors are in `request.rs` and `body.rs`, the response's in `write.rs`. A connection uses one
//! context for all of its requests. [`Context::reset`] clears everything that belongs to one request and retains
//! memory up to the named bounds.

use core::any::{Any, TypeId};
use core::cell::OnceCell;
use core::fmt;
use std::rc::Rc;
use std::time::SystemTime;

use super::body_channel::{Channel, Closed};
use super::on_demand::OnDemand;
use super::request::body_state::RequestBody;
use super::request::client_address::Peer;
use super::response::state::ResponseState;
use super::routing::param_span::ParamSpan;
use super::security::Identity;
use super::shared::Shared;
use crate::error::Result;
use crate::message::{RequestHead, TlsInfo};

/// How many bytes an idle context retains for a request's head: 16 KiB. Browsers send 0.5 to 2 KiB.
const RETAINED_HEAD_BYTES_MAX: usize = 16 * 1024;

/// One request and its response: Tornado's `self.request` and the writing half of its `RequestHandler`.
///
/// Reading: [`method`](Self::method), [`path`](Self::path), [`param`](Self::param), [`query_param`](Self::query_param),
/// [`header`](Self::header), [`cookies`](Self::cookies), [`body`](Self::body), [`json`](Self::json),
/// [`form`](Self::form), [`remote_ip`](Self::remote_ip).
///
/// Writing: [`set_status`](Self::set_status), [`set_header`](Self::set_header), [`write`](Self::write),
/// [`write_json`](Self::write_json), [`flush`](Self::flush), [`stream`](Self::stream), [`redirect`](Self::redirect),
/// [`finish`](Self::finish).
pub struct Context {
    pub(super) shared: Rc<Shared>,
    pub(super) channel: Rc<Channel>,
    pub(super) head: RequestHead,
    pub(super) peer: Peer,
    /// The TLS connection, if there is one.
    pub(super) tls: Option<Rc<TlsInfo>>,
    /// The index of the route that matched.
    pub(super) route: Option<usize>,
    /// The position of each parameter of that route in the path.
    pub(super) params: Vec<ParamSpan>,
    pub(super) body: RequestBody,
    pub(super) response: ResponseState,
    /// Whether the called endpoint has an `on_finish`.
    pub(super) wants_on_finish: bool,
    /// Whether the route is exempt from the check for forged requests.
    pub(super) skips_xsrf: bool,
    on_demand: OnceCell<Box<OnDemand>>,
}

impl Context {
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        Self {
            shared: Rc::clone(shared),
            channel: Rc::new(Channel::default()),
            head: RequestHead::new(),
            peer: Peer::default(),
            tls: None,
            route: None,
            params: Vec::new(),
            body: RequestBody::new(shared.limits().max_body_bytes),
            response: ResponseState::default(),
            wants_on_finish: false,
            skips_xsrf: false,
            on_demand: OnceCell::new(),
        }
    }

    /// Clears the request and the response and retains memory up to the named bounds.
    pub(super) fn reset(&mut self) {
        self.head.shrink(RETAINED_HEAD_BYTES_MAX);
        self.route = None;
        self.params.clear();
        self.body.reset(self.shared.limits().max_body_bytes);
        self.response.reset(&self.shared);
        self.wants_on_finish = false;
        if let Some(on_demand) = self.on_demand.take() {
            on_demand.discard(&self.shared);
        }
        self.channel.reset();
    }

    /// What handlers and middleware have asked for so far.
    pub(super) fn on_demand(&self) -> &OnDemand {
        self.on_demand.get_or_init(Box::default)
    }

    /// Changes what handlers and middleware have asked for.
    pub(super) fn change_on_demand(&mut self, change: impl FnOnce(&mut OnDemand)) {
        let mut on_demand = self.on_demand.take().unwrap_or_default();
        change(&mut on_demand);
        self.on_demand = OnceCell::from(on_demand);
    }

    /// What is known about the client.
    pub(super) fn identity(&self) -> &Identity {
        &self.on_demand().identity
    }

    /// What is known about the client, if anything has been asked for.
    pub(super) fn known_identity(&self) -> Option<&Identity> {
        Some(&self.on_demand.get()?.identity)
    }

    /// Returns the application's state of type `T`, as given to [`Application::state`](super::Application::state) on
    /// this shard.
    ///
    /// # Errors
    ///
    /// 500 if the application has no state of this type.
    pub fn state<T: 'static>(&self) -> Result<Rc<T>> {
        self.shared.state()
    }

    /// Returns the application's state of type `T`, if it has any.
    #[cfg(feature = "client")]
    pub(crate) fn find_state<T: 'static>(&self) -> Option<&T> {
        self.shared.state_ref()
    }

    /// Stores a value for the rest of this request, such as the user that a middleware has found.
    ///
    /// It replaces an earlier value of the same type.
    pub fn insert_extension<T: 'static>(&mut self, value: T) {
        let value: Box<dyn Any> = Box::new(value);
        self.change_on_demand(|on_demand| {
            let extensions = &mut on_demand.extensions;
            match extensions.iter_mut().find(|(kind, _)| *kind == TypeId::of::<T>()) {
                Some(entry) => entry.1 = value,
                None => extensions.push((TypeId::of::<T>(), value)),
            }
        });
    }

    /// Returns the value of type `T` that [`insert_extension`](Self::insert_extension) stored for this request.
    #[must_use]
    pub fn extension<T: 'static>(&self) -> Option<&T> {
        let mut values = self.on_demand.get()?.extensions.iter();
        let (_, value) = values.find(|(kind, _)| *kind == TypeId::of::<T>())?;
        value.downcast_ref()
    }

    /// Takes every value that was stored for this request, for the socket that it opens.
    pub(super) fn take_extensions(&mut self) -> Vec<(TypeId, Box<dyn Any>)> {
        let on_demand = self.on_demand.get_mut();
        on_demand.map_or_else(Vec::new, |on_demand| core::mem::take(&mut on_demand.extensions))
    }

    /// Builds the path of a named route and percent-encodes the values (Tornado's `reverse_url`).
    ///
    /// # Errors
    ///
    /// 500 if no route has the name, if the number of values is wrong, or if a value does not fit its parameter.
    pub fn reverse_url(&self, name: &str, values: &[&dyn fmt::Display]) -> Result<String> {
        self.shared.reverse_url(name, values)
    }

    /// The wall-clock time.
    ///
    /// # Errors
    ///
    /// 500 if no server runs this application.
    pub(super) fn wall(&self) -> Result<SystemTime> {
        Ok(self.shared.runtime()?.wall())
    }

    /// Random bytes that no client can predict.
    ///
    /// # Errors
    ///
    /// 500 if no server runs this application, or if the kernel gives none.
    pub(crate) fn random<const BYTES: usize>(&self) -> Result<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        self.shared.runtime()?.fill_random(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns a future that completes when the peer is gone (Tornado's `on_connection_close`).
    ///
    /// A peer that closed only its sending side counts as gone. The future borrows nothing, so a handler can `select`
    /// between it and its own work.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn closed(&self) -> Closed {
        self.channel.closed()
    }
}

impl Drop for Context {
    /// Drops the application's values under a guard: the connection can be dropped at any time.
    fn drop(&mut self) {
        if let Some(on_demand) = self.on_demand.take() {
            on_demand.discard(&self.shared);
        }
        self.response.reset(&self.shared);
    }
}

impl fmt::Debug for Context {
    /// Shows method, path and status. Fields and content are omitted, because they may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Context")
            .field("method", self.head.method())
            .field("path", &self.head.path())
            .field("status", &self.response.head.status)
            .finish_non_exhaustive()
    }
}
