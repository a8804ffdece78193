//! The futures of topics, from handlers and from threads outside the shards, on two shards.

use std::net::TcpStream;

use crossbeam::channel::{Receiver, Sender, unbounded};
use squall::prelude::*;
use squall::shards::Shard;
use squall::websocket::Message;
use squall::{Subscription, TopicEvent};
use tungstenite::{Message as Frame, WebSocket as Client};

use crate::harness::{
    Running, StateSender, TIME_LIMIT, at_every_poll, dropped_after, dropped_after_telling, eventually, line,
};
use crate::support::client::Connection;
use crate::support::running::read;

/// More connections than are needed to find one on each of two shards.
const CONNECTIONS_MAX: usize = 200;

/// The ways to publish.
const WAYS: [&str; 4] = ["plain", "keyed", "confirmed", "keyed-confirmed"];

/// Runs the command in each message.
struct CommandHandler {
    says: StateSender,
    still: BlockedShard,
}

/// Blocks a shard at the test's command until the next command.
#[derive(Clone)]
struct BlockedShard {
    stands: Sender<()>,
    go_on: Receiver<()>,
}

/// The test's end of a [`BlockedShard`].
struct ShardBlocker {
    stands: Receiver<()>,
    go_on: Sender<()>,
}

impl ShardBlocker {
    /// Blocks the shard of a socket.
    fn stop(&self, socket: &mut Socket) {
        socket.say("stand-still");
        self.stands.recv_timeout(TIME_LIMIT).unwrap();
    }

    fn go_on(&self) {
        self.go_on.send(()).unwrap();
    }
}

/// Publishes in one of the ways, with any publisher.
macro_rules! publish {
    ($with:expr, $way:expr, $topic:expr, $message:expr) => {
        async {
            match $way {
                "plain" => $with.publish($topic, $message).await,
                "keyed" => $with.publish($topic, $message).key("key").await,
                "confirmed" => $with.publish($topic, $message).confirm().await.map(drop),
                "keyed-confirmed" => $with.publish($topic, $message).key("key").confirm().await.map(drop),
                other => panic!("what is {other}?"),
            }
        }
    };
}

/// Fills the queues, drops a waiting publication at every poll, and publishes once more.
macro_rules! give_up {
    ($with:expr, $way:expr, $polls:expr, $says:expr) => {{
        // The sent ones, and the first that was not sent.
        while dropped_after(1, $with.publish("filling", "filling")).await.is_some() {}
        let given_up = publish!($with, $way, "news", "given up");
        $says.dropped_after($polls, given_up).await.transpose()?;
        $with.publish("news", "after").await?;
    }};
}

impl WebSocketHandler for CommandHandler {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        Ok(ws.send(Shard::current().id().index().to_string()).await?)
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let text = message.as_str().unwrap_or_default().to_owned();
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["subscribe", topic] => drop(ws.subscribe(topic)?),
            ["stand-still"] => {
                self.still.stands.send(())?;
                self.still.go_on.recv_timeout(TIME_LIMIT)?;
                return Ok(());
            }
            ["give-up", way, polls] => give_up!(ws, way, polls.parse()?, self.says),
            ["ask", what, polls] => {
                let polls = polls.parse()?;
                ws.set_presence("news", "Ada").unwrap_or_default();
                match what {
                    "presence" => {
                        self.says.dropped_after(polls, ws.topics().presence("news")).await;
                        let there = ws.topics().presence("news").await?;
                        return Ok(ws.send(format!("{} {}", there.count, there.names.join(" "))).await?);
                    }
                    _ => {
                        self.says.dropped_after(polls, ws.topics().statistics()).await;
                        return Ok(ws.send(ws.topics().statistics().await?.subscribers.to_string()).await?);
                    }
                }
            }
            _ => panic!("what is {text:?}?"),
        }
        Ok(ws.send("done").await?)
    }
}

