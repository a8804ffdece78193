//! One visitor of a room, who receives its messages from a position on and writes under a name.

use serde::Serialize;
use squall::prelude::*;
use squall::pubsub::{Position, Start};
use squall::shards::clock;
use squall::websocket::Message;

/// How many messages a room keeps for new and returning visitors.
pub(crate) const HISTORY_MESSAGES: usize = 50;

/// The longest message in characters; the page's field has the same limit.
pub(crate) const TEXT_CHARACTERS_MAX: usize = 1000;

/// The longest name in characters; the page's field has the same limit.
const NAME_CHARACTERS_MAX: usize = 32;

/// A visitor of a room.
pub(crate) struct Member {
    room: &'static str,
    name: String,
    start: Start,
}

/// What the page receives for each message.
#[derive(Serialize)]
struct ChatMessage<'m> {
    from: &'m str,
    text: &'m str,
    /// Milliseconds since 1970.
    at: u128,
}

/// What the page receives when a visitor joins or leaves.
#[derive(Serialize)]
struct VisitorEvent<'m> {
    name: &'m str,
    event: &'static str,
}

/// Returns the topic of a room's messages.
pub(crate) fn messages_topic(room: &str) -> String {
    format!("rooms/{room}")
}

/// Returns the topic of a room's arrivals and departures, which has no history.
pub(crate) fn visitors_topic(room: &str) -> String {
    format!("people/{room}")
}

impl Member {
    /// Creates a visitor from the name and the position in a request.
    pub(crate) fn new(room: &'static str, cx: &Context) -> Result<Self> {
        let name: String = cx.query_param("name")?;
        let name = name.trim();
        let is_valid = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count()) && !name.contains(char::is_control);
        let name = is_valid.then(|| name.to_owned());
        let after: Option<Position> = cx.optional_query_param("after")?;
        Ok(Self {
            room,
            name: name.or_error(400, "a name must have 1 to 32 printable characters")?,
            start: after.map_or(Start::Last(HISTORY_MESSAGES), Start::After),
        })
    }

    async fn announce(&self, ws: &WebSocket, event: &'static str) -> Result {
        let visitor_event = VisitorEvent {
            name: &self.name,
            event,
        };
        ws.publish(&visitors_topic(self.room), serde_json::to_string(&visitor_event)?)
            .await
    }
}

impl WebSocketHandler for Member {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        // Arrivals and departures in all rooms, because the page shows the number of visitors in each.
        ws.subscribe_pattern(&visitors_topic("*"))?;
        ws.subscribe_from(&messages_topic(self.room), self.start)?;
        ws.set_presence(&messages_topic(self.room), &self.name)?;
        self.announce(ws, "joined").await
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let text = message.as_str().unwrap_or_default().trim();
        if text.is_empty() || text.chars().count() > TEXT_CHARACTERS_MAX {
            return Ok(());
        }
        let chat_message = ChatMessage {
            from: &self.name,
            text,
            at: clock::wall().duration_since(std::time::UNIX_EPOCH)?.as_millis(),
        };
        ws.publish(&messages_topic(self.room), serde_json::to_string(&chat_message)?)
            .await
    }

    async fn on_close(&mut self, ws: &WebSocket, _: Option<u16>, _: &str) {
        let unsubscribed = ws.unsubscribe(&messages_topic(self.room));
        if let Err(error) = unsubscribed.and(self.announce(ws, "left").await) {
            tracing::debug!(%error, "could not publish that a visitor left");
        }
    }
}
