//! The ready feed over sockets: its subprotocol, what the application decides, and how a socket ends.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use squall::prelude::*;
use squall::pubsub::Envelope;
use squall::shards::Stop;
use squall::{Feed, FeedAccess, FeedClient};
use support::running::{Running, close_code, read};
use tungstenite::protocol::frame::coding::CloseCode as Code;
use tungstenite::{Message as Frame, WebSocket as Client};

/// How many messages a room keeps.
const KEPT: usize = 5;

/// The visitor that middleware has found.
struct Visitor(String);

async fn log_in(cx: &mut Context, next: Next<'_>) -> Result {
    let name: Option<String> = cx.optional_query_param("name")?;
    cx.insert_extension(Visitor(name.unwrap_or_default()));
    next.run(cx).await;
    Ok(())
}

fn name(client: &FeedClient) -> String {
    client.extension::<Visitor>().unwrap().0.clone()
}

async fn may_read(client: &FeedClient, topic: &str) -> Result<FeedAccess> {
    match topic {
        "rooms/lobby" | "rooms/weather" => Ok(FeedAccess::present_as(name(client))),
        "rooms/gone" => Err(HttpError::new(410).with_message("closed for ever").into()),
        "rooms/broken" => Err(Error::new("a secret")),
        _ => Ok(topic.starts_with("open/").into()),
    }
}

async fn say(client: &FeedClient, topic: &str, data: &str) -> Result {
    if !client.topics().iter().any(|known| known == topic) {
        return Err(HttpError::new(403).with_message("enter first").into());
    }
    client
        .publish(topic, json!({ "from": name(client), "said": data }).to_string())
        .await
}

async fn leave(client: &FeedClient) -> Result {
    let text = json!({ "left": name(client), "topics": client.topics() });
    client.publish("open/ends", text.to_string()).await
}

async fn check_token(_: &FeedClient, token: &str) -> Result<Duration> {
    match token {
        "good" => Ok(Duration::from_secs(3600)),
        _ => Err(HttpError::new(401).with_message("a bad token").into()),
    }
}

fn feed() -> Feed {
    Feed::new()
        .authorize(may_read)
        .publish(say)
        .refresh(check_token)
        .closed(leave)
}

/// Serves a feed at `/feed` on two shards.
fn serve(feed: impl Fn() -> Feed + Send + Sync + 'static) -> Running {
    let history = HistoryLimits::default().max_messages(KEPT);
    let server = Server::new(move || Application::new().route("/feed", feed().into_route().middleware(log_in)));
    let json = TopicOptions::default().envelope(Envelope::Json);
    Running::serve(
        server
            .shards(2)
            .topic("rooms/*", json.history(history))
            .topic("open/bare", TopicOptions::default())
            .topic("open/*", json),
    )
}

fn open(server: &Running, name: &str) -> Client<TcpStream> {
    let protocol = [("Sec-WebSocket-Protocol", "squall.v1")];
    server.open(&format!("/feed?name={name}"), &protocol).unwrap()
}

fn send(client: &mut Client<TcpStream>, request: &Value) {
    client.send(Frame::text(request.to_string())).unwrap();
}

fn next(client: &mut Client<TcpStream>) -> Value {
    let Frame::Text(text) = read(client) else {
        panic!("not a text")
    };
    serde_json::from_str(&text).unwrap()
}

/// Sends a request and returns the next message.
fn ask(client: &mut Client<TcpStream>, request: Value) -> Value {
    send(client, &request);
    next(client)
}

#[test]
fn a_client_reads_what_the_application_allows() {
    let server = serve(feed);
    let mut ada = open(&server, "ada");
    for (request, expected) in [
        (
            json!({"id": 1, "subscribe": "rooms/lobby"}),
            json!({"id": 1, "subscribed": "rooms/lobby"}),
        ),
        (json!({"subscribe": "open/a"}), json!({"subscribed": "open/a"})),
        (
            json!({"id": 2, "subscribe": "rooms/cellar"}),
            json!({"id": 2, "error": 403, "message": "this topic is not for you"}),
        ),
        (
            json!({"id": 3, "subscribe": "rooms/gone"}),
            json!({"id": 3, "error": 410, "message": "closed for ever"}),
        ),
        (
            json!({"id": 4, "subscribe": "rooms/broken"}),
            json!({"id": 4, "error": 500}),
        ),
        (
            json!({"id": 5, "presence": "rooms/cellar"}),
            json!({"id": 5, "error": 403, "message": "this topic is not for you"}),
        ),
        // Its messages would not name their topic.
        (
            json!({"id": 6, "subscribe": "open/bare"}),
            json!({"id": 6, "error": 500}),
        ),
        (
            json!({"id": 7, "subscribe": "rooms/*"}),
            json!({"id": 7, "error": 400, "message": "this is not the name of a topic"}),
        ),
        (
            json!({"id": 8, "subscribe": "open/a", "last": 1}),
            json!({"id": 8, "error": 400, "message": "the topic keeps no history"}),
        ),
        (
            json!({"id": 9, "presence": "rooms/lobby"}),
            json!({"id": 9, "presence": "rooms/lobby", "names": ["ada"], "count": 1}),
        ),
        (
            json!({"id": 10, "unsubscribe": "rooms/lobby"}),
            json!({"id": 10, "unsubscribed": "rooms/lobby"}),
        ),
        (
            json!({"id": 11, "unsubscribe": "rooms/lobby"}),
            json!({"id": 11, "unsubscribed": "rooms/lobby"}),
        ),
        (
            json!({"id": 12, "publish": "rooms/lobby", "data": 1}),
            json!({"id": 12, "error": 403, "message": "enter first"}),
        ),
    ] {
        assert_eq!(ask(&mut ada, request), expected);
    }
}

