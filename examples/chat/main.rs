//! Chat in a page: rooms, names, who is here, the last messages on joining, and a page that comes back to where it was when its
//! connection breaks, or says what is missing.
//!
//! ```text
//! cargo run --release --example chat -- --listen 127.0.0.1:8888
//! ```
//!
//! Open <http://127.0.0.1:8888/> in two windows. Each shard serves its own visitors; topics carry what is said to all. To listen only:
//!
//! ```text
//! curl -N http://127.0.0.1:8888/rooms/lobby/events
//! ```

mod member;

use std::time::Duration;

use serde::Serialize;
use squall::prelude::*;
use squall::websocket;

use member::{MESSAGES_KEPT, Member, TEXT_CHARACTERS_MAX, people, said};

/// The rooms there are. A list, because a visitor who could make rooms could make the server remember any number of them.
const ROOMS: [&str; 3] = ["lobby", "weather", "workshop"];

/// How long a message is kept, for a room where little is said.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What the pages may load and connect to: this server, and nothing else.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A room in the list, and how many are in it.
#[derive(Serialize)]
struct Room {
    name: &'static str,
    people: u64,
}

/// The room a request is about.
fn room(cx: &Context) -> Result<&'static str> {
    let name: String = cx.param("room")?;
    let room = ROOMS.into_iter().find(|room| *room == name);
    room.or_error(404, "there is no such room")
}

async fn page(cx: &mut Context) -> Result<Html<&'static str>> {
    room(cx)?;
    Ok(Html(include_str!("page.html")))
}

async fn rooms(cx: &mut Context) -> Result<Json<Vec<Room>>> {
    let room = |name| {
        let people = cx.subscriber_count(&said(name))?;
        Ok(Room { name, people })
    };
    ROOMS.into_iter().map(room).collect::<Result<_>>().map(Json)
}

async fn present(cx: &mut Context) -> Result<Json<Vec<String>>> {
    let present = cx.presence(&said(room(cx)?)).await?;
    Ok(Json(present.names))
}

/// What is said, for those who only listen; a browser that comes back says where it was by itself.
async fn events(cx: &mut Context) -> Result {
    let room = room(cx)?;
    let mut events = cx.event_stream()?;
    events.resume(&said(room))?;
    events.run().await
}

async fn socket(cx: &mut Context) -> Result<Member> {
    Member::new(room(cx)?, cx)
}

/// Answers with a file that is part of this program.
fn file(content_type: &'static str, text: &'static str) -> impl AsyncFn(&mut Context) -> Result<&'static str> {
    async move |cx: &mut Context| {
        cx.set_header("Content-Type", content_type)?;
        Ok(text)
    }
}

async fn secured(cx: &mut Context, next: Next<'_>) -> Result {
    cx.set_header("Content-Security-Policy", POLICY)?;
    cx.set_header("X-Content-Type-Options", "nosniff")?;
    next.run(cx).await;
    Ok(())
}

fn application() -> Application {
    // A character takes up to four bytes; who sends more is no page of ours, and is closed with 1009.
    let limits = websocket::Limits {
        message_bytes_max: 4 * TEXT_CHARACTERS_MAX,
        ..websocket::Limits::default()
    };
    Application::new()
        .middleware(secured)
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
        .websocket_with(
            "/rooms/{room}/socket",
            WebSocketOptions::default().limits(limits),
            socket,
        )
}

fn main() -> Result {
    let history = HistoryLimits::default().messages(MESSAGES_KEPT).age(AGE_MAX);
    let messages = TopicOptions::new()
        .history(history)
        .envelope(Envelope::Json)
        .tell_missed()
        .count_subscribers();
    let comings = TopicOptions::new().envelope(Envelope::Json);
    Server::from_args(application)
        .topic(&said("*"), messages)
        .topic(&people("*"), comings)
        .run()
}