fn serve(says: StateSender) -> (Running, ShardBlocker) {
    let ((stands, stood), (go, go_on)) = (unbounded(), unbounded());
    let still = BlockedShard { stands, go_on };
    let server = Running::start(2, move || {
        let (says, still) = (says.clone(), still.clone());
        let says_of = [says.clone(), says.clone(), says.clone()];
        let [publishing, present, statistics] = says_of;
        Application::new()
            .websocket("/ws", async move |_: &mut Context| {
                Ok(CommandHandler {
                    says: says.clone(),
                    still: still.clone(),
                })
            })
            .get("/shard", async |_: &mut Context| {
                Shard::current().id().index().to_string()
            })
            .get("/give-up/{way}/{polls}", async move |cx: &mut Context| -> Result {
                let (way, polls) = (cx.param::<String>("way")?, cx.param("polls")?);
                give_up!(cx, way.as_str(), polls, publishing);
                Ok(())
            })
            .get("/presence/{polls}", async move |cx: &mut Context| -> Result<String> {
                let polls = cx.param("polls")?;
                present.dropped_after(polls, cx.topics().presence("news")).await;
                let there = cx.topics().presence("news").await?;
                Ok(format!("{} {}", there.count, there.names.join(" ")))
            })
            .get("/statistics/{polls}", async move |cx: &mut Context| -> Result<String> {
                let polls = cx.param("polls")?;
                statistics.dropped_after(polls, cx.topics().statistics()).await;
                Ok(cx.topics().statistics().await?.subscribers.to_string())
            })
    });
    let go = ShardBlocker {
        stands: stood,
        go_on: go,
    };
    (server, go)
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

    /// Whether the dropped publication arrives, before the one behind it.
    fn hears_given_up(&mut self) -> bool {
        let first = self.text();
        if first == "given up" {
            assert_eq!(self.text(), "after");
            return true;
        }
        assert_eq!(first, "after");
        false
    }
}

/// A handler on shard 0 drops its publication while shard 1 is blocked. Returns whether it was ready.
fn given_up(
    server: &Running,
    go: &ShardBlocker,
    hears: &crate::harness::StateReceiver,
    polls: usize,
    by: impl FnOnce(),
) -> bool {
    let mut here = Socket::on(server, 0);
    let mut there = Socket::on(server, 1);
    let mut still = Socket::on(server, 1);
    here.tell("subscribe news");
    there.tell("subscribe news");
    go.stop(&mut still);
    by();
    let mut goes = Some(());
    let is_ready = hears.until_over(|| {
        if goes.take().is_some() {
            go.go_on();
        }
    });
    if goes.is_some() {
        go.go_on();
    }
    let expected = polls > 0;
    assert_eq!(here.hears_given_up(), expected, "on its own shard, after {polls} polls");
    assert_eq!(
        there.hears_given_up(),
        expected,
        "on the other shard, after {polls} polls"
    );
    is_ready
}

#[test]
fn a_dropped_publication_of_a_socket_reaches_every_shard() {
    let (says, hears) = line();
    let (server, go) = serve(says);
    for way in WAYS {
        at_every_poll(|polls| {
            let mut publisher = Socket::on(&server, 0);
            given_up(&server, &go, &hears, polls, || {
                publisher.say(&format!("give-up {way} {polls}"))
            })
        });
    }
}

#[test]
fn a_dropped_publication_of_a_context_reaches_every_shard() {
    let (says, hears) = line();
    let (server, go) = serve(says);
    for way in WAYS {
        at_every_poll(|polls| {
            let mut connection = std::iter::repeat_with(|| Connection::open(server.address))
                .take(CONNECTIONS_MAX)
                .find_map(|mut connection| {
                    let shard = shard_of(&mut connection);
                    (shard == 0).then_some(connection)
                })
                .unwrap();
            let request = format!("GET /give-up/{way}/{polls} HTTP/1.1\r\nHost: a\r\n\r\n");
            let is_ready = given_up(&server, &go, &hears, polls, || {
                connection.send(request.as_bytes()).unwrap()
            });
            connection.response("GET").unwrap().expect_status(200).unwrap();
            is_ready
        });
    }
}

/// Which shard a connection is on.
fn shard_of(connection: &mut Connection) -> usize {
    let request = b"GET /shard HTTP/1.1\r\nHost: a\r\n\r\n";
    let response = connection.exchange(request, "GET").unwrap();
    String::from_utf8(response.body).unwrap().parse().unwrap()
}

#[test]
fn presence_is_asked_again_after_a_dropped_answer() {
    let (says, hears) = line();
    let (server, _go) = serve(says);
    let mut ada = Socket::on(&server, 1);
    ada.tell("subscribe news");
    for (what, answer) in [("presence", "1 Ada"), ("statistics", "1")] {
        at_every_poll(|polls| {
            ada.say(&format!("ask {what} {polls}"));
            let is_ready = hears.until_over(|| {});
            assert_eq!(ada.text(), answer, "{what}, dropped after {polls} polls");
            is_ready
        });
        at_every_poll(|polls| {
            let mut connection = Connection::open(server.address);
            let request = format!("GET /{what}/{polls} HTTP/1.1\r\nHost: a\r\n\r\n");
            connection.send(request.as_bytes()).unwrap();
            let is_ready = hears.until_over(|| {});
            let response = connection.response("GET").unwrap();
            response.expect(200, answer.as_bytes()).unwrap();
            is_ready
        });
    }
}

