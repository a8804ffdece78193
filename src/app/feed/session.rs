//! One socket of a feed: each request in turn, and its reply.

use std::rc::Rc;
use std::time::Instant;

use super::access::FeedAccess;
use super::client::{FeedClient, Inherited};
use super::reply::Reply;
use super::request::{FeedRequest, Verb};
use super::rules::{FeedSettings, SUBPROTOCOL};
use crate::app::context::Context;
use crate::app::security::rate_limit::gcra::Bucket;
use crate::app::topics::parse_topic;
use crate::app::websocket::{WebSocket, WebSocketHandler};
use crate::error::{Error, HttpError, Result, bad_request};
use crate::message::CloseCode;
use crate::pubsub::{Envelope, Start, SubscribeError};
use crate::websocket::Message;

/// The handler of one socket.
pub(super) struct Session {
    settings: Rc<FeedSettings>,
    /// Until the socket opens.
    inherited: Option<Inherited>,
    /// From then on.
    client: Option<FeedClient>,
    pace: Pace,
}

/// How often the client has asked.
#[derive(Default)]
struct Pace {
    began_at: Option<Instant>,
    bucket: Bucket,
    /// Requests in a row that were refused.
    refused: u32,
}

impl Session {
    pub(super) fn new(settings: &Rc<FeedSettings>, inherited: Inherited) -> Self {
        Self {
            settings: Rc::clone(settings),
            inherited: Some(inherited),
            client: None,
            pace: Pace::default(),
        }
    }

    /// Does what a request asks for, and returns the reply.
    async fn answer(&self, client: &FeedClient, id: Option<u64>, verb: Verb<'_>) -> Result<String> {
        let ws = client.ws();
        match verb {
            Verb::Subscribe { topic, start } => {
                self.subscribe(client, &topic, start).await?;
                Ok(Reply::to(id).subscribed(&topic).text())
            }
            Verb::Unsubscribe { topic } => {
                ws.unsubscribe(&topic).map_err(|error| client_fault(error, &topic))?;
                client.forget_topic(&topic);
                Ok(Reply::to(id).unsubscribed(&topic).text())
            }
            Verb::Presence { topic } => {
                if !client.is_subscribed(&topic) {
                    self.authorize(client, &topic).await?;
                }
                let presence = ws.topics().presence(&topic).await;
                let presence = presence.map_err(|error| client_fault(error, &topic))?;
                Ok(Reply::to(id).with_presence(&topic, &presence).text())
            }
            Verb::Publish { topic, data } => {
                let publish = self.settings.publish.as_ref();
                let publish = publish.ok_or_else(|| forbidden("this feed takes no messages of clients"))?;
                publish.publish(client, &topic, data).await?;
                Ok(Reply::to(id).published(&topic).text())
            }
            Verb::Refresh { token } => {
                let refresh = self.settings.refresh.as_ref();
                let refresh = refresh.ok_or_else(|| bad_request("sockets of this feed do not expire"))?;
                let lifetime = refresh.refresh(client, &token).await?;
                client.expires_in(lifetime);
                Ok(Reply::to(id).refreshed(lifetime).text())
            }
        }
    }

    async fn subscribe(&self, client: &FeedClient, topic: &str, start: Option<Start>) -> Result {
        let ws = client.ws();
        // Before the application is asked, so that it sees valid names only.
        let options = ws.topic_options(topic).map_err(|error| client_fault(error, topic))?;
        let access = self.authorize(client, topic).await?;
        if options.envelope == Envelope::None {
            return Err(Error::new(format!(
                "could not subscribe a client of a feed to {topic}: its messages do not name their topic; give it \
                 TopicOptions::envelope"
            )));
        }
        let subscribed = match start {
            None => ws.subscribe(topic),
            Some(_) if options.history.is_none() => return Err(bad_request("the topic keeps no history")),
            Some(start) => {
                // A client that resumes begins anew.
                ws.unsubscribe(topic)?;
                ws.subscribe_from(topic, start)
            }
        };
        subscribed.map_err(|error| client_fault(error, topic))?;
        if let Some(name) = access.name {
            ws.set_presence(topic, &name)?;
        }
        if client.note_topic(topic)
            && let Some(subscribed) = &self.settings.subscribed
        {
            subscribed.run(client, topic).await?;
        }
        Ok(())
    }

