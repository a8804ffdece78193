//! One visitor of the chat: a name, under which a client of the feed is present and writes.

use serde::Serialize;
use squall::prelude::*;
use squall::shards::clock;
use squall::{FeedAccess, FeedClient};

use super::ROOMS;

/// How many messages a room keeps for new and returning visitors.
pub(crate) const HISTORY_MESSAGES: usize = 50;

/// The longest message in characters; the page's field has the same limit.
pub(crate) const TEXT_CHARACTERS_MAX: usize = 1000;

/// The longest name in characters; the page's field has the same limit.
const NAME_CHARACTERS_MAX: usize = 32;

/// A visitor, for as long as its socket is open.
struct Visitor {
    name: String,
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

/// The two topics of a room.
enum RoomTopic {
    Messages,
    Visitors,
}

/// Returns the topic of a room's messages.
pub(crate) fn messages_topic(room: &str) -> String {
    format!("rooms/{room}")
}

/// Returns the topic of a room's arrivals and departures, which has no history.
pub(crate) fn visitors_topic(room: &str) -> String {
    format!("people/{room}")
}

/// Reads a topic of a room that exists.
fn room_topic(topic: &str) -> Option<(RoomTopic, &str)> {
    let (kind, room) = topic.split_once('/').filter(|(_, room)| ROOMS.contains(room))?;
    match kind {
        "rooms" => Some((RoomTopic::Messages, room)),
        "people" => Some((RoomTopic::Visitors, room)),
        _ => None,
    }
}

/// Middleware that reads the visitor's name from the request that opens the feed.
pub(crate) async fn name_visitor(cx: &mut Context, next: Next<'_>) -> Result {
    let name: String = cx.query_param("name")?;
    let name = name.trim();
    let is_valid = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count()) && !name.contains(char::is_control);
    let name = is_valid.then(|| name.to_owned());
    cx.insert_extension(Visitor {
        name: name.or_error(400, "a name must have 1 to 32 printable characters")?,
    });
    next.run(cx).await;
    Ok(())
}

fn name(client: &FeedClient) -> Result<&str> {
    Ok(&client.extension::<Visitor>().or_status(500)?.name)
}

/// Every visitor may read every room, and is present in those whose messages it reads.
pub(crate) async fn may_read(client: &FeedClient, topic: &str) -> Result<FeedAccess> {
    Ok(match room_topic(topic) {
        Some((RoomTopic::Messages, _)) => FeedAccess::present_as(name(client)?),
        Some((RoomTopic::Visitors, _)) => true.into(),
        None => false.into(),
    })
}

/// Publishes what a visitor says.
pub(crate) async fn say(client: &FeedClient, topic: &str, data: &str) -> Result {
    let Some((RoomTopic::Messages, _)) = room_topic(topic) else {
        return Err(HttpError::new(403).into());
    };
    let text: String = serde_json::from_str(data).or_error(400, "a message is a text")?;
    let text = text.trim();
    if text.is_empty() || text.chars().count() > TEXT_CHARACTERS_MAX {
        return Err(HttpError::new(400)
            .with_message("a message has 1 to 1000 characters")
            .into());
    }
    let chat_message = ChatMessage {
        from: name(client)?,
        text,
        at: clock::wall().duration_since(std::time::UNIX_EPOCH)?.as_millis(),
    };
    client.publish(topic, serde_json::to_string(&chat_message)?).await
}

/// Announces a visitor in the room whose messages it has begun to read.
pub(crate) async fn join(client: &FeedClient, topic: &str) -> Result {
    match room_topic(topic) {
        Some((RoomTopic::Messages, room)) => announce(client, room, "joined").await,
        _ => Ok(()),
    }
}

/// Announces that a visitor has left its rooms.
pub(crate) async fn leave(client: &FeedClient) -> Result {
    for topic in client.topics() {
        if let Some((RoomTopic::Messages, room)) = room_topic(&topic) {
            // Before its announcement, because pages then ask who is still there.
            client.ws().unsubscribe(&topic)?;
            announce(client, room, "left").await?;
        }
    }
    Ok(())
}

async fn announce(client: &FeedClient, room: &str, event: &'static str) -> Result {
    let visitor_event = VisitorEvent {
        name: name(client)?,
        event,
    };
    let text = serde_json::to_string(&visitor_event)?;
    client.publish(&visitors_topic(room), text).await
}
