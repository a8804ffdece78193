//! Event streams and feeds of users: they see the session, end with it, and end with their token.

use std::time::{Duration, SystemTime};

use squall::prelude::*;
use squall::pubsub::Envelope;
use squall::security::{Sessions, Users};
use squall::{Event, Feed, FeedClient};
use tungstenite::Message as Frame;

use crate::harness::*;
use crate::support::client::Connection;

/// A user, by the name in the session.
struct User(String);

async fn load(cx: &mut Context) -> Result<Option<User>> {
    Ok(cx.session().await?.user().map(User))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of a token, by the clock of the server"
)]
fn after(duration: Duration) -> SystemTime {
    SystemTime::now() + duration
}

/// Greets its user, and sends what is published until it ends.
async fn events(cx: &mut Context) -> Result {
    let user = cx.user::<User>().await?.or_status(401)?;
    let expires_in = cx.optional_query_param("expires_ms")?.map(Duration::from_millis);
    let mut events = cx.event_stream()?;
    events.set_user(&user.0).expires_at(expires_in.map(after))?;
    events.send(Event::new(format!("hello {}", user.0))).await?;
    events.run().await
}

/// Sends events of its own, without end.
async fn ticks(cx: &mut Context) -> Result {
    let user = cx.user::<User>().await?.or_status(401)?;
    let mut events = cx.event_stream()?;
    events.set_user(&user.0);
    loop {
        events.send(Event::new(format!("hello {}", user.0))).await?;
        squall::shards::sleep(Duration::from_millis(5)).await;
    }
}

/// Only the user itself reads its topic.
async fn may_read(client: &FeedClient, topic: &str) -> Result<bool> {
    let user = client.user::<User>().or_status(401)?;
    assert!(client.user::<String>().is_none(), "users have another type");
    Ok(topic == format!("users/{}", user.0))
}

async fn belongs_to_user(client: &FeedClient) -> Result {
    let user = client.user::<User>().or_status(401)?;
    client.ws().set_user(&user.0);
    Ok(())
}

fn application() -> Application {
    let feed = Feed::new().opened(belongs_to_user).authorize(may_read);
    Application::new()
        .sessions(Sessions::in_memory())
        .users(Users::new(load))
        .get("/login", async |cx: &mut Context| -> Result {
            let user: String = cx.query_param("user")?;
            cx.session().await?.log_in(&user);
            Ok(())
        })
        .get("/logout", async |cx: &mut Context| -> Result {
            cx.session().await?.end();
            Ok(())
        })
        .get("/disconnect", async |cx: &mut Context| -> Result<String> {
            let user: String = cx.query_param("user")?;
            Ok(cx.disconnect(&user).await?.to_string())
        })
        .get("/events", events)
        .get("/ticks", ticks)
        .route("/feed", feed.into_route().authenticated())
}

fn start() -> Running {
    let options = TopicOptions::default().envelope(Envelope::Json);
    Running::serve(Server::new(application).shards(2).topic("users/*", options))
}

/// A stream, and what has come of it.
struct Listener {
    connection: Connection,
    received: Vec<u8>,
}

/// Opens a stream, and waits for its first event.
fn listen(server: &Running, target: &str, cookie: &str) -> Listener {
    let mut connection = server.connection();
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
    connection.send(request.as_bytes()).unwrap();
    let mut received = Vec::new();
    while !received.windows(10).any(|bytes| bytes == b"hello ada\n") {
        received.extend(connection.some().unwrap());
    }
    assert!(received.starts_with(b"HTTP/1.1 200 "), "{}", received.escape_ascii());
    Listener { connection, received }
}

/// Waits for the last chunk of a stream.
#[track_caller]
fn ends(listener: &mut Listener) {
    let Listener { connection, received } = listener;
    while !received.ends_with(b"0\r\n\r\n") {
        let more = connection.some().unwrap();
        assert!(!more.is_empty(), "cut: {}", received.escape_ascii());
        received.extend(more);
    }
}

#[test]
fn the_end_of_a_session_ends_its_event_streams_on_every_shard() {
    let server = start();
    let cookie = pair(&get(&server, "/login?user=ada", ""));
    let mut streams: Vec<_> = ["/events", "/ticks"]
        .into_iter()
        .cycle()
        .take(8)
        .map(|target| listen(&server, target, &cookie))
        .collect();
    get(&server, "/logout", &cookie);
    streams.iter_mut().for_each(ends);
    assert_eq!(get(&server, "/events", &cookie).status, 401);
}

#[test]
fn a_disconnected_user_loses_every_event_stream() {
    let server = start();
    let cookie = pair(&get(&server, "/login?user=ada", ""));
    let mut streams: Vec<_> = (0..4).map(|_| listen(&server, "/events", &cookie)).collect();
    assert_eq!(ok(&get(&server, "/disconnect?user=bob", "")), "0");
    assert_eq!(ok(&get(&server, "/disconnect?user=ada", "")), "4");
    streams.iter_mut().for_each(ends);
    // The session goes on, and so may a new stream.
    drop(listen(&server, "/events", &cookie));
}

#[test]
fn an_event_stream_ends_with_its_token() {
    let server = start();
    let cookie = pair(&get(&server, "/login?user=ada", ""));
    ends(&mut listen(&server, "/events?expires_ms=50", &cookie));
    ends(&mut listen(&server, "/events?expires_ms=0", &cookie));
}

#[test]
fn a_feed_knows_the_user_and_closes_with_the_session() {
    let server = start();
    assert_eq!(server.open("/feed", &[]).unwrap_err().status(), 403);
    let cookie = pair(&get(&server, "/login?user=ada", ""));
    let mut client = server.open("/feed", &[("Cookie", &cookie)]).unwrap();
    let mut ask = |request: &str| {
        client.send(Frame::text(request)).unwrap();
        client.read().unwrap().into_text().unwrap().to_string()
    };
    assert_eq!(
        ask(r#"{"id":1,"subscribe":"users/ada"}"#),
        r#"{"id":1,"subscribed":"users/ada"}"#
    );
    assert!(ask(r#"{"id":2,"subscribe":"users/bob"}"#).contains("403"));
    let mut disconnected = server.open("/feed", &[("Cookie", &cookie)]).unwrap();
    disconnected
        .send(Frame::text(r#"{"id":1,"subscribe":"users/ada"}"#))
        .unwrap();
    disconnected.read().unwrap();
    get(&server, "/logout", &cookie);
    for client in [&mut client, &mut disconnected] {
        let Frame::Close(Some(frame)) = client.read().unwrap() else {
            panic!("not closed");
        };
        assert_eq!(u16::from(frame.code), 4401);
    }
}
