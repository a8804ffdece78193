//! Topics over sockets: options, histories, notices, presence, counts and event streams, on a server in this process
//! with one or two shards.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use crossbeam::channel::{Receiver, Sender, unbounded};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::Value;
use squall::Event;
use squall::prelude::*;
use squall::pubsub::{Envelope, Start};
use squall::pubsub::{Notice, RESYNCS_MAX, Receipt, Topic};
use squall::shards::Shard;
use squall::websocket::DeflateConfig;
use squall::websocket::Message;
use squall::{Subscription, TopicEvent};
use support::running::{Running, SILENCE_MAX, close_code, read};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message as Frame, WebSocket as Client};

/// More connections than it takes to find one on each of two shards.
const CONNECTIONS_MAX: usize = 200;

/// How many messages of a kilobyte about three keys may wait for a subscriber, so that one of 100 kB exceeds its
/// queue.
const OVERTAKEN: u64 = 200;

/// Runs the command in each message and answers with its result.
struct CommandHandler {
    /// The command `stand-still` blocks the shard until the test sends on this channel.
    go_on: Receiver<()>,
}

impl WebSocketHandler for CommandHandler {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        Ok(ws.send(Shard::current().id().index().to_string()).await?)
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let text = message.as_str().unwrap().to_owned();
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["subscribe", topic] => drop(ws.subscribe(topic)?),
            ["unsubscribe", topic] => drop(ws.unsubscribe(topic)?),
            ["try", call, text] => {
                let tried = match call {
                    "subscribe" => ws.subscribe(text),
                    "subscribe_from" => ws.subscribe_from(text, Start::Last(1)),
                    "subscribe_pattern" => ws.subscribe_pattern(text),
                    "unsubscribe" => ws.unsubscribe(text),
                    _ => ws.unsubscribe_pattern(text),
                };
                let answer = tried.map_or_else(|error| error.to_string(), |is_new| is_new.to_string());
                return Ok(ws.send(answer).await?);
            }
            ["interleave", topic] => {
                for number in ["1", "2"] {
                    ws.publish(topic, format!("published {number}")).await?;
                    ws.send(format!("sent {number}")).await?;
                }
                return Ok(());
            }
            ["last", count, topic] => drop(ws.subscribe_from(topic, Start::Last(count.parse()?))?),
            ["after", position, topic] => drop(ws.subscribe_from(topic, Start::After(position.parse()?))?),
            ["publish", topic, message] => ws.publish(topic, message).await?,
            ["present", topic, name] => ws.set_presence(topic, name)?,
            // In one turn, so that nothing is sent in between.
            ["burst", count, bytes, topic] => {
                for number in 0..count.parse::<usize>()? {
                    let message = format!("{number}{}", " ".repeat(bytes.parse()?));
                    ws.publish(topic, message).key((number % 3).to_string()).await?;
                }
                return Ok(());
            }
            // In one turn, so that the last is requested before the first is answered.
            ["resume", count, prefix] => {
                let resume = |number: usize| ws.subscribe_from(&format!("{prefix}/{number}"), Start::Last(1));
                let refused = (0..count.parse::<usize>()?)
                    .filter(|number| resume(*number).is_err())
                    .count();
                return Ok(ws.send(format!("{refused} refused")).await?);
            }
            // In one turn too: until this is sent, the socket is a slow consumer.
            ["overtake", topic] => {
                for number in 0..OVERTAKEN {
                    ws.publish(topic, " ".repeat(1000))
                        .key((number % 3).to_string())
                        .await?;
                }
                let plain = ws.publish(topic, "unkeyed").confirm().await?;
                let keyed = ws.publish(topic, " ".repeat(100_000)).key("0").confirm().await?;
                let missed = ws.topics().statistics().await?.deliveries.missed();
                let answer = format!("{} {} {missed}", plain.conflated, keyed.conflated);
                return Ok(ws.send(answer).await?);
            }
            ["count", topic] => return Ok(ws.send(ws.topics().subscriber_count(topic)?.to_string()).await?),
            ["stand-still"] => {
                ws.send("still").await?;
                // Even a short sleep ends in a later turn, after the reply has been sent.
                squall::shards::sleep(Duration::from_millis(1)).await;
                self.go_on.recv().unwrap();
                return Ok(());
            }
            _ => panic!("what is {text:?}?"),
        }
        Ok(ws.send("done").await?)
    }
}

/// Subscribes to a compressed topic.
struct CompressedSubscriber;

impl WebSocketHandler for CompressedSubscriber {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.subscribe("compressed")?;
        Ok(ws.send("open").await?)
    }

    async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
        Ok(())
    }
}

