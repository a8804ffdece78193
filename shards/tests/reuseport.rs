//! New connections avoid a stalled shard and return once it has recovered. A shard with far more connections than its
//! share is reported and, with `balance`, gets no new ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests and their clients, which are threads outside the shards; a shard that sleeps is what is tested"
)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use squall_shards::{Listener, Listeners, Shard, Shards, Stop, Stream, spawn_detached};

use common::{PATIENCE, RunningShards, builder, echo, eventually, or_stopped, time_limit};

/// How many clients connect during a stall. By the kernel's hash, one of two shards would get none of them once in a
/// billion times.
const CLIENTS: usize = 30;

/// Starts shards that tell each client their number and then echo.
fn server(shards: Shards, listeners: &Listeners) -> RunningShards {
    let listeners = listeners.clone();
    RunningShards::start(shards, move |_| {
        let listener = listeners.open().unwrap();
        async move {
            serve(listener).await;
            Ok(())
        }
    })
}

fn bind(shards: &Shards) -> (Listeners, SocketAddr) {
    let listeners = Listeners::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), shards.count()).unwrap();
    let address = listeners.tcp_address().unwrap();
    (listeners, address)
}

/// Accepts until the graceful stop, then accepts the clients already connected.
async fn serve(listener: Listener) {
    let shard = Shard::current();
    while let Some(stream) = or_stopped(&shard, listener.accept()).await {
        spawn_detached(greet_and_echo(stream.unwrap()));
    }
    while let Some(stream) = listener.accept_last().await {
        greet(&stream).await;
    }
    for stream in listener.drain().await {
        greet(&stream).await;
    }
}

async fn greet(stream: &Stream) {
    let shard = u8::try_from(Shard::current().id().index()).unwrap();
    stream.send(vec![shard]).await.unwrap();
    stream.flush().await.unwrap();
}

async fn greet_and_echo(stream: Stream) {
    greet(&stream).await;
    echo(stream).await;
}

/// Connects a client and returns the shard that greeted it, or `None` after a second without a greeting.
fn connect(address: SocketAddr) -> (TcpStream, Option<usize>) {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut shard = [0];
    let greeted = client.read_exact(&mut shard);
    if let Err(error) = &greeted {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    (client, greeted.is_ok().then(|| shard[0].into()))
}

/// Returns what a client is still sent, up to the end.
fn rest(mut client: TcpStream) -> Vec<u8> {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    rest
}

/// Blocks a shard until this value is dropped.
struct Stalled {
    shed: Receiver<()>,
    _release: Sender<()>,
}

/// Makes a task of shard 0 block it.
fn stall(running: &RunningShards) -> Stalled {
    let (say, shed) = channel();
    let (release, released) = channel();
    running.on(0, move || async move {
        spawn_detached(async move {
            // Meanwhile only the watchdog can report on the shard.
            let sheds = || Shard::current().statistics().stalls_shed;
            let before = sheds();
            while sheds() == before {
                // A thread that sleeps blocks its shard, as the test needs; the count ends it.
                thread::sleep(Duration::from_millis(1));
            }
            say.send(()).unwrap();
            assert!(released.recv().is_err(), "the sender is only dropped");
        });
    });
    Stalled {
        shed,
        _release: release,
    }
}

impl Stalled {
    /// Waits until new connections are steered away. The next shard is kept awake, and with it the watchdog.
    fn is_shed(&self, running: &RunningShards) {
        let shed = || {
            running.statistics(1);
            self.shed.try_recv().is_ok()
        };
        eventually(shed, || "new connections are steered away".to_owned());
    }
}

/// Connects `count` clients while shard 0 stalls; the other shards answer them.
fn connect_to_others(running: &RunningShards, address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let stalls = || {
        (1..running.shards)
            .map(|shard| running.statistics(shard).stalls)
            .sum::<u64>()
    };
    let mut stalls_before = stalls();
    let mut clients = Vec::new();
    while clients.len() < count {
        let (client, shard) = connect(address);
        if shard.is_none() {
            // On an overloaded host all shards may seem to stall for a moment; then none is left out.
            assert!(stalls() > stalls_before, "a client waits for the stalled shard");
            stalls_before = stalls();
            continue;
        }
        assert_ne!(shard, Some(0), "it is stalled");
        clients.push(client);
    }
    clients
}

/// Connects clients until that shard has answered one.
fn connect_until_answered_by(shard: usize, address: SocketAddr) {
    let answered = || connect(address).1 == Some(shard);
    eventually(answered, || format!("shard {shard} gets connections"));
}

#[test]
fn clients_that_connect_during_a_stall_get_another_shard_until_it_ends() {
    let _limit = time_limit();
    for count in [2, 4] {
        let shards = builder(count).build().unwrap();
        let (listeners, address) = bind(&shards);
        let running = server(shards, &listeners);
        connect_until_answered_by(0, address);
        for _ in 0..2 {
            let stalled = stall(&running);
            stalled.is_shed(&running);
            for mut client in connect_to_others(&running, address, CLIENTS) {
                client.write_all(b"?").unwrap();
                client.read_exact(&mut [0]).unwrap();
            }
            drop(stalled);
            connect_until_answered_by(0, address);
        }
        running.stop().unwrap();
    }
}

#[test]
fn steering_by_cpu_is_as_it_was_once_the_shard_is_back() {
    let _limit = time_limit();
    let shards = builder(2).build().unwrap();
    let &[cpu, other] = shards.cpus() else {
        panic!("two shards")
    };
    if cpu == other {
        return common::skip::skip("steering needs two CPUs, and this process may use one");
    }
    let (listeners, address) = bind(&shards);
    listeners.steer_by_cpu(shards.cpus()).unwrap();
    let running = server(shards, &listeners);
    // On the loopback device a segment is received on the CPU that sent it.
    let clients = thread::spawn(move || {
        assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu }));
        connect_until_answered_by(0, address);
        let stalled = stall(&running);
        stalled.is_shed(&running);
        connect_to_others(&running, address, CLIENTS);
        drop(stalled);
        connect_until_answered_by(0, address);
        for _ in 0..CLIENTS {
            assert_eq!(connect(address).1, Some(0));
        }
        running.stop().unwrap();
    });
    clients.join().unwrap();
}

