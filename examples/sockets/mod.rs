//! The three WebSockets that wire tests and the load generator use: `/ws/echo`, `/ws/sub` and `/ws/pub`. Any origin may open them.
//! `/ws/statistics` says what became of everything that was published.

use serde::Serialize;
use squall::prelude::*;
use squall::websocket::DeflateConfig;

/// What `/ws/pub` publishes to and `/ws/sub` hears.
const TOPIC: &str = "t";

/// The subprotocol that `/ws/echo` speaks with clients that offer it; it is the same without.
const SUBPROTOCOL: &str = "echo";

/// Sends back every message.
struct Echo;

/// Hears all that is published, and says nothing.
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
        ws.send(message).await
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

/// All shards' numbers together.
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
    let topics = cx.topic_statistics().await?;
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

/// Adds all of it to an application.
pub(crate) fn add_to(application: Application) -> Application {
    let echo = WebSocketOptions::default().deflate(DeflateConfig::default());
    application
        .websocket_with("/ws/echo", echo, async |_: &mut Context| Ok(Echo))
        .websocket("/ws/sub", async |_: &mut Context| Ok(Subscriber))
        .websocket("/ws/pub", async |_: &mut Context| Ok(Feed))
        .get("/ws/statistics", statistics)
}
