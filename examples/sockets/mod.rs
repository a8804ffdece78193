//! The WebSockets of the wire tests and the load generator: `/ws/echo`, `/ws/sub` and `/ws/pub`, open to any origin.
//!
//! `/events` is the event stream of the same topic as `/ws/sub`. `/ws/statistics` returns what became of every published message.

use serde::Serialize;
use squall::prelude::*;
use squall::websocket::DeflateConfig;
use squall::websocket::Message;

/// The topic that `/ws/pub` publishes to; `/ws/sub` and `/events` subscribe to it.
const TOPIC: &str = "t";

/// The subprotocol that `/ws/echo` selects if a client offers it; it changes nothing else.
const SUBPROTOCOL: &str = "echo";

/// Sends every message back.
struct Echo;

/// Receives every published message and sends none itself.
struct Subscriber;

/// Publishes every message.
struct Feed;

impl WebSocketHandler for Echo {
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    fn select_subprotocol<'o>(&self, offered: &[&'o str]) -> Option<&'o str> {
        offered.iter().copied().find(|name| *name == SUBPROTOCOL)
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        ws.send(message).await?;
        Ok(())
    }
}

impl WebSocketHandler for Subscriber {
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.subscribe(TOPIC)?;
        Ok(())
    }

    async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
        Ok(())
    }
}

impl WebSocketHandler for Feed {
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        ws.publish(TOPIC, message).await
    }
}

/// Sends every published text message as an event.
async fn events(cx: &mut Context) -> Result {
    let mut events = cx.event_stream()?;
    events.subscribe(TOPIC)?;
    events.run().await
}

/// The statistics of all shards, added up.
#[derive(Serialize)]
struct Statistics {
    subscribers: usize,
    published: u64,
    matched: u64,
    queued: u64,
    taken: u64,
    waiting_bytes: usize,
    conflated: u64,
    missed: u64,
}

async fn statistics(cx: &mut Context) -> Result<Json<Statistics>> {
    let topics = cx.topics().statistics().await?;
    Ok(Json(Statistics {
        subscribers: topics.subscribers,
        published: topics.published,
        matched: topics.deliveries.matched,
        queued: topics.deliveries.queued,
        taken: topics.taken,
        waiting_bytes: topics.waiting_bytes,
        conflated: topics.deliveries.conflated,
        missed: topics.deliveries.missed(),
    }))
}

/// Adds these routes to an application.
pub(crate) fn add_to(application: Application) -> Application {
    let echo = WebSocketOptions::default().deflate(DeflateConfig::default());
    application
        .websocket_with("/ws/echo", echo, async |_: &mut Context| Ok(Echo))
        .websocket("/ws/sub", async |_: &mut Context| Ok(Subscriber))
        .websocket("/ws/pub", async |_: &mut Context| Ok(Feed))
        .get("/events", events)
        .get("/ws/statistics", statistics)
}
