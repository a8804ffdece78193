//! What a handler works with: one request and the response being made to it.
//!
//! The accessors stand where their half is: the request's in `request.rs` and `body.rs`, the response's in `write.rs`. A context is
//! used again for request after request, so everything that lasts one request is forgotten in [`Context::reset`], and memory is
//! kept up to the bounds named there.

use core::any::{Any, TypeId, type_name};
use core::fmt;
use std::rc::Rc;

use super::body::RequestBody;
use super::channel::{Channel, Closed};
use super::client_address::Peer;
use super::dispatch::App;
use super::router::ParamSpan;
use super::write::ResponseState;
use crate::error::{Error, Result};
use crate::message::RequestHead;

/// How much memory an idle context keeps for a request's head. Browsers send 0.5 to 2 KiB.
const RETAINED_HEAD_BYTES_MAX: usize = 16 * 1024;

/// One request and its response, as a handler sees them: Tornado's `self.request` and the writing half of `RequestHandler`.
///
/// Reading: [`method`](Self::method), [`path`](Self::path), [`param`](Self::param), [`query_param`](Self::query_param),
/// [`header`](Self::header), [`cookie`](Self::cookie), [`body`](Self::body), [`json`](Self::json), [`form`](Self::form), [`remote_ip`](Self::remote_ip).
/// Writing: [`set_status`](Self::set_status), [`set_header`](Self::set_header), [`write`](Self::write),
/// [`write_json`](Self::write_json), [`flush`](Self::flush), [`stream`](Self::stream), [`redirect`](Self::redirect),
/// [`finish`](Self::finish).
pub struct Context {
    pub(super) app: Rc<App>,
    pub(super) channel: Rc<Channel>,
    pub(super) head: RequestHead,
    pub(super) peer: Peer,
    /// The route that matched, by its index.
    pub(super) route: Option<usize>,
    /// Where that route's parameters lie in the path.
    pub(super) params: Vec<ParamSpan>,
    pub(super) body: RequestBody,
    pub(super) response: ResponseState,
    /// Whether the endpoint that was called has an `on_finish`.
    pub(super) wants_on_finish: bool,
    extensions: Vec<(TypeId, Box<dyn Any>)>,
}

impl Context {
    pub(super) fn new(app: &Rc<App>) -> Self {
        Self {
            app: Rc::clone(app),
            channel: Rc::new(Channel::default()),
            head: RequestHead::new(),
            peer: Peer::default(),
            route: None,
            params: Vec::new(),
            body: RequestBody::new(app.limits().body_bytes_max),
            response: ResponseState::default(),
            wants_on_finish: false,
            extensions: Vec::new(),
        }
    }

    /// Forgets the request and the response, keeping memory up to the named bounds.
    pub(super) fn reset(&mut self) {
        self.head.shrink(RETAINED_HEAD_BYTES_MAX);
        self.route = None;
        self.params.clear();
        self.body.reset(self.app.limits().body_bytes_max);
        self.response.reset(&self.app);
        self.wants_on_finish = false;
        if !self.extensions.is_empty() {
            self.drop_extensions();
        }
        self.channel.reset();
    }

    /// Drops the attached values, each under a guard of its own.
    fn drop_extensions(&mut self) {
        for (_, value) in self.extensions.drain(..) {
            self.app.discard(value);
        }
    }

    /// The application's state of type `T`, as given to [`Application::state`](super::Application::state) on this shard.
    ///
    /// # Errors
    ///
    /// 500 if the application has no state of this type.
    pub fn state<T: 'static>(&self) -> Result<Rc<T>> {
        self.app
            .state()
            .ok_or_else(|| Error::new(format!("the application has no state of type `{}`", type_name::<T>())))
    }

    /// Attaches a value to this request, such as the user a middleware has found; it replaces one of the same type.
    pub fn insert_extension<T: 'static>(&mut self, value: T) {
        let value: Box<dyn Any> = Box::new(value);
        match self.extensions.iter_mut().find(|(kind, _)| *kind == TypeId::of::<T>()) {
            Some(place) => place.1 = value,
            None => self.extensions.push((TypeId::of::<T>(), value)),
        }
    }

    /// The value of type `T` attached to this request.
    #[must_use]
    pub fn extension<T: 'static>(&self) -> Option<&T> {
        let mut values = self.extensions.iter();
        let (_, value) = values.find(|(kind, _)| *kind == TypeId::of::<T>())?;
        value.downcast_ref()
    }

    /// Builds the path of a named route, percent-encoding the values (Tornado's `reverse_url`).
    ///
    /// # Errors
    ///
    /// 500 if no route has the name, if the number of values is not the number of parameters, or if a value does not fit its
    /// parameter.
    pub fn reverse_url(&self, name: &str, values: &[&dyn fmt::Display]) -> Result<String> {
        self.app.reverse_url(name, values)
    }

    /// Waits until the peer has gone (Tornado's `on_connection_close`). A peer that closed only its sending side counts as gone.
    /// The future borrows nothing, so it can stand beside the handler's own work in a `select`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn closed(&self) -> Closed {
        self.channel.closed()
    }
}

impl Drop for Context {
    /// Its connection may be dropped at any time, and with it what the application has put here.
    fn drop(&mut self) {
        self.drop_extensions();
        self.response.reset(&self.app);
    }
}

impl fmt::Debug for Context {
    /// Shows method, path and status; fields and content may hold secrets and are left out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Context")
            .field("method", self.head.method())
            .field("path", &self.head.path())
            .field("status", &self.response.head.status)
            .finish_non_exhaustive()
    }
}