async fn presence(cx: &mut Context) -> Result<String> {
    let topic: String = cx.param("topic")?;
    let presence = cx.topics().presence(&topic).await?;
    Ok(format!("{} {}", presence.count, presence.names.join(" ")))
}

async fn count(cx: &mut Context) -> Result<String> {
    let topic: String = cx.param("topic")?;
    Ok(cx.topics().subscriber_count(&topic)?.to_string())
}

async fn overtake(cx: &mut Context) -> Result<String> {
    for number in 0..OVERTAKEN {
        cx.publish("latest", " ".repeat(1000))
            .key((number % 3).to_string())
            .await?;
    }
    let receipt = cx.publish("latest", " ".repeat(100_000)).key("0").confirm().await?;
    Ok(receipt.conflated.to_string())
}

async fn missed(cx: &mut Context) -> Result<String> {
    Ok(cx.topics().statistics().await?.deliveries.missed().to_string())
}

async fn events(cx: &mut Context) -> Result {
    let topic: String = cx.param("topic")?;
    let mut events = cx.event_stream()?;
    events.heartbeat(Duration::from_millis(20));
    events.send(Event::new("hello\nyou").name("greeting")).await?;
    match topic.starts_with("kept") {
        true if topic.ends_with("/replayed") => events.resume_from(&topic, Start::Last(2))?,
        true => events.resume(&topic)?,
        false => events.subscribe(&topic)?,
    };
    events.run().await
}

/// Subscribes to two topics and unsubscribes from one.
async fn fickle(cx: &mut Context) -> Result {
    let mut events = cx.event_stream()?;
    assert!(!events.unsubscribe("rooms/1")?, "it follows nothing yet");
    events.subscribe("rooms/1")?;
    events.subscribe("rooms/2")?;
    assert!(events.unsubscribe("rooms/1")?);
    assert!(!events.unsubscribe("rooms/1")?, "it did so before");
    for text in ["*", "rooms/*", "rooms/**"] {
        assert!(events.subscribe(text).is_err(), "{text}");
        assert!(events.unsubscribe(text).is_err(), "{text}");
        assert!(events.subscribe_from(text, Start::Last(1)).is_err(), "{text}");
        assert!(events.resume(text).is_err(), "{text}");
        assert!(events.resume_from(text, Start::Last(1)).is_err(), "{text}");
    }
    assert!(events.subscribe_pattern("halls/*")?);
    assert!(!events.subscribe_pattern("halls/*")?, "it does so already");
    assert!(events.unsubscribe_pattern("halls/*")?);
    assert!(events.subscribe_pattern("courts/*")?);
    events.send(Event::new("hello\nyou").name("greeting")).await?;
    events.run().await
}

/// A server with the topic options of every test here, and the sender that unblocks a shard.
fn serve(shards: usize) -> (Running, Sender<()>) {
    let (go, go_on) = unbounded();
    let application = move || {
        let go_on = go_on.clone();
        Application::new()
            .websocket("/ws", async move |_: &mut Context| {
                Ok(CommandHandler { go_on: go_on.clone() })
            })
            .websocket_with(
                "/ws/deflating",
                WebSocketOptions::default().deflate(DeflateConfig::default()),
                async |_: &mut Context| Ok(CompressedSubscriber),
            )
            .get("/presence/{*topic}", presence)
            .get("/count/{*topic}", count)
            .get("/missed", missed)
            .get("/overtake", overtake)
            .get("/events/{*topic}", events)
            .get("/fickle", fickle)
    };
    let kept = TopicOptions::default().history(HistoryLimits::default().max_messages(1000).max_bytes(8 << 20));
    let server = Server::new(application)
        .shards(shards)
        .topic("kept/**", kept.envelope(Envelope::Json))
        .topic(
            "short/*",
            TopicOptions::default().history(HistoryLimits::default().max_messages(10)),
        )
        .topic("resync", kept.slow_consumer(SlowConsumer::Resync))
        .topic("oldest", TopicOptions::default().tell_missed(true))
        .topic(
            "latest",
            TopicOptions::default()
                .slow_consumer(SlowConsumer::Conflate)
                .tell_missed(true),
        )
        .topic(
            "closed",
            TopicOptions::default().slow_consumer(SlowConsumer::Close(squall::message::CloseCode::TRY_AGAIN_LATER)),
        )
        .topic("rooms/*", TopicOptions::default().count_subscribers(true))
        .topic("texts", TopicOptions::default().envelope(Envelope::Text))
        .topic("compressed", TopicOptions::default().compress(true));
    (Running::serve(server), go)
}

