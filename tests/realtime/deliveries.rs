//! A million deliveries over four shards while subscribers join and leave. Each subscriber gets every publisher's
//! messages of a topic in order, without gaps and duplicates between its join and its leave.
//!
//! The plan of messages, joins and leaves is pseudo-random, the same in every run. A round has two halves. In the first
//! half subscribers join and leave while all publishers publish, so either may come first. The second half begins when
//! every join and leave is confirmed. So a joiner must get the end of the first half from some message on, and a leaver
//! its beginning. Of the second half, each gets all or nothing. A round holds less than a subscriber's queue, so
//! nothing is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use squall::Publisher;
use squall::prelude::*;
use squall::shards::Shard;
use squall::websocket::{Limits, Message};

use crate::support::running::Running;
use crate::support::websocket::{Client, frame};

const SHARDS: usize = 4;
/// One on each shard, and one on a thread outside.
const PUBLISHERS: usize = SHARDS + 1;
const TOPICS: usize = 8;
const SUBSCRIBERS: usize = 256;
/// Reader threads, each for an equal part of the subscribers.
const READERS: usize = 4;
const ROUNDS: usize = 18;
/// How many messages each publisher publishes in half a round.
const HALF_MESSAGES: usize = 50;
/// The topic number that marks the end of a round. All are subscribed to it.
const END: u8 = u8::MAX;

/// Everything that happens in a round.
struct Round {
    /// For each publisher, the topic of each of its messages.
    messages: Vec<Vec<u8>>,
    /// For each subscriber, the topic it joins or leaves.
    changes: Vec<Change>,
    /// For each subscriber, whether it is subscribed to each topic as the round begins.
    members: Vec<[bool; TOPICS]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    Join(usize),
    Leave(usize),
}

/// The publisher and the topic of a received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Source {
    publisher: usize,
    topic: usize,
}

/// How many messages of the round each publisher has begun to publish.
type Begun = Arc<[AtomicUsize; PUBLISHERS]>;

/// Generates all rounds.
fn plan() -> Vec<Round> {
    let mut random = Random(0x5eed);
    let mut members: Vec<[bool; TOPICS]> = (0..SUBSCRIBERS)
        .map(|_| std::array::from_fn(|_| random.below(2) == 0))
        .collect();
    (0..ROUNDS)
        .map(|_| {
            let messages = (0..PUBLISHERS).map(|_| {
                let topics = (0..2 * HALF_MESSAGES).map(|_| u8::try_from(random.below(TOPICS)).unwrap());
                topics.collect()
            });
            let messages = messages.collect();
            let before = members.clone();
            let changes = members.iter_mut().map(|members| {
                let topic = random.below(TOPICS + 2);
                let Some(is_member) = members.get_mut(topic) else {
                    return Change::Nothing;
                };
                *is_member = !*is_member;
                if *is_member {
                    Change::Join(topic)
                } else {
                    Change::Leave(topic)
                }
            });
            Round {
                messages,
                changes: changes.collect(),
                members: before,
            }
        })
        .collect()
}

#[test]
fn a_million_deliveries_come_in_order_and_whole_while_subscribers_join_and_leave() {
    let plan = Arc::new(plan());
    let begun: Begun = Arc::default();
    let server = {
        let begun = Arc::clone(&begun);
        Running::start(SHARDS, move || application(&begun))
    };
    let mut subscribers = open_subscribers(&server, &plan[0]);
    let publishers = open_publishers(&server);
    let outside = server.publisher.clone();
    let mut phases = Phases::default();
    let deliveries = std::thread::scope(|scope| {
        let (plan, begun) = (&plan, &begun);
        for (number, client) in publishers.into_iter().enumerate() {
            let halves = phases.waiter();
            scope.spawn(move || publish_on_a_shard(client, number, plan, &halves));
        }
        let halves = phases.waiter();
        scope.spawn(move || publish_outside(&outside, begun, plan, &halves));
        let readers: Vec<_> = subscribers
            .chunks_mut(SUBSCRIBERS / READERS)
            .enumerate()
            .map(|(part, subscribers)| {
                let halves = phases.waiter();
                scope.spawn(move || read(subscribers, part * SUBSCRIBERS / READERS, plan, begun, &halves))
            })
            .collect();
        phases.run(2 * ROUNDS);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<usize>()
    });
    assert!(deliveries >= 1_000_000, "{deliveries}");
}

/// Opens the subscribers on all shards, with their topics at the start of the first round.
fn open_subscribers(server: &Running, first: &Round) -> Vec<Client> {
    let mut shards = [0; SHARDS];
    let clients = first.members.iter().map(|members| {
        let mut client = Client::open(server.address, "/subscriber");
        shards[usize::from(client.frame().payload[0])] += 1;
        for topic in (0..TOPICS).filter(|topic| members[*topic]) {
            let command = format!("+{topic}");
            client.send(&frame(0x81, command.as_bytes()));
            client.expect(0x81, command.as_bytes());
        }
        client
    });
    let clients = clients.collect();
    assert!(!shards.contains(&0), "{shards:?}");
    clients
}

