//! A feed as an application gives it: who may read which topic, and what becomes of the rest.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::rc::Rc;

use super::access::FeedAccess;
use super::client::{FeedClient, Inherited};
use super::rules::{Authorizing, FeedSettings, SUBPROTOCOL};
use super::session::Session;
use crate::app::context::Context;
use crate::app::routing::{Route, websocket_with};
use crate::app::security::rate_limit::gcra::Rate;
use crate::app::websocket::WebSocketOptions;
use crate::error::{Error, HttpError, Result};

/// How many requests a client may send in a second: 100, more than a person does.
const REQUESTS_A_SECOND: u32 = 100;

/// How many requests a client may send at once: 200, for a page that subscribes to the most topics and a few more.
const REQUEST_BURST: u32 = 200;

/// How long before the end of a token its client is asked for another: 30 s.
const EXPIRING_BEFORE: Duration = Duration::from_secs(30);

/// Over which time the clients of a stopping server come back: 10 s.
const RECONNECT_SPREAD: Duration = Duration::from_secs(10);

/// A ready WebSocket handler: clients subscribe to topics, and the application says which.
///
/// It speaks the subprotocol `squall.v1`, which `docs/feed-protocol.md` in the repository describes. The topics need
/// [`Envelope::Json`](crate::pubsub::Envelope) or [`Envelope::Text`](crate::pubsub::Envelope).
///
/// ```
/// use squall::prelude::*;
/// use squall::{Feed, FeedClient};
///
/// async fn may_read(_: &FeedClient, topic: &str) -> Result<bool> {
///     Ok(topic.starts_with("news/"))
/// }
///
/// let application = Application::new().feed("/feed", Feed::new().authorize(may_read));
/// # application.build()?;
/// # Ok::<(), squall::Error>(())
/// ```
///
/// Behind [`authenticated`](crate::middleware::authenticated), the functions know the user: [`FeedClient::user`]. What other
/// middleware has stored is [`FeedClient::extension`].
#[must_use = "a feed does nothing until it is given to `feed` with a pattern"]
pub struct Feed {
    settings: FeedSettings,
    options: WebSocketOptions,
}

impl Feed {
    /// Makes a feed, which needs [`authorize`](Self::authorize).
    pub fn new() -> Self {
        Self {
            settings: FeedSettings {
                authorize: None,
                publish: None,
                refresh: None,
                subscribed: None,
                opened: None,
                closed: None,
                check_origin: None,
                rate: Rate::new(REQUESTS_A_SECOND, Duration::from_secs(1), REQUEST_BURST),
                expiring_before: EXPIRING_BEFORE,
                reconnect_spread: RECONNECT_SPREAD,
            },
            options: WebSocketOptions::default(),
        }
    }

    /// Sets the function that decides whether a client may read a topic; it is asked at each subscription.
    ///
    /// It returns a `bool` or a [`FeedAccess`]. The topic is a name and never a pattern. An error becomes the reply.
    pub fn authorize<F, A>(mut self, authorize: F) -> Self
    where
        F: AsyncFn(&FeedClient, &str) -> Result<A> + 'static,
        A: Into<FeedAccess> + 'static,
    {
        self.settings.authorize = Some(Rc::new(Authorizing(authorize, PhantomData)));
        self
    }

    /// Sets the function that publishes a client's message, which is any JSON; without it, clients publish nothing.
    ///
    /// The function checks the message and whether the client may send it, and publishes what it makes of it, with
    /// [`FeedClient::publish`]. An error becomes the reply.
    pub fn publish<F>(mut self, publish: F) -> Self
    where
        F: AsyncFn(&FeedClient, &str, &str) -> Result + 'static,
    {
        self.settings.publish = Some(Rc::new(publish));
        self
    }

    /// Sets the function that checks a new token, and returns how long the socket may stay open from now on.
    ///
    /// It serves sockets whose lifetime [`FeedClient::expires_in`] has limited.
    pub fn refresh<F>(mut self, refresh: F) -> Self
    where
        F: AsyncFn(&FeedClient, &str) -> Result<Duration> + 'static,
    {
        self.settings.refresh = Some(Rc::new(refresh));
        self
    }

