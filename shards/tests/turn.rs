//! The turn of a shard. Wake-ups reach a sleeping shard, timers end its sleep in time and not before, and an idle shard
//! does no work.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests and their threads outside the shards"
)]

mod common;

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use squall_shards::{
    BlockingError, Deadline, Gate, Listeners, Mesh, ShardId, Stop, sleep, sleep_until, spawn_blocking, spawn_detached,
    spawn_local, yield_now,
};

use common::{PATIENCE, RunningShards, builder, child_role, cpu_time, in_child, or_stopped, poll_once, time_limit};

/// Each ping ends a sleep of the shard, each pong one of the thread, so a lost wake-up would hang.
#[test]
fn no_wake_up_is_lost_between_a_shard_and_a_thread_outside() {
    let _limit = time_limit();
    for (rounds, spin) in [(100_000, Duration::ZERO), (10_000, Duration::from_micros(50))] {
        let shards = builder(1).spin(spin).build().unwrap();
        let mesh: Mesh<usize> = shards.mesh(1);
        let sender = mesh.sender();
        let (answer, answers) = channel();
        let running = RunningShards::start(shards, move |shard| {
            let (mesh, answer) = (mesh.clone(), answer.clone());
            async move {
                mesh.receive(move |_, number| answer.send(number).unwrap());
                shard.stopping(Stop::Graceful).await;
                Ok(())
            }
        });
        for number in 0..rounds {
            sender.try_send(ShardId::FIRST, number).unwrap();
            assert_eq!(answers.recv_timeout(PATIENCE), Ok(number));
        }
        running.stop().unwrap();
    }
}

