//! Between shards: messages in order and none lost, full queues that answer or wait and never lock up, wake-ups that reach a
//! sleeping shard, and timers that end its sleep in time and not before.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests and their threads outside the shards"
)]

mod common;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{Read as _, Write as _};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use squall_shards::{
    BlockingError, Deadline, InvokeError, Mesh, MeshSender, Shard, ShardId, Source, Stop, invoke_on, invoke_on_all,
    sleep, sleep_until, spawn_blocking, spawn_detached, spawn_local, yield_now,
};

use common::{
    Meeting, PATIENCE, Running, block_on, builder, child_role, cpu_time, eventually_here, in_child, or_stopped,
    poll_once, time_limit,
};

/// Every shard sends to every shard, itself included, through queues far shorter than what is sent; each pair keeps its order.
#[test]
fn every_pair_keeps_its_order_through_queues_that_are_full_most_of_the_time() {
    const MESSAGES: u32 = 10_000;
    let _limit = time_limit();
    for count in [1, 2, 4] {
        let shards = builder(count).build().unwrap();
        let mesh = shards.mesh::<u32>(16);
        // Nobody ends while another still sends to it.
        let meeting = Meeting::of(count);
        shards
            .run(move |_| {
                let (mesh, meeting) = (mesh.clone(), meeting.clone());
                async move {
                    let next: Rc<RefCell<Vec<u32>>> = Rc::new(RefCell::new(vec![0; count]));
                    let seen = Rc::clone(&next);
                    mesh.receive(move |from, number| {
                        let Source::Shard(from) = from else {
                            panic!("nobody outside sends")
                        };
                        let expected = &mut seen.borrow_mut()[from.index()];
                        assert_eq!(number, *expected, "from {from}");
                        *expected += 1;
                    });
                    let sender = mesh.sender();
                    let sends: Vec<_> = (0..count)
                        .map(|to| {
                            let sender = sender.clone();
                            spawn_local(async move {
                                for number in 0..MESSAGES {
                                    sender.send(ShardId::new(to), number).await.unwrap();
                                }
                            })
                        })
                        .collect();
                    for send in sends {
                        send.await?;
                    }
                    eventually_here("all arrive", || next.borrow().iter().all(|next| *next == MESSAGES)).await;
                    meeting.wait().await;
                    Ok(())
                }
            })
            .unwrap();
    }
}

/// A handler that holds the sending shard's thread would lock up a mesh in which sending blocks; here both wait as tasks.
#[test]
fn two_shards_that_fill_each_others_queues_do_not_lock_up() {
    const MESSAGES: usize = 100_000;
    let _limit = time_limit();
    let shards = builder(2).build().unwrap();
    let mesh = shards.mesh::<usize>(4);
    shards
        .run(move |shard| {
            let mesh = mesh.clone();
            async move {
                let received = Rc::new(Cell::new(0));
                let counted = Rc::clone(&received);
                mesh.receive(move |_, number| {
                    assert_eq!(number, counted.replace(number + 1));
                });
                let (sender, other) = (mesh.sender(), ShardId::new(1 - shard.id().index()));
                for number in 0..MESSAGES {
                    sender.send(other, number).await?;
                }
                eventually_here("all arrive", || received.get() == MESSAGES).await;
                Ok(())
            }
        })
        .unwrap();
}