    /// Sets a function that runs when a client has begun to read a topic, for example to announce it.
    ///
    /// A client that begins anew from another place in the history is already there.
    pub fn subscribed<F>(mut self, subscribed: F) -> Self
    where
        F: AsyncFn(&FeedClient, &str) -> Result + 'static,
    {
        self.settings.subscribed = Some(Rc::new(subscribed));
        self
    }

    /// Sets a function that runs when a socket has opened, before its first request; an error closes the socket.
    pub fn opened<F>(mut self, opened: F) -> Self
    where
        F: AsyncFn(&FeedClient) -> Result + 'static,
    {
        self.settings.opened = Some(Rc::new(opened));
        self
    }

    /// Sets a function that runs when a socket has closed; [`FeedClient::topics`] are those of its last moment.
    pub fn closed<F>(mut self, closed: F) -> Self
    where
        F: AsyncFn(&FeedClient) -> Result + 'static,
    {
        self.settings.closed = Some(Rc::new(closed));
        self
    }

    /// Sets which origins may open the feed, in place of the request's own host alone.
    ///
    /// Requests without an origin come from programs other than browsers, and are accepted.
    pub fn origins_if(mut self, accepts: impl Fn(&str) -> bool + 'static) -> Self {
        self.settings.check_origin = Some(Rc::new(accepts));
        self
    }

    /// Sets how many requests each client may send in a second, and how many at once: 100 and 200 by default.
    ///
    /// Further requests get the error 429. A client that sends as many again as it may at once closes with 1008.
    pub fn max_request_rate(mut self, requests_a_second: u32, burst: u32) -> Self {
        self.settings.rate = Rate::new(requests_a_second, Duration::from_secs(1), burst);
        self
    }

    /// Sets how long before the end of a token its client is asked for another: 30 s by default.
    pub fn expiring_before(mut self, time: Duration) -> Self {
        self.settings.expiring_before = time;
        self
    }

    /// Sets over which time the clients of a stopping server come back: 10 s by default, and 0 gives no hint.
    pub fn reconnect_spread(mut self, time: Duration) -> Self {
        self.settings.reconnect_spread = time;
        self
    }

    /// Sets the options of the sockets: limits of what clients send, and compression.
    pub fn options(mut self, options: WebSocketOptions) -> Self {
        self.options = options;
        self
    }

    /// Makes the route of the feed, to which middleware can be added.
    pub fn into_route(self) -> Route {
        let has_no_rule = self.settings.authorize.is_none();
        let settings = Rc::new(self.settings);
        let open = async move |cx: &mut Context| {
            check_offer(cx)?;
            let inherited = Inherited {
                shared: Rc::clone(&cx.shared),
                remote_ip: cx.remote_ip(),
                user: cx.known_user(),
                extensions: cx.take_extensions(),
            };
            Ok::<_, Error>(Session::new(&settings, inherited))
        };
        let problem = "a feed authorizes no topic; add Feed::authorize";
        websocket_with(self.options, open).with_problem(has_no_rule.then_some(problem))
    }
}

/// Rejects a client that offers other versions only.
fn check_offer(cx: &Context) -> Result {
    let mut lines = cx.headers().get_all("sec-websocket-protocol").peekable();
    let offers_any = lines.peek().is_some();
    let offers_ours = lines.any(|line| {
        line.split(|&byte| byte == b',')
            .any(|name| name.trim_ascii() == SUBPROTOCOL.as_bytes())
    });
    if offers_any && !offers_ours {
        return Err(HttpError::new(400)
            .with_message("this feed speaks the subprotocol squall.v1")
            .into());
    }
    Ok(())
}

impl Default for Feed {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Feed")
            .field("options", &self.options)
            .field("expiring_before", &self.settings.expiring_before)
            .field("reconnect_spread", &self.settings.reconnect_spread)
            .finish_non_exhaustive()
    }
}
