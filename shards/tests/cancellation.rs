//! Drops every future of the runtime at each of its polls. The table "What is lost when a future is dropped" in
//! `ARCHITECTURE.md` states what is lost; `tests/cancellation/table.rs` checks that table against these tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests and their threads outside the shards"
)]

mod common;
#[path = "common/polls.rs"]
mod polls;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use squall_shards::{
    BoxError, Gate, Listeners, Shard, ShardId, Stop, Stream, invoke_on, invoke_on_all, sleep, spawn_blocking,
    spawn_local, timeout_at, yield_now,
};

use common::{
    Meeting, PATIENCE, RunningShards, block_on, builder, child_role, eventually_here, in_child, pattern, poll_once,
    time_limit,
};
use polls::{at_every_poll, at_every_poll_here, dropped_after, dropped_after_telling};

/// More than both ends of a Unix socket buffer for a reader that has not begun.
const LARGE_BYTES: usize = 4 << 20;

/// Starts shards and runs a test on the first one.
fn on_shards<F>(count: usize, test: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = Result<(), BoxError>> + 'static,
{
    let _limit = time_limit();
    let test = Arc::new(test);
    let running = RunningShards::idle(builder(count).build().unwrap());
    let tested = running.on(0, move || test());
    tested.unwrap();
    running.stop().unwrap();
}

/// Runs a test on one shard.
fn on_shard<F>(test: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + 'static,
{
    on_shards(1, move || {
        let tested = test();
        async move {
            tested.await;
            Ok(())
        }
    });
}

fn localhost() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Returns a stream of the shard and its other end.
fn pair() -> (Stream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Stream::from_socket(ours.into()), theirs)
}

/// Receives everything up to the end of the peer's half.
async fn receive_all(stream: &Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(received) = stream.receive().await.unwrap() {
        bytes.extend_from_slice(&received);
    }
    bytes
}

#[test]
fn the_harness_drops_a_future_when_it_has_been_polled_so_often() {
    let dropped_at = |polls| {
        let told = RefCell::new(Vec::new());
        let output = block_on(dropped_after_telling(
            polls,
            async {
                yield_twice().await;
                "ready"
            },
            |poll| told.borrow_mut().push(poll),
        ));
        (output, told.into_inner())
    };
    assert_eq!(dropped_at(0), (None, vec![]));
    assert_eq!(dropped_at(1), (None, vec![1]));
    assert_eq!(dropped_at(2), (None, vec![1, 2]));
    assert_eq!(dropped_at(3), (Some("ready"), vec![1, 2]));
    let mut polls = Vec::new();
    at_every_poll(|each| {
        polls.push(each);
        dropped_at(each).0.is_some()
    });
    assert_eq!(polls, [0, 1, 2, 3]);
}

async fn yield_twice() {
    yield_now().await;
    yield_now().await;
}

#[test]
fn a_receive_that_is_dropped_leaves_its_bytes_to_the_next() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let (stream, mut client) = pair();
            let mut sent = Vec::new();
            let received = dropped_after_telling(polls, stream.receive(), |poll| {
                let piece = pattern(1000 * poll);
                client.write_all(&piece).unwrap();
                sent.extend(piece);
            })
            .await;
            client.write_all(b"the last").unwrap();
            sent.extend(b"the last");
            drop(client);
            let is_ready = received.is_some();
            let mut all = received.map_or_else(Vec::new, |bytes| bytes.unwrap().unwrap().to_vec());
            all.extend(receive_all(&stream).await);
            assert!(all == sent, "dropped after {polls} polls");
            is_ready
        })
        .await;
    });
}

#[test]
fn a_send_that_is_dropped_while_it_waits_sends_nothing_of_its_buffer() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let (stream, mut client) = pair();
            let (go, gone) = channel::<()>();
            let reader = thread::spawn(move || {
                gone.recv().unwrap();
                let mut all = Vec::new();
                client.read_to_end(&mut all).unwrap();
                all
            });
            let mut expected = pattern(LARGE_BYTES);
            stream.send(expected.clone()).await.unwrap();
            let second = dropped_after_telling(polls, stream.send(b"second".to_vec()), |_| go.send(()).unwrap()).await;
            if second.is_some() {
                expected.extend(b"second");
            }
            go.send(()).unwrap_or_default();
            stream.send(b"third".to_vec()).await.unwrap();
            expected.extend(b"third");
            stream.flush().await.unwrap();
            stream.shutdown_write().unwrap();
            let joined = spawn_blocking(|| reader.join().unwrap()).await.unwrap();
            assert!(joined == expected, "dropped after {polls} polls");
            second.is_some()
        })
        .await;
    });
}