/// A socket whose handler runs the commands it receives.
struct Socket {
    client: Client<TcpStream>,
    shard: usize,
}

impl Socket {
    fn open(server: &Running) -> Self {
        let mut client = server.connect("/ws");
        let shard = read(&mut client).to_text().unwrap().parse().unwrap();
        Self { client, shard }
    }

    /// Opens sockets until one is on the given shard: the kernel chooses the shard.
    fn on(server: &Running, shard: usize) -> Self {
        let mut sockets = std::iter::repeat_with(|| Self::open(server)).take(CONNECTIONS_MAX);
        sockets.find(|socket| socket.shard == shard).unwrap()
    }

    fn say(&mut self, words: &str) {
        self.client.send(Frame::text(words)).unwrap();
    }

    fn tell(&mut self, words: &str) {
        self.say(words);
        assert_eq!(self.text(), "done", "{words}");
    }

    fn text(&mut self) -> String {
        read(&mut self.client).to_text().unwrap().to_owned()
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

fn get(server: &Running, path: &str) -> String {
    let response = server.get(path);
    response.expect_status(200).unwrap();
    String::from_utf8(response.body).unwrap()
}

/// Which of two shards owns a topic, and numbers its messages.
fn owner(topic: &str) -> usize {
    Topic::new(topic).unwrap().owner(NonZeroUsize::new(2).unwrap())
}

/// Names of topics that shard 0 and shard 1 own.
fn topics_of_both(prefix: &str) -> [String; 2] {
    [0, 1].map(|shard| {
        let mut names = (0..).map(|number| format!("{prefix}/{number}"));
        names.find(|name| owner(name) == shard).unwrap()
    })
}

fn data(value: &Value) -> u64 {
    value["data"].as_u64().unwrap()
}

#[test]
fn a_history_gives_positions_and_missed_messages_on_every_owner_shard() {
    let (server, _go) = serve(2);
    for topic in topics_of_both("kept") {
        let mut early = Socket::on(&server, 0);
        early.tell(&format!("subscribe {topic}"));
        let publish = |early: &mut Socket, number: u64| {
            server.publisher.publish(&topic, number.to_string()).blocking().unwrap();
            let message = early.json();
            assert_eq!((&message["topic"], data(&message)), (&topic.clone().into(), number));
            message
        };
        let mut seen: Vec<Value> = (0..5).map(|number| publish(&mut early, number)).collect();
        for shard in [0, 1] {
            let (third, last) = (seen[2]["position"].clone(), seen.last().unwrap()["position"].clone());
            let third = third.as_str().unwrap();
            let mut back = Socket::on(&server, shard);
            back.tell(&format!("after {third} {topic}"));
            assert!(seen[3..].iter().all(|message| back.json() == *message));
            let mut new = Socket::on(&server, shard);
            new.tell(&format!("last 2 {topic}"));
            assert_eq!([new.json(), new.json()], seen[seen.len() - 2..]);
            let mut lost = Socket::on(&server, shard);
            lost.tell(&format!("after 1:1 {topic}"));
            let gap = lost.json();
            assert_eq!(
                (&gap["topic"], &gap["gap"], &gap["position"]),
                (&topic.clone().into(), &"other-epoch".into(), &last)
            );
            let mut ahead = Socket::on(&server, shard);
            ahead.tell(&format!("after {}:99 {topic}", third.split(':').next().unwrap()));
            assert_eq!(ahead.json()["gap"], "not-yet");
            let live = publish(&mut early, seen.len() as u64);
            for socket in [&mut back, &mut new, &mut lost, &mut ahead] {
                assert_eq!(socket.json(), live);
            }
            seen.push(live);
        }
    }
}

#[test]
fn a_new_subscriber_of_an_empty_history_gets_its_position() {
    let (server, _go) = serve(2);
    for topic in topics_of_both("kept") {
        let position = |socket: &mut Socket| {
            let notice = socket.json();
            assert_eq!((notice.get("data"), notice.get("gap")), (None, None), "{notice}");
            assert_eq!(notice["topic"], *topic);
            notice["position"].as_str().unwrap().to_owned()
        };
        for shard in [0, 1] {
            let mut new = Socket::on(&server, shard);
            new.tell(&format!("last 0 {topic}"));
            let place = position(&mut new);
            let mut back = Socket::on(&server, shard);
            back.tell(&format!("after {place} {topic}"));
            assert_eq!(position(&mut back), place, "nothing is missing");
            drop(new);
            server.publisher.publish(&topic, "1").blocking().unwrap();
            assert_eq!(data(&back.json()), 1);
            let mut late = Socket::on(&server, shard);
            late.tell(&format!("after {place} {topic}"));
            assert_eq!(data(&late.json()), 1);
        }
    }
    let mut bare = Socket::open(&server);
    bare.tell("last 5 short/1");
    server.publisher.publish("short/1", "as it is").blocking().unwrap();
    assert_eq!(bare.text(), "as it is", "a plain subscriber gets no position");
}

#[test]
fn a_history_that_is_too_short_says_so() {
    let (server, _go) = serve(1);
    let mut socket = Socket::open(&server);
    let epoch = {
        let receipt = pollster::block_on(server.publisher.publish("short/1", "0").confirm()).unwrap();
        assert_eq!(receipt, Receipt::default());
        let mut peek = Socket::open(&server);
        peek.tell("after 1:1 short/1");
        let gap = peek.json();
        gap["position"].as_str().unwrap().split(':').next().unwrap().to_owned()
    };
    for number in 1..=20 {
        pollster::block_on(server.publisher.publish("short/1", number.to_string()).confirm()).unwrap();
    }
    socket.tell(&format!("after {epoch}:1 short/1"));
    let gap = socket.json();
    assert_eq!(gap["gap"], "expired");
    assert_eq!(gap["position"], format!("{epoch}:21"));
}

#[test]
fn a_refused_resume_leaves_no_subscription_and_can_be_repeated() {
    let (server, _go) = serve(1);
    let mut socket = Socket::open(&server);
    let more = RESYNCS_MAX + 6;
    socket.say(&format!("resume {more} kept/many"));
    assert_eq!(socket.text(), "6 refused");
    for number in 0..RESYNCS_MAX {
        assert_eq!(socket.json()["topic"], format!("kept/many/{number}"), "where it stands");
    }
    let last = format!("kept/many/{}", more - 1);
    // Wait until the history has it.
    pollster::block_on(server.publisher.publish(&last, "1").confirm()).unwrap();
    socket.tell(&format!("last 1 {last}"));
    assert_eq!(data(&socket.json()), 1);
    server.publisher.publish(&last, "2").blocking().unwrap();
    assert_eq!(data(&socket.json()), 2);
}

/// A blocked shard takes nothing from its queue, which holds 256 messages.
#[test]
fn a_blocked_shard_catches_up_from_the_history() {
    let (server, go) = serve(2);
    for topic in topics_of_both("kept") {
        let owner = owner(&topic);
        let mut there = Socket::on(&server, owner);
        let mut elsewhere = Socket::on(&server, 1 - owner);
        there.tell(&format!("subscribe {topic}"));
        elsewhere.tell(&format!("subscribe {topic}"));
        // A client that connects now may be on the shard that blocks next.
        let mut publisher = Socket::on(&server, owner);
        let mut still = Socket::on(&server, 1 - owner);
        still.say("stand-still");
        assert_eq!(still.text(), "still");
        publisher.say(&format!("burst 900 0 {topic}"));
        for number in 0..900 {
            assert_eq!(data(&there.json()), number, "the other subscribers do not wait for it");
        }
        go.send(()).unwrap();
        for number in 0..900 {
            assert_eq!(data(&elsewhere.json()), number);
        }
        publisher.tell(&format!("publish {topic} 900"));
        assert_eq!(data(&elsewhere.json()), 900);
    }
}

#[test]
fn a_slow_subscriber_gets_the_count_of_missed_messages() {
    let (server, _go) = serve(1);
    let mut socket = Socket::open(&server);
    socket.tell("subscribe oldest");
    socket.say("burst 1000 1000 oldest");
    let (mut seen, mut missed, mut expected) = (0, 0, 0);
    while expected < 1000 {
        let text = socket.text();
        if let Ok(number) = text.trim().parse::<u64>() {
            assert_eq!(number, expected, "in order, and no hole without a word");
            seen += 1;
            expected += 1;
        } else {
            let notice: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(notice["topic"], "oldest");
            missed += notice["missed"].as_u64().unwrap();
            expected += notice["missed"].as_u64().unwrap();
        }
    }
    assert!(
        missed > 500,
        "256 KiB may wait, and a thousand times 1 KiB were published"
    );
    assert_eq!(seen + missed, 1000);
    assert_eq!(get(&server, "/missed"), missed.to_string());
}

#[test]
fn a_slow_subscriber_of_a_conflated_topic_gets_the_latest_value_of_every_key() {
    let (server, _go) = serve(1);
    let mut socket = Socket::open(&server);
    socket.tell("subscribe latest");
    socket.say("burst 3000 1000 latest");
    let mut last = [None; 3];
    let mut count = 0;
    while last != [Some(2997), Some(2998), Some(2999)] {
        let number: u64 = socket.text().trim().parse().unwrap();
        last[(number % 3) as usize] = Some(number);
        count += 1;
    }
    assert!(count < 1000, "{count} of 3000");
    assert_eq!(get(&server, "/missed"), "0", "a value that was overtaken is not missed");
}

#[test]
fn a_slow_subscriber_of_a_topic_that_closes_is_closed_with_its_code() {
    let (server, _go) = serve(1);
    let mut socket = Socket::open(&server);
    socket.tell("subscribe closed");
    socket.say("burst 1000 1000 closed");
    let code = loop {
        match read(&mut socket.client) {
            Frame::Text(_) => {}
            Frame::Close(frame) => break frame.unwrap().code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, CloseCode::Again);
    let mut other = Socket::open(&server);
    other.say("wrong");
    assert_eq!(close_code(&mut other.client), CloseCode::Error);
}

#[test]
fn a_slow_subscriber_of_a_topic_that_resyncs_gets_everything_in_order() {
    let (server, _go) = serve(2);
    for shard in [0, 1] {
        let mut socket = Socket::on(&server, shard);
        let mut publisher = Socket::on(&server, owner("resync"));
        socket.tell("subscribe resync");
        publisher.say("burst 1000 1000 resync");
        for number in 0..1000 {
            assert_eq!(socket.text().trim(), number.to_string());
        }
    }
    assert_eq!(get(&server, "/missed"), "0");
}

#[test]
fn a_receipt_reports_deliveries_on_all_shards() {
    let (server, _go) = serve(2);
    let [kept, _] = topics_of_both("kept");
    for topic in ["rooms/7", &kept] {
        let mut sockets: Vec<_> = (0..20).map(|_| Socket::open(&server)).collect();
        for socket in &mut sockets {
            socket.tell(&format!("subscribe {topic}"));
        }
        let receipt = pollster::block_on(server.publisher.publish(topic, "7").confirm()).unwrap();
        assert_eq!((receipt.matched, receipt.queued, receipt.missed()), (20, 20, 0));
    }
}

#[test]
fn a_receipt_counts_conflated_messages() {
    let (server, _go) = serve(1);
    let mut socket = Socket::open(&server);
    socket.tell("subscribe latest");
    // One message stays for each key, and the last replaces the earlier one of its key.
    let overtaken = OVERTAKEN - 3 + 1;
    assert_eq!(get(&server, "/overtake"), overtaken.to_string());
    while socket.text().len() < 100_000 {}
    socket.say("overtake latest");
    let answer = loop {
        let text = socket.text();
        if !text.trim().is_empty() && text != "unkeyed" {
            break text;
        }
    };
    assert_eq!(answer, format!("0 {overtaken} 0"));
    let receipt = server.publisher.publish("latest", "7").key("0").confirm();
    assert_eq!(pollster::block_on(receipt).unwrap().queued, 1);
}

/// A client named `*` gets only its own topic: only `subscribe_pattern` subscribes to a pattern.
#[test]
fn only_subscribe_pattern_subscribes_to_a_pattern() {
    let (server, _go) = serve(1);
    let mut socket = Socket::open(&server);
    let mut tried = |call: &str, text: &str| {
        socket.say(&format!("try {call} {text}"));
        socket.text()
    };
    let matched = |topic: &str| {
        let receipt = server.publisher.publish(topic, "7").confirm();
        pollster::block_on(receipt).unwrap().matched
    };
    for text in ["*", "**", "rooms/*", "rooms/**", "rooms/a*", "*/1", "kept/*"] {
        for call in ["subscribe", "subscribe_from", "unsubscribe"] {
            let answer = tried(call, text);
            assert!(answer.contains("contains `*`"), "{call} {text}: {answer}");
        }
        assert!(server.publisher.subscribe_blocking(text).is_err(), "{text}");
    }
    assert_eq!((matched("1"), matched("rooms/1"), matched("kept/1")), (0, 0, 0));
    assert_eq!(tried("subscribe_pattern", "halls/*"), "true");
    assert_eq!(tried("subscribe_pattern", "halls/*"), "false");
    assert_eq!(tried("unsubscribe", "halls/1"), "false", "a pattern is not a topic");
    assert_eq!(
        tried("unsubscribe_pattern", "halls/**"),
        "false",
        "and no other pattern"
    );
    assert_eq!(matched("halls/1"), 1);
    let mut heard = [tried("unsubscribe_pattern", "halls/*"), socket.text()];
    heard.sort();
    assert_eq!(heard, ["7", "true"], "the message it heard, and the answer");
    assert_eq!(matched("halls/1"), 0);
}

/// As `publish` and `send` document: sent messages go ahead of waiting topic messages, and each kind keeps its order.
#[test]
fn sent_messages_go_ahead_of_earlier_publications() {
    let (server, _go) = serve(2);
    let mut socket = Socket::on(&server, 0);
    for topic in ["rooms/1", "oldest"] {
        socket.tell(&format!("subscribe {topic}"));
        socket.say(&format!("interleave {topic}"));
        let heard: Vec<_> = (0..4).map(|_| socket.text()).collect();
        assert_eq!(heard, ["sent 1", "sent 2", "published 1", "published 2"], "{topic}");
    }
}

#[test]
fn presence_and_counts_cover_all_shards_and_end_with_the_socket() {
    let (server, _go) = serve(2);
    let mut here = Socket::on(&server, 0);
    let mut there = Socket::on(&server, 1);
    for (socket, name) in [(&mut here, "ada"), (&mut there, "grace")] {
        socket.tell("subscribe rooms/1");
        socket.tell(&format!("present rooms/1 {name}"));
    }
    assert_eq!(get(&server, "/presence/rooms/1"), "2 ada grace");
    here.tell("present rooms/1 bob");
    assert_eq!(get(&server, "/presence/rooms/1"), "2 bob grace");
    eventually("both are counted", || get(&server, "/count/rooms/1") == "2");
    let counting = |socket: &mut Socket| {
        socket.say("count rooms/1");
        socket.text()
    };
    eventually("by sockets too", || counting(&mut here) == "2");
    there.client.close(None).unwrap();
    while there.client.read().is_ok() {}
    eventually("one has gone", || get(&server, "/presence/rooms/1") == "1 bob");
    here.tell("unsubscribe rooms/1");
    assert_eq!(get(&server, "/presence/rooms/1"), "0 ");
    eventually("the topic has no subscriber left", || {
        get(&server, "/count/rooms/1") == "0"
    });
}

/// Asks again until the condition holds; each answer takes a round trip.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut tries = 0;
    while !is_so() {
        tries += 1;
        assert!(tries < 10_000, "{what}");
    }
}

/// An event stream, parsed without Squall's code.
struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    fn open(server: &Running, path: &str, last_event_id: impl AsRef<[u8]>) -> Self {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n").into_bytes();
        if !last_event_id.as_ref().is_empty() {
            request.extend([b"Last-Event-ID: ", last_event_id.as_ref(), b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        stream.write_all(&request).unwrap();
        let mut events = Self {
            lines: BufReader::new(stream),
        };
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&events.line());
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(
            head.contains("content-type: text/event-stream\r\n")
                || head.contains("Content-Type: text/event-stream\r\n"),
            "{head}"
        );
        assert_eq!(events.next(), ["event: greeting", "data: hello", "data: you"]);
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// The lines of the next event. Skips comments and chunk sizes, which end in CR.
    fn next(&mut self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let line = self.line();
            match line.strip_suffix('\n').unwrap() {
                "" if !lines.is_empty() => return lines,
                "" | ":" => {}
                chunk if chunk.ends_with('\r') => {}
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// The next event, which must have only an id.
    fn next_id(&mut self) -> String {
        let lines = self.next();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].strip_prefix("id: ").unwrap().to_owned()
    }

    /// Reads on to the next comment.
    fn heartbeat(&mut self) {
        while self.line() != ":\n" {}
    }
}

#[test]
fn an_event_stream_resumes_by_last_event_id() {
    let (server, _go) = serve(2);
    let [topic, _] = topics_of_both("kept");
    let path = format!("/events/{topic}");
    let mut events = Events::open(&server, &path, "");
    events.next_id();
    events.heartbeat();
    let confirmed = |message: &str| pollster::block_on(server.publisher.publish(&topic, message).confirm()).unwrap();
    assert_eq!(confirmed("1").queued, 1);
    let first = events.next();
    let id = first[0].strip_prefix("id: ").unwrap().to_owned();
    assert_eq!(
        first[1],
        format!("data: {{\"topic\":\"{topic}\",\"position\":\"{id}\",\"data\":1}}")
    );
    drop(events);
    confirmed("2");
    let mut events = Events::open(&server, &path, &id);
    assert!(events.next()[1].ends_with("\"data\":2}"));
    let mut plain = Events::open(&server, "/events/plain", "");
    plain.heartbeat();
    server.publisher.publish("plain", "one\ntwo").try_now().unwrap();
    server.publisher.publish("plain", vec![0_u8, 255]).try_now().unwrap();
    assert_eq!(plain.next(), ["data: one", "data: two"]);
    assert_eq!(plain.next(), ["event: binary", "data: AP8="]);
}

#[test]
fn a_first_event_stream_begins_at_its_start_and_a_later_one_after_its_last_event() {
    let (server, _go) = serve(2);
    let path = "/events/kept/replayed";
    for message in ["1", "2", "3"] {
        pollster::block_on(server.publisher.publish("kept/replayed", message).confirm()).unwrap();
    }
    let mut first = Events::open(&server, path, "");
    let second_message = first.next();
    assert!(second_message[1].ends_with("\"data\":2}"), "{second_message:?}");
    assert!(first.next()[1].ends_with("\"data\":3}"));
    let id = second_message[0].strip_prefix("id: ").unwrap();
    assert!(Events::open(&server, path, id).next()[1].ends_with("\"data\":3}"));
}

#[test]
fn an_event_stream_stops_after_unsubscribe() {
    let (server, _go) = serve(2);
    let mut events = Events::open(&server, "/fickle", "");
    let confirmed = |topic| pollster::block_on(server.publisher.publish(topic, topic).confirm()).unwrap();
    assert_eq!((confirmed("rooms/1").matched, confirmed("rooms/2").matched), (0, 1));
    assert_eq!(events.next(), ["data: rooms/2"]);
    assert_eq!((confirmed("halls/1").matched, confirmed("courts/1").matched), (0, 1));
    assert_eq!(events.next(), ["data: courts/1"]);
}

/// HTML standard, "Server-sent events", "dispatch the event": the browser keeps an id without data and fires no
/// event.
#[test]
fn an_event_stream_resumes_before_its_first_event() {
    let (server, _go) = serve(2);
    for topic in topics_of_both("kept") {
        let path = format!("/events/{topic}");
        let confirmed =
            |message: &str| pollster::block_on(server.publisher.publish(&topic, message).confirm()).unwrap();
        let before_all = Events::open(&server, &path, "").next_id();
        assert_eq!(
            Events::open(&server, &path, &before_all).next_id(),
            before_all,
            "nothing is missing"
        );
        confirmed("1");
        let mut events = Events::open(&server, &path, &before_all);
        let first = events.next();
        assert!(first[1].ends_with("\"data\":1}"), "{first:?}");
        let behind_first = Events::open(&server, &path, "").next_id();
        assert_eq!(first[0], format!("id: {behind_first}"));
        confirmed("2");
        let second = Events::open(&server, &path, &behind_first).next();
        assert!(second[1].ends_with("\"data\":2}"), "{second:?}");
    }
}

#[test]
fn an_invalid_last_event_id_is_reported_as_a_gap() {
    let (server, _go) = serve(2);
    for topic in topics_of_both("kept") {
        let path = format!("/events/{topic}");
        pollster::block_on(server.publisher.publish(&topic, "1").confirm()).unwrap();
        let ids: [&[u8]; 5] = [b"1:1", b"7", b"1:1:1", b"0:0", b"\xff"];
        for id in ids {
            let notice = Events::open(&server, &path, id).next();
            let last = notice[0].strip_prefix("id: ").unwrap();
            let words = format!("data: {{\"topic\":\"{topic}\",\"gap\":\"other-epoch\",\"position\":\"{last}\"}}");
            assert_eq!(notice[1..], ["event: notice".to_owned(), words]);
            assert_eq!(Events::open(&server, &path, last).next_id(), last, "nothing is missing");
        }
    }
}

#[test]
fn a_graceful_stop_ends_streams_of_events() {
    let (server, _go) = serve(1);
    let mut events = Events::open(&server, "/events/plain", "");
    events.heartbeat();
    server.stopper.stop(squall::shards::Stop::Graceful);
    while events.line() != "0\r\n" {}
}

/// RFC 7692 §7.2.3.6: a peer accepts references within its window, and any uncompressed message.
#[test]
fn a_compressed_topic_compresses_for_subscribers_that_negotiated_it() {
    use support::websocket::{Client, handshake};
    let (server, _go) = serve(2);
    let message = "tick ".repeat(400);
    let offers = [
        ("", 0x81),
        ("Sec-WebSocket-Extensions: permessage-deflate\r\n", 0xc1),
        (
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=11\r\n",
            0xc1,
        ),
        (
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n",
            0x81,
        ),
    ];
    let mut clients = offers.map(|(offer, first)| {
        let (mut client, _) = Client::open_with(server.address, &handshake("/ws/deflating", offer), b"");
        client.expect(0x81, b"open");
        (client, first)
    });
    for _ in 0..3 {
        server
            .publisher
            .publish("compressed", message.as_str())
            .blocking()
            .unwrap();
        for (client, first) in &mut clients {
            let frame = client.frame();
            assert_eq!(frame.first, *first);
            match frame.first {
                0x81 => assert_eq!(frame.payload, message.as_bytes()),
                _ => assert!(frame.payload.len() < 60, "{}", frame.payload.len()),
            }
        }
    }
}

#[test]
fn a_message_against_the_topics_rules_is_the_publishers_error() {
    let (server, _go) = serve(1);
    assert!(server.publisher.publish("kept/1", "no JSON").try_now().is_err());
    assert!(server.publisher.publish("texts", vec![1_u8]).try_now().is_err());
    assert!(server.publisher.publish("a/*", "x").try_now().is_err());
    let mut socket = Socket::open(&server);
    socket.tell("subscribe texts");
    server.publisher.publish("texts", "say \"hi\"").try_now().unwrap();
    assert_eq!(socket.json()["data"], "say \"hi\"");
    socket.say("last 3 texts");
    assert_eq!(close_code(&mut socket.client), CloseCode::Error, "it has no history");
    let refused = Server::new(Application::new)
        .topic("a", TopicOptions::default().slow_consumer(SlowConsumer::Resync))
        .listen("127.0.0.1:0")
        .bind()
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "could not add the rule for the topics `a`: a topic with SlowConsumer::Resync needs a history; \
         add .history(HistoryLimits::default()) to its options"
    );
}

/// What a subscription outside the shards gets: the text, or the number of missed messages.
fn heard(subscription: &mut Subscription) -> Result<String, u64> {
    match subscription.next_blocking().unwrap() {
        TopicEvent::Message { message, .. } => Ok(message.as_str().unwrap().to_owned()),
        TopicEvent::Notice(Notice::Missed(missed)) => Err(missed.count),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_thread_outside_the_shards_receives_topics_until_it_drops_its_subscription() {
    let (server, _go) = serve(2);
    let mut rooms = server.publisher.subscribe_pattern_blocking("rooms/*").unwrap();
    assert_eq!(get(&server, "/count/rooms/1"), "0", "a pattern counts for no topic");
    for shard in [0, 1] {
        let mut socket = Socket::on(&server, shard);
        socket.tell(&format!("publish rooms/{shard} hello"));
        let Some(TopicEvent::Message { topic, message, .. }) = rooms.next_blocking() else {
            panic!("a message was published");
        };
        assert_eq!(
            (topic.as_str(), message.as_str()),
            (&*format!("rooms/{shard}"), Some("hello"))
        );
    }
    let mut kept = server.publisher.subscribe_blocking("kept/x").unwrap();
    server.publisher.publish("kept/x", "7").blocking().unwrap();
    let Some(TopicEvent::Message { message, position, .. }) = kept.next_blocking() else {
        panic!("a message was published");
    };
    assert_eq!(position.unwrap().sequence, 1);
    assert!(message.as_str().unwrap().ends_with("\"data\":7}"), "in its envelope");
    drop(rooms);
    eventually("it is unsubscribed", || {
        let receipt = server.publisher.publish("rooms/1", "anyone?").confirm();
        pollster::block_on(receipt).unwrap().matched == 0
    });
    assert!(server.publisher.subscribe_blocking("a//b").is_err());
    drop(server);
    assert_eq!(kept.next_blocking(), None, "the server has ended");
}

/// Its queue is in the same table as those of sockets, under the same policies.
#[test]
fn a_slow_thread_outside_gets_the_count_of_missed_messages() {
    let (server, _go) = serve(1);
    let mut slow = server.publisher.subscribe_blocking("oldest").unwrap();
    for number in 0..1000 {
        let text = format!("{number}{}", " ".repeat(1024));
        pollster::block_on(server.publisher.publish("oldest", text).confirm()).unwrap();
    }
    let (mut next, mut missed) = (0, 0);
    while next < 1000 {
        match heard(&mut slow) {
            Ok(text) => {
                assert_eq!(text.trim_end(), next.to_string());
                next += 1;
            }
            Err(count) => {
                next += count;
                missed += count;
            }
        }
    }
    assert!(
        missed > 500,
        "256 KiB may wait, and a thousand times 1 KiB were published"
    );
    assert_eq!(get(&server, "/missed"), missed.to_string());
}
