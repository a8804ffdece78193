//! A chat with rooms, names, presence and history; a page resumes where it was after its connection broke.
//!
//! ```text
//! cargo run --release --example chat -- --listen 127.0.0.1:8888
//! ```
//!
//! Open <http://127.0.0.1:8888/> in two windows. Each shard serves its own visitors, and topics carry messages between
//! shards. To read a room without a page:
//!
//! ```text
//! curl -N http://127.0.0.1:8888/rooms/lobby/events
//! ```

mod member;

use std::time::Duration;

use serde::Serialize;
use squall::middleware::SecurityHeaders;
use squall::prelude::*;
use squall::pubsub::Envelope;
use squall::{Feed, websocket};

use member::{HISTORY_MESSAGES, TEXT_CHARACTERS_MAX, messages_topic, visitors_topic};

/// The rooms, as a fixed list: visitors who could create rooms could make the server store any number of histories.
const ROOMS: [&str; 3] = ["lobby", "weather", "workshop"];

/// How long a quiet room keeps a message.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a request of the page has around the text of a message, rounded up.
const REQUEST_BYTES: usize = 256;

/// A room in the list, with its number of visitors.
#[derive(Serialize)]
struct Room {
    name: &'static str,
    people: u64,
}

/// Returns the room of a request, or 404.
fn room(cx: &Context) -> Result<&'static str> {
    let name: String = cx.param("room")?;
    let room = ROOMS.into_iter().find(|room| *room == name);
    room.or_error(404, "no such room")
}

async fn page(cx: &mut Context) -> Result<Html<&'static str>> {
    room(cx)?;
    Ok(Html(include_str!("page.html")))
}

async fn rooms(cx: &mut Context) -> Result<Json<Vec<Room>>> {
    let room = |name| {
        let people = cx.topics().subscriber_count(&messages_topic(name))?;
        Ok(Room { name, people })
    };
    ROOMS.into_iter().map(room).collect::<Result<_>>().map(Json)
}

async fn present(cx: &mut Context) -> Result<Json<Vec<String>>> {
    let present = cx.topics().presence(&messages_topic(room(cx)?)).await?;
    Ok(Json(present.names))
}

/// Streams the messages of a room; a browser that reconnects sends its position by itself.
async fn events(cx: &mut Context) -> Result {
    let room = room(cx)?;
    let mut events = cx.event_stream()?;
    events.resume(&messages_topic(room))?;
    events.run().await
}

/// Returns a handler for a file that is part of this program.
fn file(content_type: &'static str, text: &'static str) -> impl AsyncFn(&mut Context) -> Result<&'static str> {
    async move |cx: &mut Context| {
        cx.set_header("Content-Type", content_type)?;
        Ok(text)
    }
}

/// Returns the feed that every page reads: the messages of its room, and who comes and goes.
fn feed() -> Feed {
    // A character takes up to four bytes. Our page never sends more, so a larger message closes the socket with 1009.
    let limits = websocket::Limits::default().max_message_bytes(4 * TEXT_CHARACTERS_MAX + REQUEST_BYTES);
    Feed::new()
        .options(WebSocketOptions::default().limits(limits))
        .authorize(member::may_read)
        .publish(member::say)
        .subscribed(member::join)
        .closed(member::leave)
}

fn application() -> Application {
    Application::new()
        .middleware(SecurityHeaders::page())
        .get("/", async |_: &mut Context| Redirect::see_other("/rooms/lobby"))
        .get("/page.css", file("text/css; charset=utf-8", include_str!("page.css")))
        .get(
            "/page.js",
            file("text/javascript; charset=utf-8", include_str!("page.js")),
        )
        .get("/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .get("/rooms", rooms)
        .get("/rooms/{room}", page)
        .get("/rooms/{room}/people", present)
        .get("/rooms/{room}/events", events)
        .route("/feed", feed().into_route().middleware(member::name_visitor))
}

fn main() -> Result {
    let history = HistoryLimits::default().max_messages(HISTORY_MESSAGES).max_age(AGE_MAX);
    let messages = TopicOptions::default()
        .history(history)
        .envelope(Envelope::Json)
        .tell_missed(true)
        .count_subscribers(true);
    let visitors = TopicOptions::default().envelope(Envelope::Json);
    Server::from_args(application)
        .topic(&messages_topic("*"), messages)
        .topic(&visitors_topic("*"), visitors)
        .run()
}