#[test]
fn a_flush_that_is_dropped_has_its_bytes_sent_all_the_same() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let (stream, mut client) = pair();
            let (go, gone) = channel::<()>();
            let reader = thread::spawn(move || {
                gone.recv().unwrap();
                let mut all = vec![0; LARGE_BYTES];
                client.read_exact(&mut all).unwrap();
                all
            });
            let sent = pattern(LARGE_BYTES);
            stream.send(sent.clone()).await.unwrap();
            let flushed = dropped_after_telling(polls, stream.flush(), |_| go.send(()).unwrap()).await;
            go.send(()).unwrap_or_default();
            let received = spawn_blocking(|| reader.join().unwrap()).await.unwrap();
            assert!(received == sent, "dropped after {polls} polls");
            flushed.is_some()
        })
        .await;
    });
}

#[test]
fn an_accept_that_is_dropped_leaves_its_connection_to_the_next() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let listeners = Listeners::bind_tcp(localhost(), 1).unwrap();
            let address = listeners.tcp_address().unwrap();
            let listener = listeners.open().unwrap();
            let mut clients = Vec::new();
            let connect = |_| clients.push(TcpStream::connect(address).unwrap());
            let accepted = dropped_after_telling(polls, listener.accept(), connect).await;
            let is_ready = accepted.is_some();
            clients.push(TcpStream::connect(address).unwrap());
            let mut streams: Vec<_> = accepted.into_iter().map(Result::unwrap).collect();
            while streams.len() < clients.len() {
                streams.push(listener.accept().await.unwrap());
            }
            for mut client in clients {
                let stream = streams.remove(0);
                client.write_all(b"x").unwrap();
                assert_eq!(stream.receive().await.unwrap().unwrap().to_vec(), b"x", "{polls} polls");
            }
            is_ready
        })
        .await;
    });
}

/// A pause for lack of descriptors ends by itself. If the accept is dropped, the next one must ask again. A descriptor
/// freed meanwhile may belong to another part of the process, which does not notify the listener.
#[test]
fn an_accept_that_is_dropped_in_its_pause_for_descriptors_leaves_its_connection_to_the_next() {
    let test = "an_accept_that_is_dropped_in_its_pause_for_descriptors_leaves_its_connection_to_the_next";
    if child_role().is_none() {
        return in_child(test, "has few descriptors");
    }
    let limit = Some(128);
    let (current, maximum) = (limit, limit);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    on_shard(|| async {
        for polls in 1..5 {
            let listeners = Listeners::bind_tcp(localhost(), 1).unwrap();
            let listener = listeners.open().unwrap();
            let mut client = TcpStream::connect(listeners.tcp_address().unwrap()).unwrap();
            let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
            let pauses = || Shard::current().statistics().accept_pauses;
            let before = pauses();
            assert!(dropped_after(polls, listener.accept()).await.is_none());
            // The kernel may refuse some turns after it was asked.
            while pauses() == before {
                assert!(dropped_after(1, listener.accept()).await.is_none());
                // The pace of the looks; the count decides.
                sleep(Duration::from_millis(1)).await;
            }
            assert!(dropped_after(1, listener.accept()).await.is_none());
            files.truncate(files.len() - 8);
            let accepted = timeout_at(Instant::now() + PATIENCE / 4, listener.accept()).await;
            let stream = accepted
                .unwrap_or_else(|| panic!("the client is not accepted after an accept dropped after {polls} polls"))
                .unwrap();
            client.write_all(b"x").unwrap();
            assert_eq!(stream.receive().await.unwrap().unwrap().to_vec(), b"x");
            drop((files, stream, listener, listeners));
            // A descriptor freed later would end the shortage.
            eventually_here("all of it is closed", || {
                let now = Shard::current().statistics();
                (now.streams, now.listeners) == (0, 0)
            })
            .await;
        }
    });
}

#[test]
fn an_accept_last_that_is_dropped_leaves_its_connection_to_the_next() {
    on_shard(|| async {
        for polls in 0..6 {
            let listeners = Listeners::bind_tcp(localhost(), 1).unwrap();
            let address = listeners.tcp_address().unwrap();
            let listener = listeners.open().unwrap();
            let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
            let mut streams = Vec::new();
            streams.extend(dropped_after(polls, listener.accept_last()).await.flatten());
            while let Some(stream) = listener.accept_last().await {
                streams.push(stream);
            }
            streams.extend(listener.drain().await);
            assert_eq!(streams.len(), clients.len(), "dropped after {polls} polls");
        }
    });
}