/// The test fills the shards' queues for other threads one after the other. The publication that waits for room is in
/// the publisher's future.
#[test]
fn a_dropped_publication_from_outside_is_lost_for_the_shards_not_yet_reached() {
    let (says, _hears) = line();
    let (server, go) = serve(says);
    for way in WAYS {
        for (still_shard, heard_on_0) in [(0, false), (1, true)] {
            at_every_poll(|polls| {
                let mut on_0 = Socket::on(&server, 0);
                let mut on_1 = Socket::on(&server, 1);
                let mut still = Socket::on(&server, still_shard);
                on_0.tell("subscribe news");
                on_1.tell("subscribe news");
                go.stop(&mut still);
                let awake = if still_shard == 0 { &mut on_1 } else { &mut on_0 };
                while server.publisher.publish("filling", "filling").try_now().is_ok() {
                    // When it answers, the running shard has taken in all of it.
                    awake.tell("subscribe news");
                }
                let mut goes = Some(());
                let publishing = publish!(server.publisher, way, "news", "given up");
                let published = pollster::block_on(dropped_after_telling(polls, publishing, |_| {
                    if goes.take().is_some() {
                        go.go_on();
                    }
                }));
                if goes.is_some() {
                    go.go_on();
                }
                server.publisher.publish("news", "after").blocking().unwrap();
                let is_ready = published.is_some();
                let was_polled_once = polls == 1;
                let (heard_0, heard_1) = (on_0.hears_given_up(), on_1.hears_given_up());
                assert!(
                    polls > 0 || !(heard_0 || heard_1),
                    "before its first poll it has done nothing"
                );
                assert!(!is_ready || heard_0 && heard_1, "{way}");
                if was_polled_once && !is_ready {
                    assert_eq!((heard_0, heard_1), (heard_on_0, false), "{way}");
                }
                is_ready
            });
        }
    }
}

#[test]
fn a_subscription_from_outside_that_is_dropped_before_it_is_made_leaves_no_subscriber() {
    let (says, hears) = line();
    let (server, _go) = serve(says);
    let subscribers = || {
        let mut connection = Connection::open(server.address);
        connection
            .send(b"GET /statistics/0 HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        hears.until_over(|| {});
        String::from_utf8(connection.response("GET").unwrap().body).unwrap()
    };
    let forgotten = |is_subscribed: bool| {
        eventually("the subscriber is forgotten", || subscribers() == "0");
        is_subscribed
    };
    let publisher = &server.publisher;
    at_every_poll(|polls| {
        let subscribed = pollster::block_on(dropped_after(polls, publisher.subscribe("news")));
        forgotten(subscribed.map(drop).is_some())
    });
    at_every_poll(|polls| {
        let subscribed = pollster::block_on(dropped_after(polls, publisher.subscribe_pattern("*")));
        forgotten(subscribed.map(drop).is_some())
    });
}

#[test]
fn a_dropped_subscription_wait_leaves_its_event_to_the_next() {
    let (says, _hears) = line();
    let (server, _go) = serve(says);
    let mut subscription: Subscription = server.publisher.subscribe_blocking("news").unwrap();
    at_every_poll(|polls| {
        let mut published = 0;
        let mut publish = || {
            server
                .publisher
                .publish("news", published.to_string())
                .blocking()
                .unwrap();
            published += 1;
        };
        let first = pollster::block_on(dropped_after_telling(polls, subscription.next(), |_| publish()));
        let is_ready = first.is_some();
        publish();
        let mut heard: Vec<TopicEvent> = first.into_iter().map(Option::unwrap).collect();
        while heard.len() < published {
            heard.push(subscription.next_blocking().unwrap());
        }
        for (number, heard) in heard.iter().enumerate() {
            let TopicEvent::Message { message, .. } = heard else {
                panic!("a notice")
            };
            assert_eq!(
                *message,
                Message::from(number.to_string()),
                "dropped after {polls} polls"
            );
        }
        is_ready
    });
}