    /// Counts a request, and returns whether it is admitted.
    fn admit(&mut self, client: &FeedClient) -> Result<bool> {
        let now = client.now()?;
        let since = now.saturating_duration_since(*self.pace.began_at.get_or_insert(now));
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let taken = self.pace.bucket.take(self.settings.rate, 1, nanos);
        self.pace.refused = match taken {
            Ok(_) => 0,
            Err(_) => self.pace.refused.saturating_add(1),
        };
        Ok(taken.is_ok())
    }

    async fn authorize(&self, client: &FeedClient, topic: &str) -> Result<FeedAccess> {
        let access = match &self.settings.authorize {
            Some(authorize) => authorize.authorize(client, topic).await?,
            None => FeedAccess::default(),
        };
        if access.is_allowed {
            Ok(access)
        } else {
            Err(forbidden("this topic is not for you"))
        }
    }
}

impl WebSocketHandler for Session {
    fn check_origin(&self, cx: &Context) -> bool {
        let accepts_other = || {
            let (accepts, origin) = (self.settings.check_origin.as_ref(), cx.header("origin"));
            accepts.zip(origin).is_some_and(|(accepts, origin)| accepts(origin))
        };
        cx.is_of_own_origin() || accepts_other()
    }

    fn select_subprotocol<'o>(&self, offered: &[&'o str]) -> Option<&'o str> {
        offered.iter().copied().find(|name| *name == SUBPROTOCOL)
    }

    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.hint_reconnect(self.settings.reconnect_spread);
        let Some(inherited) = self.inherited.take() else {
            return Ok(());
        };
        let client = FeedClient::new(ws, inherited, self.settings.expiring_before);
        self.client = Some(client.clone());
        match &self.settings.opened {
            Some(opened) => opened.run(&client).await,
            None => Ok(()),
        }
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let Some(client) = self.client.clone() else {
            return Ok(());
        };
        let text = message.as_str().unwrap_or_default();
        let admitted = self.admit(&client)?;
        let (id, answered) = match FeedRequest::parse(text) {
            Ok(FeedRequest { id, .. }) if !admitted => (id, Err(too_many_requests())),
            Ok(FeedRequest { id, verb }) => (id, self.answer(&client, id, verb).await),
            Err(malformed) => (malformed.id, Err(bad_request(malformed.why))),
        };
        if self.pace.refused > self.settings.rate.burst() {
            return Ok(ws.close(CloseCode::POLICY_VIOLATION.number(), "too many requests")?);
        }
        let reply = match answered {
            Ok(reply) => reply,
            Err(error) => {
                if error.status().is_server_error() {
                    tracing::error!("a request of a feed failed: {error:?}");
                }
                Reply::to(id).with_error(&error).text()
            }
        };
        Ok(ws.send(reply).await?)
    }

    async fn on_close(&mut self, _: &WebSocket, _: Option<u16>, _: &str) {
        if let (Some(client), Some(closed)) = (&self.client, &self.settings.closed)
            && let Err(error) = closed.run(client).await
        {
            tracing::error!("the end of a feed's client failed: {error:?}");
        }
    }
}

fn too_many_requests() -> Error {
    HttpError::new(429).with_message("too many requests").into()
}

fn forbidden(message: &'static str) -> Error {
    HttpError::new(403).with_message(message).into()
}

/// Says whether the client or the server is at fault: invalid names and limits are the client's.
fn client_fault(error: Error, topic: &str) -> Error {
    if error.downcast_ref::<SubscribeError>().is_some() {
        return error.with_status(429).with_message("the socket has too many topics");
    }
    if parse_topic(topic).is_err() {
        return error.with_status(400).with_message("this is not the name of a topic");
    }
    error
}