/// Opens connections until there is a publisher on every shard.
fn open_publishers(server: &Running) -> Vec<Client> {
    let mut found: HashMap<u8, Client> = HashMap::new();
    while found.len() < SHARDS {
        let mut client = Client::open(server.address, "/publisher");
        let shard = client.frame().payload[0];
        found.entry(shard).or_insert(client);
    }
    (0..u8::try_from(SHARDS).unwrap())
        .map(|shard| found.remove(&shard).unwrap())
        .collect()
}

/// Lets a handler publish its part of each round.
fn publish_on_a_shard(mut client: Client, number: usize, plan: &[Round], halves: &PhaseWaiter) {
    for round in plan {
        let messages = &round.messages[number];
        let (first, second) = messages.split_at(HALF_MESSAGES);
        for topics in [first.to_vec(), [second, &[END]].concat()] {
            halves.wait();
            client.send(&frame(0x82, &topics));
            client.expect(0x81, b"done");
        }
    }
}

/// Publishes from this thread, outside the shards.
fn publish_outside(publisher: &Publisher, begun: &Begun, plan: &[Round], halves: &PhaseWaiter) {
    let mut feed = PublisherSocket::new(SHARDS, begun);
    for round in plan {
        let messages = &round.messages[SHARDS];
        let (first, second) = messages.split_at(HALF_MESSAGES);
        for topics in [first.to_vec(), [second, &[END]].concat()] {
            halves.wait();
            for topic in topics {
                let (name, message) = feed.next(topic);
                block_on(publisher.publish(&name, message)).unwrap();
            }
        }
    }
}

/// Lets subscribers join and leave, reads all they get, and returns the number of messages.
fn read(clients: &mut [Client], first: usize, plan: &[Round], begun: &Begun, halves: &PhaseWaiter) -> usize {
    let mut deliveries = 0;
    for (number, round) in plan.iter().enumerate() {
        let mut readers: Vec<_> = clients
            .iter_mut()
            .zip(first..)
            .map(|(client, subscriber)| Reader::new(client, subscriber, number))
            .collect();
        halves.wait();
        for reader in &mut readers {
            reader.begin(round.changes[reader.subscriber]);
        }
        for reader in &mut readers {
            reader.read_until_changed(begun);
        }
        halves.wait();
        for mut reader in readers {
            reader.read_to_the_end();
            reader.check(round);
            deliveries += reader.count;
        }
    }
    deliveries
}

/// One subscriber in one round.
struct Reader<'c> {
    client: &'c mut Client,
    subscriber: usize,
    round: usize,
    change: Change,
    /// How far each publisher had begun to publish when the change was confirmed.
    begun: [usize; PUBLISHERS],
    /// The positions in the round of the received messages, in order of arrival.
    seen: HashMap<Source, Vec<usize>>,
    ends: [bool; PUBLISHERS],
    count: usize,
}

impl<'c> Reader<'c> {
    fn new(client: &'c mut Client, subscriber: usize, round: usize) -> Self {
        Self {
            client,
            subscriber,
            round,
            change: Change::Nothing,
            begun: [0; PUBLISHERS],
            seen: HashMap::new(),
            ends: [false; PUBLISHERS],
            count: 0,
        }
    }

    fn begin(&mut self, change: Change) {
        self.change = change;
        if let Some(command) = change.command() {
            self.client.send(&frame(0x81, command.as_bytes()));
        }
    }

    fn read_until_changed(&mut self, begun: &Begun) {
        if let Some(command) = self.change.command() {
            while self.read_one() != Some(command.clone()) {}
        }
        self.begun = std::array::from_fn(|publisher| begun[publisher].load(Ordering::SeqCst));
    }

    fn read_to_the_end(&mut self) {
        while self.ends.contains(&false) {
            assert_eq!(self.read_one(), None, "an unexpected answer");
        }
    }

    /// Reads a frame: returns an answer, and records a message.
    fn read_one(&mut self) -> Option<String> {
        let frame = self.client.frame();
        if frame.first == 0x81 {
            return Some(String::from_utf8(frame.payload).unwrap());
        }
        self.count += 1;
        let [publisher, topic, round, place] = *frame.payload else {
            panic!("not a message: {frame:?}")
        };
        assert_eq!(usize::from(round), self.round, "a message of another round");
        let publisher = usize::from(publisher);
        if topic == END {
            assert!(!std::mem::replace(&mut self.ends[publisher], true), "twice");
            return None;
        }
        assert!(
            !self.ends[publisher],
            "a message that was overtaken by the end of its round"
        );
        let topic = usize::from(topic);
        let source = Source { publisher, topic };
        self.seen.entry(source).or_default().push(usize::from(place));
        None
    }

