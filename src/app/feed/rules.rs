//! What an application says about a feed: its functions, with their types erased, and its times.

use core::marker::PhantomData;
use core::time::Duration;
use std::rc::Rc;

use super::access::FeedAccess;
use super::client::FeedClient;
use crate::app::boxed::LocalBoxFuture;
use crate::app::security::cors::AcceptsOrigin;
use crate::app::security::rate_limit::gcra::Rate;
use crate::error::Result;

/// The name of the subprotocol and its version.
pub(super) const SUBPROTOCOL: &str = "squall.v1";

/// What a feed's sockets share.
pub(super) struct FeedSettings {
    pub(super) authorize: Option<Rc<dyn Authorize>>,
    pub(super) publish: Option<Rc<dyn OnPublish>>,
    pub(super) refresh: Option<Rc<dyn OnRefresh>>,
    pub(super) subscribed: Option<Rc<dyn OnTopic>>,
    pub(super) opened: Option<Rc<dyn OnChange>>,
    pub(super) closed: Option<Rc<dyn OnChange>>,
    pub(super) check_origin: Option<Rc<AcceptsOrigin>>,
    /// How often one client may ask.
    pub(super) rate: Rate,
    pub(super) expiring_before: Duration,
    pub(super) reconnect_spread: Duration,
}

/// What a client may do with a topic.
pub(super) trait Authorize {
    fn authorize<'a>(&'a self, client: &'a FeedClient, topic: &'a str) -> LocalBoxFuture<'a, Result<FeedAccess>>;
}

/// What happens with a client's message.
pub(super) trait OnPublish {
    fn publish<'a>(&'a self, client: &'a FeedClient, topic: &'a str, data: &'a str) -> LocalBoxFuture<'a>;
}

/// What happens with a client's token.
pub(super) trait OnRefresh {
    fn refresh<'a>(&'a self, client: &'a FeedClient, token: &'a str) -> LocalBoxFuture<'a, Result<Duration>>;
}

/// What happens when a client begins to read a topic.
pub(super) trait OnTopic {
    fn run<'a>(&'a self, client: &'a FeedClient, topic: &'a str) -> LocalBoxFuture<'a>;
}

/// What happens when a socket opens or closes.
pub(super) trait OnChange {
    fn run<'a>(&'a self, client: &'a FeedClient) -> LocalBoxFuture<'a>;
}

/// A function whose result becomes an access.
pub(super) struct Authorizing<F, A>(pub(super) F, pub(super) PhantomData<fn() -> A>);

impl<F, A> Authorize for Authorizing<F, A>
where
    F: AsyncFn(&FeedClient, &str) -> Result<A>,
    A: Into<FeedAccess>,
{
    fn authorize<'a>(&'a self, client: &'a FeedClient, topic: &'a str) -> LocalBoxFuture<'a, Result<FeedAccess>> {
        Box::pin(async move { (self.0)(client, topic).await.map(Into::into) })
    }
}

impl<F: AsyncFn(&FeedClient, &str, &str) -> Result> OnPublish for F {
    fn publish<'a>(&'a self, client: &'a FeedClient, topic: &'a str, data: &'a str) -> LocalBoxFuture<'a> {
        Box::pin(async move { self(client, topic, data).await })
    }
}

impl<F: AsyncFn(&FeedClient, &str) -> Result<Duration>> OnRefresh for F {
    fn refresh<'a>(&'a self, client: &'a FeedClient, token: &'a str) -> LocalBoxFuture<'a, Result<Duration>> {
        Box::pin(async move { self(client, token).await })
    }
}

impl<F: AsyncFn(&FeedClient, &str) -> Result> OnTopic for F {
    fn run<'a>(&'a self, client: &'a FeedClient, topic: &'a str) -> LocalBoxFuture<'a> {
        Box::pin(async move { self(client, topic).await })
    }
}

impl<F: AsyncFn(&FeedClient) -> Result> OnChange for F {
    fn run<'a>(&'a self, client: &'a FeedClient) -> LocalBoxFuture<'a> {
        Box::pin(async move { self(client).await })
    }
}