/// The future owns the listener and drops it.
#[test]
fn a_drain_that_is_dropped_closes_every_connection_it_had_taken() {
    on_shard(|| async {
        for polls in 0..3 {
            let listeners = Listeners::bind_tcp(localhost(), 1).unwrap();
            let address = listeners.tcp_address().unwrap();
            let listener = listeners.open().unwrap();
            drop(listeners);
            assert!(dropped_after(1, listener.accept()).await.is_none());
            let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
            let drained = dropped_after(polls, listener.drain()).await;
            if let Some(streams) = drained {
                assert_eq!(streams.len(), 3);
                break;
            }
            for mut client in clients {
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                let ended = spawn_blocking(move || client.read(&mut [0]).map_or(0, |count| count));
                assert_eq!(ended.await.unwrap(), 0, "dropped after {polls} polls");
            }
        }
        eventually_here("the listeners are closed", || {
            Shard::current().statistics().listeners == 0
        })
        .await;
    });
}

#[test]
fn a_connect_that_is_dropped_gives_its_attempt_up_and_leaves_no_socket() {
    on_shard(|| async {
        let before = Shard::current().statistics().streams;
        at_every_poll_here(async |polls| {
            let peer = TcpListener::bind(localhost()).unwrap();
            let connected = dropped_after(polls, Stream::connect(peer.local_addr().unwrap())).await;
            let is_ready = connected.is_some();
            drop(connected);
            eventually_here("nothing is left", || Shard::current().statistics().streams == before).await;
            peer.set_nonblocking(true).unwrap();
            if let Ok((mut accepted, _)) = peer.accept() {
                accepted.set_nonblocking(false).unwrap();
                accepted.set_read_timeout(Some(PATIENCE)).unwrap();
                assert_eq!(accepted.read(&mut [0]).unwrap_or(0), 0, "dropped after {polls} polls");
            }
            // Under epoll, a connection within this host is made at once.
            is_ready && polls > 1
        })
        .await;
    });
}

#[test]
fn a_connect_host_that_is_dropped_gives_its_attempt_up_and_leaves_no_socket() {
    on_shard(|| async {
        let before = Shard::current().statistics().streams;
        at_every_poll_here(async |polls| {
            let peer = TcpListener::bind(localhost()).unwrap();
            let port = peer.local_addr().unwrap().port();
            let deadline = Instant::now() + PATIENCE;
            let connected = dropped_after(polls, Stream::connect_host("localhost", port, deadline)).await;
            let is_ready = connected.is_some();
            drop(connected);
            eventually_here("nothing is left", || Shard::current().statistics().streams == before).await;
            is_ready
        })
        .await;
    });
}

#[test]
fn a_message_whose_send_is_dropped_while_it_waits_for_room_is_lost_whole() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    let mesh = shards.mesh::<&str>(2);
    shards
        .run(move |shard| {
            let mesh = mesh.clone();
            async move {
                let received: Rc<RefCell<Vec<&str>>> = Rc::default();
                let inbox = Rc::clone(&received);
                mesh.receive(move |_, message| inbox.borrow_mut().push(message));
                let (sender, here) = (mesh.sender(), shard.id());
                at_every_poll_here(async |polls| {
                    received.borrow_mut().clear();
                    sender.try_send(here, "first").unwrap();
                    sender.try_send(here, "second").unwrap();
                    let third = dropped_after(polls, sender.send(here, "third")).await;
                    let mut expected = vec!["first", "second"];
                    expected.extend(third.is_some().then_some("third"));
                    sender.send(here, "fourth").await.unwrap();
                    expected.push("fourth");
                    eventually_here("all have come", || received.borrow().last() == Some(&"fourth")).await;
                    assert_eq!(*received.borrow(), expected, "dropped after {polls} polls");
                    third.is_some()
                })
                .await;
                Ok(())
            }
        })
        .unwrap();
}