#[test]
fn a_full_queue_gives_the_message_back_and_a_waiting_send_arrives_once_there_is_room() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    let mesh = shards.mesh::<String>(2);
    shards
        .run(move |shard| {
            let mesh = mesh.clone();
            async move {
                let (sender, here) = (mesh.sender(), shard.id());
                sender.try_send(here, "first".to_owned())?;
                sender.try_send(here, "second".to_owned())?;
                let refused = sender.try_send(here, "third".to_owned()).unwrap_err();
                assert_eq!((refused.to, refused.message.as_str()), (here, "third"));
                assert_eq!(sender.broadcast(&"third".to_owned()).unwrap_err().missed, [here]);
                let nowhere = sender.try_send(ShardId::new(1), String::new()).unwrap_err();
                assert_eq!(nowhere.to, ShardId::new(1));
                assert!(sender.send(ShardId::new(1), String::new()).await.is_err());

                // One waits and is dropped: its message is never sent. One waits and arrives.
                let mut dropped = Box::pin(sender.send(here, "dropped".to_owned()));
                assert!(poll_once(&mut dropped).await.is_none());
                drop(dropped);
                let waiting = {
                    let sender = sender.clone();
                    spawn_local(async move { sender.send(here, "third".to_owned()).await })
                };
                yield_now().await;

                // What came before anybody received is there.
                let received = Rc::new(RefCell::new(Vec::new()));
                let list = Rc::clone(&received);
                mesh.receive(move |_, message| list.borrow_mut().push(message));
                waiting.await??;
                eventually_here("three arrive", || received.borrow().len() == 3).await;
                assert_eq!(*received.borrow(), ["first", "second", "third"]);
                Ok(())
            }
        })
        .unwrap();
}

#[test]
fn a_broadcast_reaches_every_shard_and_names_those_it_missed() {
    let _limit = time_limit();
    let shards = builder(4).build().unwrap();
    let mesh = shards.mesh::<u8>(3);
    let meeting = Meeting::of(4);
    shards
        .run(move |shard| {
            let (mesh, meeting) = (mesh.clone(), meeting.clone());
            async move {
                let (sender, first) = (mesh.sender(), ShardId::FIRST);
                let received = Rc::new(RefCell::new(Vec::new()));
                if shard.id() == first {
                    // Nobody receives yet, and the queue to shard 2 is made full.
                    for _ in 0..2 {
                        sender.try_send(ShardId::new(2), 0)?;
                    }
                    assert_eq!(sender.broadcast(&1), Ok(()));
                    assert_eq!(sender.broadcast(&2).unwrap_err().missed, [ShardId::new(2)]);
                }
                meeting.wait().await;
                let list = Rc::clone(&received);
                mesh.receive(move |from, message| {
                    assert_eq!(from, Source::Shard(ShardId::FIRST));
                    list.borrow_mut().push(message);
                });
                let expected: &[u8] = if shard.id() == ShardId::new(2) {
                    &[0, 0, 1]
                } else {
                    &[1, 2]
                };
                eventually_here("the broadcasts arrive", || *received.borrow() == expected).await;
                meeting.wait().await;
                Ok(())
            }
        })
        .unwrap();
}