/// The same with wakers instead of messages, from several threads to several tasks at once.
#[test]
fn no_wake_up_of_a_task_is_lost_when_other_threads_wake_it() {
    const ROUNDS: usize = 10_000;
    let _limit = time_limit();
    let running = RunningShards::idle(builder(2).build().unwrap());
    let threads: Vec<_> = (0..4)
        .map(|task| {
            let (ask, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (waker, wakers) = channel::<Waker>();
            let (asks, answers) = (Arc::clone(&ask), Arc::clone(&asked));
            running.on(task % 2, move || async move {
                spawn_detached(async move {
                    let mut sent = false;
                    poll_fn(|cx| {
                        if !sent {
                            sent = true;
                            waker.send(cx.waker().clone()).unwrap();
                        }
                        let round = asks.load(Ordering::Acquire);
                        answers.store(round, Ordering::Release);
                        if round == ROUNDS {
                            Poll::Ready(())
                        } else {
                            Poll::Pending
                        }
                    })
                    .await;
                });
            });
            let waker = wakers.recv().unwrap();
            thread::spawn(move || {
                for round in 1..=ROUNDS {
                    ask.store(round, Ordering::Release);
                    waker.wake_by_ref();
                    common::eventually(
                        || {
                            asked.load(Ordering::Acquire) == round || {
                                thread::yield_now();
                                false
                            }
                        },
                        || format!("task {task} has not seen round {round}"),
                    );
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    running.stop().unwrap();
}

/// Tasks that are always ready to run share the shard with its sockets, its messages and its timers.
#[test]
fn tasks_that_never_wait_starve_no_other_work() {
    let _limit = time_limit();
    let listeners = Listeners::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
    let address = listeners.tcp_address().unwrap();
    let running = RunningShards::start(builder(1).build().unwrap(), move |_| {
        let listener = listeners.open().unwrap();
        async move {
            for _ in 0..10 {
                spawn_detached(async {
                    loop {
                        yield_now().await;
                    }
                });
            }
            common::serve(listener, common::echo).await;
            Ok(())
        }
    });
    let mut client = TcpStream::connect(address).unwrap();
    for _ in 0..20 {
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
        // Timers run too.
        running.on(0, || sleep(Duration::from_millis(1)));
    }
    running.stop().unwrap();
}

#[test]
fn blocking_work_leaves_the_shard_to_others() {
    let _limit = time_limit();
    let shards = builder(1).blocking_threads_max(2).build().unwrap();
    shards
        .run(|_| async {
            let (release, released) = channel::<()>();
            let shard_thread = thread::current().id();
            let blocked = spawn_blocking(move || (released.recv(), thread::current().id()));
            // The shard's timers run, and it is the shard that ends the wait.
            sleep(Duration::from_millis(1)).await;
            release.send(())?;
            let (released, thread) = blocked.await?;
            released?;
            assert_ne!(thread, shard_thread);
            let panicked = spawn_blocking(|| panic!("in the pool")).await;
            assert_eq!(
                panicked,
                Err::<(), _>(BlockingError::Panicked("in the pool".to_owned()))
            );
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_sleep_ends_in_time_and_never_early() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|shard| async move {
            let baseline = shard.statistics().timers;
            let order = Rc::new(RefCell::new(Vec::new()));
            let start = Instant::now();
            let sleeps: Vec<_> = [30_000, 2_000, 0, 100, 17_000, 2_001, 40]
                .into_iter()
                .map(|microseconds| {
                    let order = Rc::clone(&order);
                    let deadline = start + Duration::from_micros(microseconds);
                    spawn_local(async move {
                        sleep_until(deadline).await;
                        assert!(Instant::now() >= deadline, "{microseconds} µs ended early");
                        order.borrow_mut().push(microseconds);
                    })
                })
                .collect();
            let forever = spawn_local(sleep(Duration::MAX));
            for sleep in sleeps {
                sleep.await?;
            }
            assert!(order.borrow().is_sorted(), "{order:?}");
            drop(forever);
            for _ in 0..100 {
                // A dropped sleep, polled or not, leaves no timer.
                drop(sleep(PATIENCE));
                assert!(poll_once(&mut pin!(sleep(PATIENCE))).await.is_none());
            }
            assert_eq!(shard.statistics().timers, baseline + 1, "the endless sleep");
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_deadline_may_be_put_off_pulled_forward_and_lifted() {
    const SOON: Duration = Duration::from_millis(20);
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|shard| async move {
            let mut deadline = Deadline::new();
            assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
            assert_eq!(shard.statistics().timers, 0, "an unset deadline costs nothing");

            // Postponed: the first moment passes without effect.
            let start = Instant::now();
            deadline.set(Some(start + SOON));
            assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
            deadline.set(Some(start + 5 * SOON));
            poll_fn(|cx| deadline.poll(cx)).await;
            assert!(start.elapsed() >= 5 * SOON);
            assert!(
                poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_ready(),
                "it stays expired"
            );

            // Brought forward while a task waits.
            deadline.set(Some(Instant::now() + 10 * PATIENCE));
            assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
            deadline.set(Some(Instant::now() + SOON));
            poll_fn(|cx| deadline.poll(cx)).await;

            // Cleared: its moment passes and it stays pending; set again, it fires.
            deadline.set(Some(Instant::now() + SOON));
            assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
            deadline.set(None);
            // Past its moment.
            sleep(4 * SOON).await;
            assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
            deadline.set(Some(Instant::now() + SOON));
            poll_fn(|cx| deadline.poll(cx)).await;

            drop(deadline);
            assert_eq!(shard.statistics().timers, 0);
            Ok(())
        })
        .unwrap();
}

/// More sleeps end at once than one turn fires.
#[test]
fn a_thousand_sleeps_and_deadlines_that_end_together_all_end() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|shard| async move {
            let at = Instant::now() + Duration::from_millis(50);
            let gate = Gate::new();
            for number in 0..2_000 {
                let guard = gate.enter()?;
                spawn_detached(async move {
                    if number % 2 == 0 {
                        sleep_until(at).await;
                    } else {
                        let mut deadline = Deadline::new();
                        deadline.set(Some(at));
                        poll_fn(|cx| deadline.poll(cx)).await;
                    }
                    drop(guard);
                });
            }
            gate.close().await;
            assert!(Instant::now() >= at);
            yield_now().await;
            assert_eq!(shard.statistics().timers, 0);
            Ok(())
        })
        .unwrap();
}

/// Keeps a waker's value alive as long as a clone of the waker exists.
struct Held;

impl Wake for Held {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_dropped_wait_for_a_stop_is_forgotten() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|shard| async move {
            let held = Arc::new(Held);
            let waker = Waker::from(Arc::clone(&held));
            for _ in 0..10 {
                let mut stopping = Box::pin(shard.stopping(Stop::Now));
                let mut context = Context::from_waker(&waker);
                assert!(stopping.as_mut().poll(&mut context).is_pending());
                assert!(stopping.as_mut().poll(&mut context).is_pending());
                assert_eq!(Arc::strong_count(&held), 3);
            }
            assert_eq!(
                Arc::strong_count(&held),
                2,
                "a server would keep one for each connection it ever had"
            );
            assert_eq!(or_stopped(&shard, async { 7 }).await, Some(7));
            Ok(())
        })
        .unwrap();
}

/// An idle shard sleeps: it uses no CPU time and makes no system call except for the two measurements.
#[test]
fn an_idle_shard_does_nothing_at_all() {
    let test = "an_idle_shard_does_nothing_at_all";
    if child_role().is_none() {
        return in_child(test, "measures its CPU time");
    }
    let _limit = time_limit();
    let listeners = Listeners::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), 2).unwrap();
    let address = listeners.tcp_address().unwrap();
    let running = RunningShards::start(builder(2).build().unwrap(), move |shard| {
        let listeners = listeners.clone();
        async move {
            let listener = listeners.open().unwrap();
            // A connection, a listener, a task and a cleared deadline, all of them idle.
            let mut lifted = Deadline::new();
            lifted.set(Some(shard.now() + Duration::from_millis(1)));
            assert!(poll_fn(|cx| Poll::Ready(lifted.poll(cx))).await.is_pending());
            lifted.set(None);
            spawn_detached(pending());
            common::serve(listener, |stream| async move {
                let _end = stream.receive().await;
            })
            .await;
            Ok(())
        }
    });
    let clients: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    common::eventually(
        || running.statistics(0).accepted + running.statistics(1).accepted == 20,
        || "the connections".to_owned(),
    );
    // The cleared deadline's slot passes once; after that nothing is due.
    for shard in 0..2 {
        running.eventually(shard, "the slot has passed", |now| now.timers == 0);
    }
    let looks = |shard: usize| {
        let first = running.statistics(shard);
        let second = running.statistics(shard);
        second.turns - first.turns
    };
    for shard in 0..2 {
        let one_look = looks(shard).max(1);
        // That the shard does nothing is seen only over a time.
        let before = (running.statistics(shard), cpu_time(std::process::id()));
        thread::sleep(Duration::from_millis(500));
        let after = (running.statistics(shard), cpu_time(std::process::id()));
        let turns = after.0.turns - before.0.turns;
        assert!(turns <= one_look + 1, "{turns} turns, one look takes {one_look}");
        assert!(
            after.1 - before.1 <= Duration::from_millis(20),
            "{:?}",
            after.1 - before.1
        );
    }
    drop(clients);
    running.stop().unwrap();
}