#[test]
fn messages_reach_the_clients_of_every_shard_and_a_client_resumes_where_it_was() {
    let server = serve(feed);
    let mut ada = open(&server, "ada");
    assert_eq!(
        ask(&mut ada, json!({"subscribe": "rooms/lobby"}))["subscribed"],
        "rooms/lobby"
    );
    let mut others: Vec<_> = (0..6).map(|number| open(&server, &format!("bob{number}"))).collect();
    for bob in &mut others {
        assert_eq!(
            ask(bob, json!({"subscribe": "rooms/lobby"}))["subscribed"],
            "rooms/lobby"
        );
    }
    send(
        &mut ada,
        &json!({"id": 1, "publish": "rooms/lobby", "data": {"t": "é"}}),
    );
    // A reply overtakes messages of topics.
    assert_eq!(next(&mut ada), json!({"id": 1, "published": "rooms/lobby"}));
    let message = next(&mut ada);
    assert_eq!(message["data"], json!({"from": "ada", "said": "{\"t\":\"é\"}"}));
    let position = message["position"].clone();
    for bob in &mut others {
        assert_eq!(next(bob), message);
    }
    drop(ada);
    for number in 0..3 {
        let bob = &mut others[0];
        send(bob, &json!({"publish": "rooms/lobby", "data": number}));
        assert_eq!(next(bob)["published"], "rooms/lobby");
        assert_eq!(next(bob)["data"]["said"], number.to_string());
    }
    let mut ada = open(&server, "ada");
    assert_eq!(
        ask(&mut ada, json!({"subscribe": "rooms/lobby", "after": position}))["subscribed"],
        "rooms/lobby"
    );
    let resumed: Vec<Value> = (0..3).map(|_| next(&mut ada)["data"]["said"].clone()).collect();
    assert_eq!(resumed, ["0", "1", "2"]);
    // Begun anew from another place.
    assert_eq!(
        ask(&mut ada, json!({"subscribe": "rooms/lobby", "last": 1}))["subscribed"],
        "rooms/lobby"
    );
    assert_eq!(next(&mut ada)["data"]["said"], "2");
    let gap = |client: &mut Client<TcpStream>, after: &str| {
        let subscribed = ask(client, json!({"subscribe": "rooms/lobby", "after": after}));
        assert_eq!(subscribed["subscribed"], "rooms/lobby");
        next(client)["gap"].clone()
    };
    assert_eq!(gap(&mut ada, "no position"), "other-epoch");
    assert_eq!(gap(&mut ada, "1:1"), "other-epoch");
}