    /// Compares the received messages with the plan.
    fn check(&mut self, round: &Round) {
        for (publisher, messages) in round.messages.iter().enumerate() {
            for topic in 0..TOPICS {
                let published: Vec<usize> = (0..messages.len())
                    .filter(|place| usize::from(messages[*place]) == topic)
                    .collect();
                let source = Source { publisher, topic };
                let seen = self.seen.remove(&source).unwrap_or_default();
                let is_member = round.members[self.subscriber][topic];
                let is_right = match self.change {
                    // The end, at least from the messages begun after the join, and all of the second half.
                    Change::Join(joined) if joined == topic => {
                        let certain = self.begun[publisher].min(HALF_MESSAGES);
                        let missing = &published[..published.len().saturating_sub(seen.len())];
                        published.ends_with(&seen) && missing.iter().all(|place| *place < certain)
                    }
                    // The beginning, and nothing of the second half.
                    Change::Leave(left) if left == topic => {
                        published.starts_with(&seen) && seen.iter().all(|place| *place < HALF_MESSAGES)
                    }
                    _ if is_member => seen == published,
                    _ => seen.is_empty(),
                };
                assert!(
                    is_right,
                    "round {}, subscriber {}, {:?}: of {source:?} came {seen:?} of {published:?}",
                    self.round, self.subscriber, self.change
                );
            }
        }
        assert!(self.seen.is_empty(), "from nowhere: {:?}", self.seen);
    }
}

impl Change {
    /// The command to the subscriber's handler, which echoes it when done.
    fn command(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Join(topic) => Some(format!("+{topic}")),
            Self::Leave(topic) => Some(format!("-{topic}")),
        }
    }
}

fn application(begun: &Begun) -> Application {
    let begun = Arc::clone(begun);
    // Clients that wait for others send nothing, for as long as the test takes.
    let patient = || WebSocketOptions::default().limits(Limits::default().ping_interval(Duration::ZERO));
    Application::new()
        .websocket_with("/subscriber", patient(), async |_: &mut Context| {
            Ok::<_, Error>(Subscriber)
        })
        .websocket_with("/publisher", patient(), async move |_: &mut Context| {
            Ok::<_, Error>(PublisherSocket::new(shard(), &begun))
        })
}

fn shard() -> usize {
    Shard::current().id().index()
}

/// Joins and leaves topics on command.
struct Subscriber;

impl WebSocketHandler for Subscriber {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.subscribe("end")?;
        Ok(ws.send(vec![u8::try_from(shard())?]).await?)
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let command = message.as_str().unwrap();
        let name = format!("feeds/{}", &command[1..]);
        let is_new = match &command[..1] {
            "+" => ws.subscribe(&name)?,
            _ => ws.unsubscribe(&name)?,
        };
        assert!(is_new, "{command}");
        Ok(ws.send(message).await?)
    }
}

/// Publishes to a list of topics, one after another.
struct PublisherSocket {
    publisher: usize,
    round: u8,
    place: u8,
    begun: Begun,
}

impl PublisherSocket {
    fn new(publisher: usize, begun: &Begun) -> Self {
        Self {
            publisher,
            round: 0,
            place: 0,
            begun: Arc::clone(begun),
        }
    }

    /// The next message, which counts as begun.
    fn next(&mut self, topic: u8) -> (String, Vec<u8>) {
        let publisher = u8::try_from(self.publisher).unwrap();
        let message = vec![publisher, topic, self.round, self.place];
        let is_end = topic == END;
        self.place = if is_end { 0 } else { self.place + 1 };
        self.round += u8::from(is_end);
        self.begun[self.publisher].store(usize::from(self.place), Ordering::SeqCst);
        let name = if is_end {
            "end".to_owned()
        } else {
            format!("feeds/{topic}")
        };
        (name, message)
    }
}

impl WebSocketHandler for PublisherSocket {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        Ok(ws.send(vec![u8::try_from(shard())?]).await?)
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        for topic in message.as_bytes() {
            let (name, message) = self.next(*topic);
            ws.publish(&name, message).await?;
        }
        Ok(ws.send("done").await?)
    }
}

/// Starts each half of a round once all threads are ready. A failed thread ends them all.
#[derive(Default)]
struct Phases {
    waiters: Vec<(Receiver<()>, Sender<()>)>,
}

/// One thread's end of the barrier.
struct PhaseWaiter {
    ready: Sender<()>,
    begin: Receiver<()>,
}

impl Phases {
    fn waiter(&mut self) -> PhaseWaiter {
        let (ready, is_ready) = channel();
        let (begins, begin) = channel();
        self.waiters.push((is_ready, begins));
        PhaseWaiter { ready, begin }
    }

    fn run(self, halves: usize) {
        for _ in 0..halves {
            if self.waiters.iter().any(|(is_ready, _)| is_ready.recv().is_err()) {
                return;
            }
            for (_, begins) in &self.waiters {
                begins.send(()).unwrap_or_default();
            }
        }
    }
}

impl PhaseWaiter {
    fn wait(&self) {
        self.ready.send(()).expect("no other thread has failed");
        self.begin.recv().expect("no other thread has failed");
    }
}

/// Pseudo-random numbers from a linear congruential generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Waits for a future on a thread that has no executor.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Task::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
