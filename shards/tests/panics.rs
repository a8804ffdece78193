//! Panics whose values panic when dropped: each ends only its own task, is reported by its handle, and the shard
//! continues.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports a failure by panicking"
)]

mod common;

use std::future::Future;
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::mpsc::channel;
use std::task::{Context, Poll};

use common::{block_on, builder, time_limit};
use squall_shards::{
    BlockingError, BlockingLimits, BlockingPool, InvokeError, Shard, ShardId, Source, Stop, invoke_on, spawn_blocking,
    spawn_detached, spawn_local, yield_now,
};

/// One level is a bug once reported; the last is deeper than the runtime follows, so that the rest is leaked.
const DEPTHS: [usize; 4] = [1, 2, 3, 20];

/// A panic value whose drop panics with another value of one level less.
struct Nested(usize);

impl Drop for Nested {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Self(self.0 - 1));
        }
    }
}

/// A future whose drop panics after its poll has.
struct TwiceFatal(usize);

impl Future for TwiceFatal {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        panic_any(Nested(self.0))
    }
}

impl Drop for TwiceFatal {
    fn drop(&mut self) {
        panic_any(Nested(self.0));
    }
}

#[test]
fn a_task_that_panics_with_a_value_that_panics_ends_alone_and_its_handle_tells() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|shard| async move {
            let baseline = shard.statistics().tasks;
            for depth in DEPTHS {
                let at_once = spawn_local(async move { panic_any(Nested(depth)) });
                let later = spawn_local(async move {
                    yield_now().await;
                    panic_any(Nested(depth))
                });
                let twice = spawn_local(TwiceFatal(depth));
                let well = spawn_local(async { 42 });
                spawn_detached(async move { panic_any(Nested(depth)) });
                spawn_detached(TwiceFatal(depth));
                let (at_once, later): (Result<(), _>, Result<(), _>) = (at_once.await, later.await);
                for panicked in [at_once, later, twice.await] {
                    assert_eq!(panicked.unwrap_err().to_string(), "panicked: no message");
                }
                assert_eq!(well.await, Ok(42));
            }
            while shard.statistics().tasks > baseline {
                yield_now().await;
            }
            Ok(())
        })
        .unwrap();
}

/// A task's value whose drop panics with such a value: while the task runs, when it ends, and when the shard ends.
#[test]
fn a_drop_that_panics_with_a_value_that_panics_ends_its_task_alone() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|shard| async move {
            let baseline = shard.statistics().tasks;
            for depth in DEPTHS {
                let held = spawn_local(async move {
                    let _held = Nested(depth);
                    yield_now().await;
                });
                drop(spawn_local(async move { Nested(depth) }));
                assert_eq!(held.await.unwrap_err().to_string(), "panicked: no message");
            }
            while shard.statistics().tasks > baseline {
                yield_now().await;
            }
            for depth in DEPTHS {
                spawn_detached(async move {
                    let _held = Nested(depth);
                    std::future::pending::<()>().await;
                });
            }
            yield_now().await;
            Ok(())
        })
        .unwrap();
}

#[test]
fn blocking_work_that_panics_with_a_value_that_panics_is_an_error_and_its_thread_goes_on() {
    let _limit = time_limit();
    let shards = builder(1).blocking_threads_max(1).build().unwrap();
    shards
        .run(|_| async {
            let expected = BlockingError::Panicked("a payload that is not text".to_owned());
            for depth in DEPTHS {
                let panicked = spawn_blocking(move || panic_any(Nested(depth))).await;
                assert_eq!(panicked, Err::<(), _>(expected.clone()));
                // The output is dropped on the pool's thread if the caller has gone.
                let (gone, is_gone) = channel::<()>();
                let task = spawn_blocking(move || {
                    is_gone.recv().unwrap_err();
                    Nested(depth)
                });
                drop(task);
                drop(gone);
                assert_eq!(spawn_blocking(|| 7).await, Ok(7), "the one thread still works");
            }
            Ok(())
        })
        .unwrap();
}

/// Work that never ran holds values whose drop panics, one after the other.
#[test]
fn a_pool_that_stops_drops_work_whose_drop_panics() {
    let _limit = time_limit();
    let limits = BlockingLimits {
        threads_max: 1,
        ..BlockingLimits::default()
    };
    let pool = BlockingPool::new(limits, Vec::new());
    let (release, released) = channel::<()>();
    let (starts, started) = channel();
    let occupies = pool.spawn(move || {
        starts.send(()).unwrap();
        released.recv().unwrap_err();
    });
    started.recv().unwrap();
    let queued = DEPTHS.map(|depth| {
        let held = Nested(depth);
        pool.spawn(move || drop(held))
    });
    let stopping = std::thread::spawn(move || pool.shutdown(common::PATIENCE));
    for task in queued {
        assert_eq!(block_on(task), Err(BlockingError::NotRun));
    }
    drop(release);
    assert_eq!(block_on(occupies), Ok(()));
    assert_eq!(stopping.join().unwrap(), 0);
}

#[test]
fn an_invocation_that_panics_with_a_value_that_panics_gives_no_answer_and_its_shard_goes_on() {
    let _limit = time_limit();
    let shards = builder(2).build().unwrap();
    let stopper = shards.stopper();
    shards
        .run(move |shard| {
            let stopper = stopper.clone();
            async move {
                let to = ShardId::new(1);
                if shard.id() == to {
                    shard.stopping(Stop::Graceful).await;
                    return Ok(());
                }
                for depth in DEPTHS {
                    let making = invoke_on(to, move || -> std::future::Ready<()> { panic_any(Nested(depth)) });
                    assert_eq!(making.await, Err(InvokeError::NoAnswer(to)));
                    let running = invoke_on(to, move || async move { panic_any(Nested(depth)) });
                    let answer: Result<(), _> = running.await;
                    assert_eq!(answer, Err(InvokeError::NoAnswer(to)));
                    let alive = invoke_on(to, || async { Shard::current().id() });
                    assert_eq!(alive.await, Ok(to));
                }
                stopper.stop(Stop::Graceful);
                Ok(())
            }
        })
        .unwrap();
}

/// Messages waiting for an ending shard and their receiver are dropped, and the process still ends without an error.
#[test]
fn messages_and_their_receivers_whose_drops_panic_do_not_keep_a_shard_from_ending() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    let meshes = DEPTHS.map(|depth| (depth, shards.mesh::<Nested>(1)));
    shards
        .run(move |_| {
            let meshes = meshes.clone();
            async move {
                for (depth, mesh) in meshes {
                    let (sender, held) = (mesh.sender(), Nested(depth));
                    sender.try_send(ShardId::FIRST, Nested(depth)).unwrap();
                    // Each message received sends the next one, so that one is left at the end.
                    mesh.receive(move |_: Source, mut message: Nested| {
                        let held: &Nested = &held;
                        message.0 = 0;
                        sender.try_send(ShardId::FIRST, Nested(held.0)).unwrap();
                    });
                }
                yield_now().await;
                Ok(())
            }
        })
        .unwrap();
}

#[test]
fn a_thread_name_that_no_thread_can_have_is_an_error_of_its_setting() {
    let error = builder(1).thread_name("shard\0one").build().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("invalid thread_name: it contains a NUL byte"),
        "{error}"
    );
}