/// What `MeshSender` writes is read in that thread's order, whichever threads write to the same queue.
#[test]
fn threads_outside_the_shards_send_in_their_own_order_and_wait_for_room() {
    const MESSAGES: usize = 5_000;
    let _limit = time_limit();
    let shards = builder(2).build().unwrap();
    let mesh: Mesh<(usize, usize)> = shards.mesh(8);
    let senders: Vec<MeshSender<_>> = (0..3).map(|_| mesh.sender()).collect();
    let running = Running::start(shards, move |_| {
        let mesh = mesh.clone();
        async move {
            let next: Rc<RefCell<[usize; 3]>> = Rc::default();
            let seen = Rc::clone(&next);
            mesh.receive(move |from, (thread, number)| {
                assert_eq!(from, Source::Outside);
                let expected = &mut seen.borrow_mut()[thread];
                assert_eq!(number, *expected);
                *expected += 1;
            });
            eventually_here("all arrive", || *next.borrow() == [MESSAGES; 3]).await;
            Ok(())
        }
    });
    let threads: Vec<_> = senders
        .into_iter()
        .enumerate()
        .map(|(thread, sender)| {
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    for shard in 0..2 {
                        block_on(sender.send(ShardId::new(shard), (thread, number))).unwrap();
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    running.join().unwrap();
}

#[test]
fn an_invocation_runs_where_it_is_sent_and_its_answer_or_its_failure_comes_back() {
    let _limit = time_limit();
    for count in [1, 2, 4] {
        let shards = builder(count).build().unwrap();
        // Nobody ends before everybody has been answered.
        let meeting = Meeting::of(count);
        shards
            .run(move |shard| {
                let meeting = meeting.clone();
                async move {
                    let here = shard.id();
                    for to in (0..count).map(ShardId::new) {
                        // What is made there need not be Send.
                        let there = invoke_on(to, || async {
                            let local = Rc::new(Shard::current().id());
                            yield_now().await;
                            *local
                        });
                        assert_eq!(there.await, Ok(to));
                        let panics = invoke_on(to, || async { panic!("on {}", Shard::current().id()) });
                        let panicked: Result<(), _> = panics.await;
                        assert_eq!(panicked, Err(InvokeError::NoAnswer(to)));
                        // An invocation may invoke in turn, back to where it came from.
                        let back = invoke_on(to, move || async move {
                            invoke_on(here, || async { Shard::current().id() }).await
                        });
                        assert_eq!(back.await, Ok(Ok(here)));
                    }
                    let everywhere = invoke_on_all(|| async { Shard::current().id().index() }).await;
                    assert_eq!(everywhere, Ok((0..count).collect()));
                    let nowhere = ShardId::new(count);
                    assert_eq!(
                        invoke_on(nowhere, || async {}).await,
                        Err(InvokeError::NotSent(nowhere))
                    );
                    meeting.wait().await;
                    Ok(())
                }
            })
            .unwrap();
    }
}

/// A shard that has ended reads no mail: whoever asks it something is told, whether before, while or after it ends.
#[test]
fn asking_a_shard_that_has_ended_is_an_error_and_not_a_wait() {
    let _limit = time_limit();
    for round in 0..50 {
        let shards = builder(2).build().unwrap();
        let mesh = shards.mesh::<Arc<()>>(1);
        let (sender, letter) = (mesh.sender(), Arc::new(()));
        let running = Running::start(shards, move |shard| async move {
            if shard.id() == ShardId::FIRST {
                yield_now().await;
                return Ok(());
            }
            // Asks while the other one ends; some of it is answered, the rest refused.
            while invoke_on(ShardId::FIRST, || async {}).await.is_ok() {}
            Ok(())
        });
        let waiting = {
            let (sender, letter) = (sender.clone(), Arc::clone(&letter));
            // Nobody ever receives: the second one waits for room until the shard ends.
            thread::spawn(move || {
                let first = block_on(sender.send(ShardId::FIRST, Arc::clone(&letter)));
                let second = block_on(sender.send(ShardId::FIRST, letter));
                (first.is_ok(), second.is_ok())
            })
        };
        let (_, second) = waiting.join().unwrap();
        assert!(!second, "round {round}: there is no room, and no shard");
        let remote = running.remote.clone();
        running.join().unwrap();
        let asked: Result<(), _> = block_on(remote.invoke_on(ShardId::FIRST, || async {}));
        assert_eq!(asked, Err(InvokeError::NotSent(ShardId::FIRST)));
        assert!(sender.try_send(ShardId::new(1), Arc::clone(&letter)).is_err());
        drop((sender, mesh));
        assert_eq!(Arc::strong_count(&letter), 1, "every copy was dropped once");
    }
}

/// Each ping ends a sleep of the shard, each pong one of the thread: a lost wake-up would be a hang.
#[test]
fn no_wake_up_is_lost_between_a_shard_and_a_thread_outside() {
    let _limit = time_limit();
    for (rounds, spin) in [(100_000, Duration::ZERO), (10_000, Duration::from_micros(50))] {
        let shards = builder(1).spin(spin).build().unwrap();
        let mesh: Mesh<usize> = shards.mesh(1);
        let sender = mesh.sender();
        let (answer, answers) = channel();
        let running = Running::start(shards, move |shard| {
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

/// The same by wakers instead of messages, from several threads to several tasks at once.
#[test]
fn no_wake_up_of_a_task_is_lost_when_other_threads_wake_it() {
    const ROUNDS: usize = 10_000;
    let _limit = time_limit();
    let running = Running::idle(builder(2).build().unwrap());
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

/// Tasks that are always ready to run share the shard with its sockets, its mail and its timers.
#[test]
fn tasks_that_never_wait_starve_nobody() {
    let _limit = time_limit();
    let listeners = squall_shards::Listeners::bind_tcp(([127, 0, 0, 1], 0).into(), 1).unwrap();
    let address = listeners.tcp_address().unwrap();
    let running = Running::start(builder(1).build().unwrap(), move |_| {
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
    let mut client = std::net::TcpStream::connect(address).unwrap();
    for _ in 0..20 {
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
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
            // The shard goes on, and it is the shard that ends the wait.
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
            let sleeps: Vec<_> = [30_000, 2_000, 0, 100, 17_000, 2_001, 40]
                .into_iter()
                .map(|microseconds| {
                    let order = Rc::clone(&order);
                    spawn_local(async move {
                        let deadline = Instant::now() + Duration::from_micros(microseconds);
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
                // One that is dropped, polled or not, waits no more.
                drop(sleep(PATIENCE));
                assert!(poll_once(&mut pin!(sleep(PATIENCE))).await.is_none());
            }
            assert_eq!(shard.statistics().timers, baseline + 1, "the one that sleeps for ever");
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
            assert_eq!(shard.statistics().timers, 0, "one that is not set costs nothing");

            // Put off: the first moment passes and nothing happens.
            let start = Instant::now();
            deadline.set(Some(start + SOON));
            assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
            deadline.set(Some(start + 5 * SOON));
            poll_fn(|cx| deadline.poll(cx)).await;
            assert!(start.elapsed() >= 5 * SOON);
            assert!(
                poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_ready(),
                "it stays passed"
            );

            // Pulled forward, while somebody waits.
            deadline.set(Some(Instant::now() + 10 * PATIENCE));
            assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
            deadline.set(Some(Instant::now() + SOON));
            poll_fn(|cx| deadline.poll(cx)).await;

            // Lifted: its moment passes and it is not ready; set again, it is.
            deadline.set(Some(Instant::now() + SOON));
            assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
            deadline.set(None);
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

/// More sleeps end at once than one turn hands out.
#[test]
fn a_thousand_sleeps_and_deadlines_that_end_together_all_end() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|shard| async move {
            let at = Instant::now() + Duration::from_millis(50);
            let gate = squall_shards::Gate::new();
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

/// Keeps a waker's value alive for as long as anybody holds the waker.
struct Held;

impl Wake for Held {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn who_has_waited_for_a_stop_and_is_gone_is_forgotten() {
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

/// An idle shard sleeps: no CPU time, no system call but those of the two looks at it.
#[test]
fn an_idle_shard_does_nothing_at_all() {
    let test = "an_idle_shard_does_nothing_at_all";
    if child_role().is_none() {
        return in_child(test, "measures its CPU time");
    }
    let _limit = time_limit();
    let listeners = squall_shards::Listeners::bind_tcp(([127, 0, 0, 1], 0).into(), 2).unwrap();
    let address = listeners.tcp_address().unwrap();
    let running = Running::start(builder(2).build().unwrap(), move |shard| {
        let listeners = listeners.clone();
        async move {
            let listener = listeners.open().unwrap();
            // A connection, a listener, a task and a deadline that was lifted: all of them wait for nothing to happen.
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
    let clients: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(address).unwrap())
        .collect();
    common::eventually(
        || running.statistics(0).accepted + running.statistics(1).accepted == 20,
        || "the connections".to_owned(),
    );
    // The lifted deadline's slot passes once; from then on there is nothing.
    thread::sleep(Duration::from_millis(200));
    let looks = |shard: usize| {
        let first = running.statistics(shard);
        let second = running.statistics(shard);
        second.ring_enters - first.ring_enters
    };
    for shard in 0..2 {
        let one_look = looks(shard).max(1);
        let before = (running.statistics(shard), cpu_time(std::process::id()));
        thread::sleep(Duration::from_millis(500));
        let after = (running.statistics(shard), cpu_time(std::process::id()));
        let enters = after.0.ring_enters - before.0.ring_enters;
        assert!(enters <= one_look + 1, "{enters} enters, one look takes {one_look}");
        assert!(
            after.1 - before.1 <= Duration::from_millis(20),
            "{:?}",
            after.1 - before.1
        );
    }
    drop(clients);
    running.stop().unwrap();
}