/// As a send does beside a busy branch of a `select`, while the receiving shard takes nothing.
#[test]
fn a_send_that_is_polled_again_and_again_waits_for_room_in_one_place() {
    const POLLS: usize = 10_000;
    let _limit = time_limit();
    let shards = builder(2).build().unwrap();
    let mesh = shards.mesh::<usize>(1);
    let meeting = Meeting::of(2);
    shards
        .run(move |shard| {
            let (mesh, meeting) = (mesh.clone(), meeting.clone());
            async move {
                let received: Rc<Cell<usize>> = Rc::default();
                let sum = Rc::clone(&received);
                mesh.receive(move |_, message| sum.set(sum.get() + message));
                meeting.wait().await;
                if shard.id() != ShardId::FIRST {
                    eventually_here("all comes", || received.get() == 3).await;
                    return Ok(());
                }
                let ((stands, stood), (go, gone)) = (channel(), channel::<()>());
                let there = ShardId::new(1);
                let still = spawn_local(invoke_on(there, move || async move {
                    stands.send(()).unwrap();
                    gone.recv().unwrap();
                }));
                eventually_here("the shard stands still", || stood.try_recv().is_ok()).await;
                let sender = mesh.sender();
                sender.try_send(there, 1)?;
                let mut waiting = Box::pin(sender.send(there, 2));
                for poll in 0..POLLS {
                    assert_eq!(poll_once(&mut waiting).await, None, "poll {poll}");
                }
                go.send(())?;
                waiting.await?;
                still.await??;
                Ok(())
            }
        })
        .unwrap();
}

#[test]
fn a_wait_for_room_that_is_dropped_loses_nothing() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    let mesh = shards.mesh::<usize>(1);
    shards
        .run(move |shard| {
            let mesh = mesh.clone();
            async move {
                let received: Rc<RefCell<Vec<usize>>> = Rc::default();
                let inbox = Rc::clone(&received);
                mesh.receive(move |_, message| inbox.borrow_mut().push(message));
                let (sender, here) = (mesh.sender(), shard.id());
                at_every_poll_here(async |polls| {
                    received.borrow_mut().clear();
                    sender.try_send(here, 1).unwrap();
                    let room = dropped_after(polls, sender.has_room(here)).await;
                    assert!(sender.has_room(here).await);
                    sender.try_send(here, 2).unwrap();
                    eventually_here("both have come", || received.borrow().len() == 2).await;
                    assert_eq!(*received.borrow(), [1, 2], "dropped after {polls} polls");
                    room.is_some()
                })
                .await;
                Ok(())
            }
        })
        .unwrap();
}

/// A queue with room takes the closure in the first poll; from then on it runs even if the future is dropped.
#[test]
fn a_closure_whose_invocation_is_dropped_runs_once_or_not_at_all() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    on_shards(2, || async {
        let there = ShardId::new(1);
        at_every_poll_here(async |polls| {
            RUNS.store(0, Ordering::Relaxed);
            let count = || async { RUNS.fetch_add(1, Ordering::Relaxed) };
            let invoked = dropped_after(polls, invoke_on(there, count)).await;
            // Messages keep their order, so this one arrives after it.
            invoke_on(there, yield_twice).await.unwrap();
            assert_eq!(RUNS.load(Ordering::Relaxed), usize::from(polls > 0), "{polls} polls");
            invoked.is_some()
        })
        .await;
        at_every_poll_here(async |polls| {
            RUNS.store(0, Ordering::Relaxed);
            let count = || async { RUNS.fetch_add(1, Ordering::Relaxed) };
            let invoked = dropped_after(polls, invoke_on_all(count)).await;
            invoke_on_all(|| async { yield_twice().await }).await.unwrap();
            let expected = if polls > 0 { 2 } else { 0 };
            assert_eq!(RUNS.load(Ordering::Relaxed), expected, "dropped after {polls} polls");
            invoked.is_some()
        })
        .await;
        Ok(())
    });
}

#[test]
fn a_closure_whose_invocation_from_outside_is_dropped_runs_once_or_not_at_all() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let _limit = time_limit();
    let running = RunningShards::idle(builder(2).build().unwrap());
    let count = || async { RUNS.fetch_add(1, Ordering::Relaxed) };
    let both = || block_on(running.remote.invoke_on_all(|| async { yield_twice().await })).unwrap();
    for polls in 0..3 {
        RUNS.store(0, Ordering::Relaxed);
        block_on(dropped_after(polls, running.remote.invoke_on(ShardId::new(1), count)));
        both();
        assert_eq!(RUNS.load(Ordering::Relaxed), usize::from(polls > 0), "{polls} polls");
        RUNS.store(0, Ordering::Relaxed);
        block_on(dropped_after(polls, running.remote.invoke_on_all(count)));
        both();
        let expected = if polls > 0 { 2 } else { 0 };
        assert_eq!(RUNS.load(Ordering::Relaxed), expected, "dropped after {polls} polls");
    }
    running.stop().unwrap();
}