#[test]
fn a_stop_during_a_stall_loses_no_client_and_leaves_no_listener() {
    let _limit = time_limit();
    let shards = builder(2).build().unwrap();
    let (listeners, address) = bind(&shards);
    let running = server(shards, &listeners);
    let stalled = stall(&running);
    // Before the watchdog has noticed: a client that the hash gives to the stalled shard waits for it.
    let early: Vec<TcpStream> = (0..CLIENTS).map(|_| TcpStream::connect(address).unwrap()).collect();
    stalled.is_shed(&running);
    let late = connect_to_others(&running, address, CLIENTS);
    running.stopper.stop(Stop::Graceful);
    drop(stalled);
    running.join().unwrap();
    // No client is reset: those greeted before read their end, the others their greeting first.
    let greetings =
        [early, late].map(|clients| clients.into_iter().map(rest).map(|rest| rest.len()).collect::<Vec<_>>());
    assert_eq!(greetings, [vec![1; CLIENTS], vec![0; CLIENTS]]);
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(listeners);
}

/// Records the reported counts of connections.
struct Reports(Sender<String>);

impl tracing::Subscriber for Reports {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Connections(&self.0));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

struct Connections<'a>(&'a Sender<String>);

impl tracing::field::Visit for Connections<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "connections" {
            self.0.send(format!("{value:?}")).unwrap_or_default();
        }
    }
}

#[test]
fn a_shard_with_far_more_connections_than_its_share_is_reported_and_gets_no_new_ones_if_asked() {
    /// More than a report takes, and enough that the other shards need hundreds to catch up.
    const MANY: usize = 600;
    let _limit = time_limit();
    let (said, reports) = channel();
    tracing::subscriber::set_global_default(Reports(said)).unwrap();
    for balances in [false, true] {
        let shards = builder(2).balance(balances).build().unwrap();
        let (listeners, address) = bind(&shards);
        let running = server(shards, &listeners);
        let stalled = stall(&running);
        stalled.is_shed(&running);
        let _clients = connect_to_others(&running, address, MANY);
        let report = reports.recv_timeout(PATIENCE).unwrap();
        let counts = report.trim_matches(['[', ']']).split_once(", ").unwrap();
        assert_eq!(counts.0, "0");
        assert!(counts.1.parse::<usize>().unwrap() >= 512, "{report}");
        drop(stalled);
        connect_until_answered_by(0, address);
        if balances {
            let mut stalls = running.statistics(0).stalls;
            for _ in 0..CLIENTS {
                if connect(address).1 != Some(0) {
                    // On an overloaded host; see `connect_to_others`.
                    let stalls_before = std::mem::replace(&mut stalls, running.statistics(0).stalls);
                    assert!(stalls > stalls_before, "a client gets the overfull shard");
                }
            }
        } else {
            connect_until_answered_by(1, address);
        }
        running.stop().unwrap();
    }
    assert!(reports.try_recv().is_err(), "an imbalance is reported once");
}
