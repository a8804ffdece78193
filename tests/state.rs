//! The application's state of other shards, from handlers, WebSockets and threads outside the shards.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::cell::RefCell;

use squall::prelude::*;
use squall::shards::{Shard, ShardId, spawn_detached};
use squall::websocket::Message;
use support::app_client::AppClient;
use support::running::{Running, read};
use tungstenite::Message as Frame;

/// What a shard has been told: its state has no lock and is not `Send`.
#[derive(Default)]
struct Notes(RefCell<Vec<String>>);

/// A type that the application has no state of.
struct Missing;

async fn note_on(cx: &mut Context) -> Result<String> {
    let shard = ShardId::new(cx.param("shard")?);
    let text = format!("from {}", cx.param::<String>("name")?);
    let ran_on = cx.on_shard(shard, move |notes: &Notes| {
        notes.0.borrow_mut().push(text);
        Shard::current().id().index()
    });
    Ok(ran_on.await?.to_string())
}

async fn all_notes(cx: &mut Context) -> Result<String> {
    let notes = cx.on_all_shards(|notes: &Notes| notes.0.borrow().join("+")).await?;
    Ok(notes.join("|"))
}

async fn missing(cx: &mut Context) -> String {
    let missing = cx.on_all_shards(|_: &Missing| ()).await;
    missing.unwrap_err().to_string()
}

async fn panics(cx: &mut Context) -> String {
    let panicked = cx.on_shard(ShardId::FIRST, |_: &Notes| panic!("told to")).await;
    panicked
        .map(|()| String::new())
        .unwrap_or_else(|error| error.to_string())
}

struct Noting;

impl WebSocketHandler for Noting {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let text = message.as_str().unwrap().to_owned();
        ws.on_all_shards(move |notes: &Notes| notes.0.borrow_mut().push(text))
            .await?;
        let on_last = ws.on_shard(ShardId::new(1), |notes: &Notes| notes.0.borrow().join("+"));
        Ok(ws.send(on_last.await?).await?)
    }
}

fn application() -> Application {
    Application::new()
        .state(Notes::default())
        .get("/note/{shard}/{name}", note_on)
        .get("/notes", all_notes)
        .get("/missing", missing)
        .get("/panics", panics)
        .websocket("/ws", async |_: &mut Context| Ok(Noting))
}

/// The body of a response, whatever its status.
fn get(server: &Running, path: &str) -> (u16, String) {
    let response = server.get(path);
    (response.status, String::from_utf8(response.body).unwrap())
}

#[test]
fn a_handler_runs_a_closure_with_the_state_of_the_shard_it_names() {
    let server = Running::start(2, application);
    assert_eq!(get(&server, "/note/0/ada"), (200, "0".to_owned()));
    assert_eq!(get(&server, "/note/1/grace"), (200, "1".to_owned()));
    assert_eq!(get(&server, "/note/1/alan"), (200, "1".to_owned()));
    let in_shard_order = "from ada|from grace+from alan";
    assert_eq!(get(&server, "/notes"), (200, in_shard_order.to_owned()));
}

#[test]
fn a_closure_for_a_shard_that_does_not_exist_answers_500() {
    let server = Running::start(1, application);
    assert_eq!(get(&server, "/note/1/ada").0, 500);
    assert_eq!(get(&server, "/notes"), (200, String::new()));
}

#[test]
fn a_closure_for_a_state_that_the_application_lacks_is_an_error_with_the_type() {
    let server = Running::start(2, application);
    let (status, body) = get(&server, "/missing");
    assert_eq!(status, 200);
    assert!(
        body.contains("could not find state of the type")
            && body.contains("Missing")
            && body.contains("the application has `"),
        "{body}"
    );
}

#[test]
fn a_closure_that_panics_is_an_error_of_its_caller_and_the_shard_serves_on() {
    let server = Running::start(1, application);
    let (status, body) = get(&server, "/panics");
    assert_eq!(status, 200);
    assert!(body.contains("panicked"), "{body}");
    assert_eq!(get(&server, "/notes"), (200, String::new()));
}

#[test]
fn a_websocket_changes_the_state_of_every_shard() {
    let server = Running::start(2, application);
    let mut socket = server.connect("/ws");
    for (text, expected) in [("one", "one"), ("two", "one+two")] {
        socket.send(Frame::text(text)).unwrap();
        assert_eq!(read(&mut socket).to_text().unwrap(), expected);
    }
    assert_eq!(get(&server, "/notes"), (200, "one+two|one+two".to_owned()));
}

#[test]
fn a_thread_outside_the_shards_uses_their_state() {
    let server = Running::start(2, application);
    let remote = server.remote.clone();
    let noted = remote.on_shard(ShardId::new(1), |notes: &Notes| notes.0.borrow_mut().push("7".into()));
    pollster::block_on(noted).unwrap();
    let lengths = pollster::block_on(remote.on_all_shards(|notes: &Notes| notes.0.borrow().len()));
    assert_eq!(lengths.unwrap(), [0, 1]);
    assert!(pollster::block_on(remote.on_shard(ShardId::FIRST, |_: &Missing| ())).is_err());
}

#[test]
fn without_a_server_the_state_of_a_shard_is_an_error() {
    let client = AppClient::new(application()).unwrap();
    assert_eq!(client.get("/notes").send().unwrap().status(), 500);
}

#[test]
fn a_thread_outside_the_shards_blocks_for_a_closure_and_a_shard_never_does() {
    let server = Running::start(2, application);
    let remote = server.remote.clone();
    remote
        .on_shard_blocking(ShardId::new(1), |notes: &Notes| notes.0.borrow_mut().push("7".into()))
        .unwrap();
    let lengths = remote.on_all_shards_blocking(|notes: &Notes| notes.0.borrow().len());
    assert_eq!(lengths.unwrap(), [0, 1]);
    let on_a_shard = remote.clone();
    let refused = remote.on_shard_blocking(ShardId::FIRST, move |_: &Notes| {
        let waited = on_a_shard.on_shard_blocking(ShardId::new(1), |_: &Notes| ());
        waited.unwrap_err().to_string()
    });
    let refused = refused.unwrap();
    assert!(refused.contains("could not block the thread of shard 0"), "{refused}");
}

/// A task of a shard publishes in the background, as the guide shows it.
#[test]
fn a_task_of_a_shard_publishes_with_a_publisher() {
    let server = Running::start(2, application);
    let mut heard = server.publisher.subscribe_blocking("ticks").unwrap();
    let publisher = server.publisher.clone();
    let publish = move || async move {
        spawn_detached(async move { publisher.publish("ticks", "tick").await.unwrap() });
    };
    server
        .remote
        .shards()
        .invoke_on_blocking(ShardId::FIRST, publish)
        .unwrap();
    let event = heard.next_blocking();
    assert!(matches!(event, Some(squall::TopicEvent::Message { .. })), "{event:?}");
}
