//! Messages between shards arrive in order and without loss, full queues refuse or wait without deadlock, and every
//! invocation gets an answer or an error.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests and their threads outside the shards"
)]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use squall_shards::{
    InvokeError, Mesh, MeshSender, Shard, ShardId, Source, invoke_on, invoke_on_all, spawn_local, yield_now,
};

use common::{Meeting, RunningShards, block_on, builder, eventually_here, poll_once, time_limit};

/// Every shard sends to every shard, itself included, through queues far shorter than the traffic; each pair keeps its
/// order.
#[test]
fn every_pair_keeps_its_order_through_queues_that_are_full_most_of_the_time() {
    const MESSAGES: u32 = 10_000;
    let _limit = time_limit();
    for count in [1, 2, 4] {
        let shards = builder(count).build().unwrap();
        let mesh = shards.mesh::<u32>(16);
        // No shard ends while another still sends to it.
        let meeting = Meeting::of(count);
        shards
            .run(move |_| {
                let (mesh, meeting) = (mesh.clone(), meeting.clone());
                async move {
                    let next: Rc<RefCell<Vec<u32>>> = Rc::new(RefCell::new(vec![0; count]));
                    let seen = Rc::clone(&next);
                    mesh.receive(move |from, number| {
                        let Source::Shard(from) = from else {
                            panic!("a message from outside the shards")
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

/// If sending blocked the shard's thread, these two would deadlock; here both wait as tasks.
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

                // One send waits and is dropped: its message is never sent. Another waits and arrives.
                let mut dropped = Box::pin(sender.send(here, "dropped".to_owned()));
                assert!(poll_once(&mut dropped).await.is_none());
                drop(dropped);
                let waiting = {
                    let sender = sender.clone();
                    spawn_local(async move { sender.send(here, "third".to_owned()).await })
                };
                yield_now().await;

                // Messages sent before the receiver existed are there.
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

/// A task woken for room makes its message only then, so the number of waiting tasks must not turn it away.
#[test]
fn a_task_waiting_for_room_is_woken_however_many_others_wait() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    let mesh = shards.mesh::<u32>(1);
    shards
        .run(move |shard| {
            let mesh = mesh.clone();
            async move {
                let (sender, here) = (mesh.sender(), shard.id());
                assert!(sender.has_room(here).await);
                assert!(!sender.has_room(ShardId::new(1)).await, "the shard does not exist");
                sender.try_send(here, 0)?;
                let mut crowd = Vec::new();
                let refused = loop {
                    let mut waiting = Box::pin(sender.send(here, 1));
                    match poll_once(&mut waiting).await {
                        None => crowd.push(waiting),
                        Some(sent) => break sent,
                    }
                };
                assert!(refused.is_err(), "the maximum of tasks waits");
                let mut room = Box::pin(sender.has_room(here));
                assert!(poll_once(&mut room).await.is_none());
                drop(crowd);
                mesh.receive(|_, _| {});
                assert!(room.await);
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
                    // Without a receiver yet, the queue to shard 2 is filled.
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

/// Messages of one `MeshSender` arrive in its thread's order, whichever threads share the queue.
#[test]
fn threads_outside_the_shards_send_in_their_own_order_and_wait_for_room() {
    const MESSAGES: usize = 5_000;
    let _limit = time_limit();
    let shards = builder(2).build().unwrap();
    let mesh: Mesh<(usize, usize)> = shards.mesh(8);
    let senders: Vec<MeshSender<_>> = (0..3).map(|_| mesh.sender()).collect();
    let running = RunningShards::start(shards, move |_| {
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
        // No shard ends before every invocation has been answered.
        let meeting = Meeting::of(count);
        shards
            .run(move |shard| {
                let meeting = meeting.clone();
                async move {
                    let here = shard.id();
                    for to in (0..count).map(ShardId::new) {
                        // What is created there need not be `Send`.
                        let there = invoke_on(to, || async {
                            let local = Rc::new(Shard::current().id());
                            yield_now().await;
                            *local
                        });
                        assert_eq!(there.await, Ok(to));
                        let panics = invoke_on(to, || async { panic!("on {}", Shard::current().id()) });
                        let panicked: Result<(), _> = panics.await;
                        assert_eq!(panicked, Err(InvokeError::NoAnswer(to)));
                        // An invocation may invoke in turn, back to its origin.
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

/// An ended shard reads no messages: every sender gets an error, before, while and after the shard ends.
#[test]
fn asking_a_shard_that_has_ended_is_an_error_and_not_a_wait() {
    let _limit = time_limit();
    for round in 0..50 {
        let shards = builder(2).build().unwrap();
        let mesh = shards.mesh::<Arc<()>>(1);
        let (sender, message) = (mesh.sender(), Arc::new(()));
        let running = RunningShards::start(shards, move |shard| async move {
            if shard.id() == ShardId::FIRST {
                yield_now().await;
                return Ok(());
            }
            // Asks while the other shard ends; some requests are answered, the rest refused.
            while invoke_on(ShardId::FIRST, || async {}).await.is_ok() {}
            Ok(())
        });
        let waiting = {
            let (sender, message) = (sender.clone(), Arc::clone(&message));
            // Without a receiver, the second send waits for room until the shard ends.
            thread::spawn(move || {
                let first = block_on(sender.send(ShardId::FIRST, Arc::clone(&message)));
                let second = block_on(sender.send(ShardId::FIRST, message));
                (first.is_ok(), second.is_ok())
            })
        };
        let (_, second) = waiting.join().unwrap();
        assert!(!second, "round {round}: sent to a full queue of an ended shard");
        let remote = running.remote.clone();
        running.join().unwrap();
        let asked: Result<(), _> = block_on(remote.invoke_on(ShardId::FIRST, || async {}));
        assert_eq!(asked, Err(InvokeError::NotSent(ShardId::FIRST)));
        assert!(sender.try_send(ShardId::new(1), Arc::clone(&message)).is_err());
        drop((sender, mesh));
        assert_eq!(Arc::strong_count(&message), 1, "every copy was dropped once");
    }
}