#[test]
fn a_timeout_loses_what_its_future_loses() {
    on_shard(|| async {
        let timers = Shard::current().statistics().timers;
        at_every_poll_here(async |polls| {
            let (stream, mut client) = pair();
            let deadline = Instant::now() + PATIENCE;
            let mut sent = Vec::new();
            let received = dropped_after_telling(polls, timeout_at(deadline, stream.receive()), |poll| {
                client.write_all(&[u8::try_from(poll).unwrap()]).unwrap();
                sent.push(u8::try_from(poll).unwrap());
            })
            .await;
            drop(client);
            let is_ready = received.is_some();
            let mut all = received.map_or_else(Vec::new, |bytes| bytes.unwrap().unwrap().unwrap().to_vec());
            all.extend(receive_all(&stream).await);
            assert_eq!(all, sent, "dropped after {polls} polls");
            assert_eq!(Shard::current().statistics().timers, timers, "{polls} polls");
            is_ready
        })
        .await;
    });
}

#[test]
fn a_sleep_that_is_dropped_is_forgotten() {
    on_shard(|| async {
        let timers = Shard::current().statistics().timers;
        at_every_poll_here(async |polls| {
            let slept = dropped_after(polls, sleep(Duration::from_millis(1))).await;
            assert_eq!(Shard::current().statistics().timers, timers, "{polls} polls");
            slept.is_some()
        })
        .await;
    });
}

#[test]
fn a_yield_that_is_dropped_loses_nothing() {
    on_shard(|| async {
        at_every_poll_here(async |polls| dropped_after(polls, yield_now()).await.is_some()).await;
    });
}

#[test]
fn a_wait_for_the_stop_that_is_dropped_leaves_the_stop_to_the_next() {
    let _limit = time_limit();
    at_every_poll(|polls| {
        let (said, heard) = channel();
        let running = RunningShards::start(builder(1).build().unwrap(), move |shard| {
            let said = said.clone();
            async move {
                let first = dropped_after_telling(polls, shard.stopping(Stop::Graceful), |_| {
                    said.send(()).unwrap();
                })
                .await;
                said.send(())?;
                assert_eq!(shard.stopping(Stop::Graceful).await, Stop::Graceful);
                match first {
                    Some(_) => Err("the first wait was ready".into()),
                    None => Ok(()),
                }
            }
        });
        heard.recv().unwrap();
        running.stop().is_err()
    });
}

#[test]
fn a_closing_that_is_dropped_leaves_the_gate_closed_and_the_wait_to_the_next() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let gate = Gate::new();
            let mut guard = Some(gate.enter().unwrap());
            let closed = dropped_after_telling(polls, gate.close(), |_| drop(guard.take())).await;
            assert!(gate.is_closed() && gate.enter().is_err());
            let mut again = gate.close();
            assert_eq!(poll_once(&mut again).await.is_some(), guard.is_none());
            drop(guard);
            again.await;
            closed.is_some()
        })
        .await;
    });
}

#[test]
fn a_task_continues_when_its_handle_is_dropped_and_may_be_awaited_by_reference() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let done = Rc::new(Cell::new(0));
            let work = {
                let done = Rc::clone(&done);
                move || async move {
                    yield_twice().await;
                    done.set(done.get() + 1);
                    "output"
                }
            };
            let mut kept = spawn_local(work.clone()());
            let first = dropped_after(polls, &mut kept).await;
            if first.is_none() {
                assert_eq!(kept.await.unwrap(), "output", "dropped after {polls} polls");
            }
            dropped_after(polls, spawn_local(work())).await;
            eventually_here("both are done", || done.get() == 2).await;
            first.is_some()
        })
        .await;
    });
}

#[test]
fn blocking_work_whose_future_is_dropped_runs_to_its_end() {
    on_shard(|| async {
        at_every_poll_here(async |polls| {
            let (go, gone) = channel::<()>();
            let (said, done) = channel();
            let work = spawn_blocking(move || {
                gone.recv().unwrap();
                said.send(()).unwrap();
            });
            let finished = dropped_after_telling(polls, work, |_| go.send(()).unwrap()).await;
            go.send(()).unwrap_or_default();
            eventually_here("the work is done", || done.try_recv().is_ok()).await;
            finished.is_some()
        })
        .await;
    });
}
