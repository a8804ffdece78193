//! One visitor of a room: hears what is said from the place it asks for, and says things under its name.

use serde::Serialize;
use squall::prelude::*;
use squall::shards::clock;

/// How many messages of a room are kept, for those who come in and those who come back.
pub(crate) const MESSAGES_KEPT: usize = 50;

/// The longest message; the page's field ends there too.
pub(crate) const TEXT_CHARACTERS_MAX: usize = 1000;

/// The longest name, as in the page.
const NAME_CHARACTERS_MAX: usize = 32;

/// Somebody in a room.
pub(crate) struct Member {
    room: &'static str,
    name: String,
    start: Start,
}

/// What the page is sent for each message.
#[derive(Serialize)]
struct Said<'m> {
    from: &'m str,
    text: &'m str,
    /// Milliseconds since 1970.
    at: u128,
}

/// What the page is sent when somebody comes or goes.
#[derive(Serialize)]
struct Moved<'m> {
    name: &'m str,
    event: &'static str,
}

/// The topic of a room's messages.
pub(crate) fn said(room: &str) -> String {
    format!("rooms/{room}")
}

/// The topic of a room's comings and goings. Nobody needs these later, so they have no history.
pub(crate) fn people(room: &str) -> String {
    format!("people/{room}")
}

impl Member {
    /// Takes the name, and the place to go on from, out of a request.
    pub(crate) fn new(room: &'static str, cx: &Context) -> Result<Self> {
        let name: String = cx.query_param("name")?;
        let name = name.trim();
        let is_fit = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count()) && !name.contains(char::is_control);
        let name = is_fit.then(|| name.to_owned());
        let after: Option<Position> = cx.optional_query_param("after")?;
        Ok(Self {
            room,
            name: name.or_error(400, "a name has 1 to 32 characters, all of them printable")?,
            start: after.map_or(Start::Last(MESSAGES_KEPT), Start::After),
        })
    }

    async fn announce(&self, ws: &WebSocket, event: &'static str) -> Result {
        let moved = Moved {
            name: &self.name,
            event,
        };
        ws.publish(&people(self.room), serde_json::to_string(&moved)?).await
    }
}

impl WebSocketHandler for Member {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        // Comings and goings in all rooms, for the page shows how many are in each.
        ws.subscribe_pattern(&people("*"))?;
        ws.subscribe_from(&said(self.room), self.start)?;
        ws.set_presence(&said(self.room), &self.name)?;
        self.announce(ws, "came in").await
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let text = message.as_str().unwrap_or_default().trim();
        if text.is_empty() || text.chars().count() > TEXT_CHARACTERS_MAX {
            return Ok(());
        }
        let said_now = Said {
            from: &self.name,
            text,
            at: clock::wall().duration_since(std::time::UNIX_EPOCH)?.as_millis(),
        };
        ws.publish(&said(self.room), serde_json::to_string(&said_now)?).await
    }

    async fn on_close(&mut self, ws: &WebSocket, _: Option<u16>, _: &str) {
        let gone = ws.unsubscribe(&said(self.room));
        if let Err(error) = gone.and(self.announce(ws, "left").await) {
            tracing::debug!(%error, "nobody hears that a visitor left");
        }
    }
}