#[test]
fn malformed_requests_get_an_error_and_the_socket_goes_on() {
    let server = serve(feed);
    let mut client = open(&server, "ada");
    for text in ["", "x", "[]", "{}", "{\"id\":1}", "{\"subscribe\":7}", "\"subscribe\""] {
        client.send(Frame::text(text)).unwrap();
        let reply = next(&mut client);
        assert_eq!(reply["error"], 400, "{text}: {reply}");
    }
    client.send(Frame::binary(vec![0, 1])).unwrap();
    assert_eq!(next(&mut client)["error"], 400);
    let deep = format!(
        "{{\"subscribe\":\"open/a\",\"x\":{}{}}}",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    client.send(Frame::text(deep)).unwrap();
    let reply = next(&mut client);
    assert!(reply["error"] == 400 || reply["subscribed"] == "open/a", "{reply}");
    assert_eq!(ask(&mut client, json!({"subscribe": "open/b"}))["subscribed"], "open/b");
}

#[test]
fn the_limit_of_topics_is_an_error_and_the_socket_goes_on() {
    let server = serve(feed);
    let mut client = open(&server, "ada");
    let mut subscribed = 0;
    let refused = loop {
        let reply = ask(&mut client, json!({"subscribe": format!("open/{subscribed}")}));
        if reply["error"].is_number() {
            break reply;
        }
        subscribed += 1;
    };
    assert_eq!((refused["error"].as_u64(), subscribed), (Some(429), 128));
    assert_eq!(
        ask(&mut client, json!({"unsubscribe": "open/7"}))["unsubscribed"],
        "open/7"
    );
    assert_eq!(ask(&mut client, json!({"subscribe": "open/x"}))["subscribed"], "open/x");
}

/// The pace is the client's own: others are answered meanwhile.
#[test]
fn a_client_that_asks_without_pause_is_warned_and_closed() {
    let server = serve(|| feed().max_request_rate(1, 3));
    let mut client = open(&server, "ada");
    for number in 0..8 {
        // All of them leave in one write, so that no permit comes back in between.
        let request = json!({"id": number, "unsubscribe": "open/a"});
        client.write(Frame::text(request.to_string())).unwrap();
    }
    client.flush().unwrap();
    let mut replies = Vec::new();
    let code = loop {
        match read(&mut client) {
            Frame::Text(text) => replies.push(serde_json::from_str::<Value>(&text).unwrap()["error"].as_u64()),
            Frame::Close(frame) => break frame.unwrap().code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, Code::Policy);
    let admitted = replies.iter().filter(|error| error.is_none()).count();
    assert!((3..=4).contains(&admitted), "{replies:?}");
    assert!(replies.contains(&Some(429)));
    let mut other = open(&server, "bob");
    assert_eq!(ask(&mut other, json!({"subscribe": "open/a"}))["subscribed"], "open/a");
}

#[test]
fn a_client_of_other_versions_or_origins_is_refused() {
    let server = serve(|| feed().origins_if(|origin| origin == "https://friend.example"));
    for (fields, status) in [
        (vec![("Sec-WebSocket-Protocol", "squall.v2, other")], Some(400)),
        (vec![("Sec-WebSocket-Protocol", "squall.v2, squall.v1")], None),
        (vec![], None),
        (vec![("Origin", "https://evil.example")], Some(403)),
        (vec![("Origin", "https://friend.example")], None),
    ] {
        let opened = server.open("/feed", &fields);
        let refused = opened.err().map(|response| response.status().as_u16());
        assert_eq!(refused, status, "{fields:?}");
    }
}

#[test]
fn the_end_of_a_client_is_known_with_its_topics() {
    let server = serve(feed);
    let mut watcher = open(&server, "watcher");
    assert_eq!(
        ask(&mut watcher, json!({"subscribe": "open/ends"}))["subscribed"],
        "open/ends"
    );
    let mut ada = open(&server, "ada");
    for topic in ["open/a", "rooms/lobby", "open/b"] {
        assert_eq!(ask(&mut ada, json!({"subscribe": topic}))["subscribed"], topic);
    }
    assert_eq!(
        ask(&mut ada, json!({"unsubscribe": "open/a"}))["unsubscribed"],
        "open/a"
    );
    drop(ada);
    let ended = next(&mut watcher);
    assert_eq!(
        ended["data"],
        json!({"left": "ada", "topics": ["rooms/lobby", "open/b"]})
    );
}

/// A socket that expires at once: it is asked, and five seconds later it closes.
#[test]
fn a_socket_whose_token_ends_is_asked_and_closed() {
    let server = serve(|| {
        feed().opened(async |client: &FeedClient| {
            client.expires_in(Duration::from_millis(10));
            Ok(())
        })
    });
    let mut client = open(&server, "ada");
    assert_eq!(next(&mut client), json!({"expiring": 0}));
    let refused = ask(&mut client, json!({"id": 1, "refresh": "bad"}));
    assert_eq!(refused, json!({"id": 1, "error": 401, "message": "a bad token"}));
    assert_eq!(close_code(&mut client), Code::from(4401));
}

#[test]
fn a_refresh_keeps_the_socket_and_its_topics() {
    let server = serve(|| {
        feed().opened(async |client: &FeedClient| {
            client.expires_in(Duration::from_millis(10));
            Ok(())
        })
    });
    let mut client = open(&server, "ada");
    assert_eq!(next(&mut client), json!({"expiring": 0}));
    assert_eq!(ask(&mut client, json!({"subscribe": "open/a"}))["subscribed"], "open/a");
    assert_eq!(
        ask(&mut client, json!({"id": 2, "refresh": "good"})),
        json!({"id": 2, "refreshed": 3600})
    );
    // Another socket that does not refresh closes meanwhile, so this one has outlived its first token.
    let mut other = open(&server, "bob");
    assert_eq!(next(&mut other), json!({"expiring": 0}));
    assert_eq!(close_code(&mut other), Code::from(4401));
    server.publisher.publish("open/a", "1").blocking().unwrap();
    assert_eq!(next(&mut client)["data"], 1);
}

#[test]
fn a_stop_says_when_to_come_back() {
    let server = serve(|| feed().reconnect_spread(Duration::from_secs(7)));
    let mut clients: Vec<_> = (0..8).map(|_| open(&server, "ada")).collect();
    for client in &mut clients {
        assert_eq!(ask(client, json!({"subscribe": "open/a"}))["subscribed"], "open/a");
    }
    server.stopper.stop(Stop::Graceful);
    for client in &mut clients {
        let hint = next(client);
        let after = hint["reconnect"]["after_ms"].as_u64().unwrap();
        assert!(after <= 7000, "{hint}");
        assert_eq!(close_code(client), Code::Away);
    }
}

#[test]
fn a_feed_without_rules_is_a_mistake_of_the_application() {
    let error = Application::new().feed("/feed", Feed::new()).build().unwrap_err();
    assert!(error.to_string().contains("a feed authorizes no topic"), "{error}");
}
