//! Measures messages between two shards: bursts to a shard that is awake, and a round trip between sleeping shards.
//!
//! Each measurement starts two shards and takes the time on one of them.

#![expect(clippy::expect_used, reason = "a bench that cannot run says so and ends")]

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use squall::shards::{BoxError, Builder, Mesh, MeshSender, Shard, ShardId, Source, Stop, Stopper, clock};

const QUEUE_MESSAGES: usize = 1024;

/// The shard that measures, and the shard that sends every message back.
const NEAR: ShardId = ShardId::new(0);
const FAR: ShardId = ShardId::new(1);

/// Runs `measure` on the first of two shards, while the second sends every message back.
fn between_two_shards<F>(measure: impl Fn(MeshSender<u64>, Receiver) -> F + Send + Sync + 'static) -> Duration
where
    F: Future<Output = Result<Duration, BoxError>> + 'static,
{
    let shards = Builder::new().shards(2).build().expect("two shards");
    let mesh: Mesh<u64> = shards.mesh(QUEUE_MESSAGES);
    let stopper = shards.stopper();
    let (answer, answered) = channel();
    shards
        .run(move |shard| {
            let (mesh, stopper, answer) = (mesh.clone(), stopper.clone(), answer.clone());
            let receiver = Receiver::default();
            let near = (shard.id() == NEAR).then(|| measure(mesh.sender(), receiver.clone()));
            async move { run_shard(shard, &mesh, receiver, near, (stopper, answer)).await }
        })
        .expect("the shards run");
    answered.recv().expect("an answer")
}

async fn run_shard(
    shard: Shard,
    mesh: &Mesh<u64>,
    receiver: Receiver,
    near: Option<impl Future<Output = Result<Duration, BoxError>>>,
    (stopper, answer): (Stopper, Sender<Duration>),
) -> Result<(), BoxError> {
    let Some(measure) = near else {
        let back = mesh.sender();
        mesh.receive(move |from, message| {
            if let Source::Shard(from) = from {
                back.try_send(from, message)
                    .expect("as much room back as there was on the way here");
            }
        });
        shard.stopping(Stop::Graceful).await;
        return Ok(());
    };
    mesh.receive(move |_, message| receiver.put(message));
    let took = measure.await;
    stopper.stop(Stop::Graceful);
    answer.send(took?)?;
    Ok(())
}

/// Counts returned messages and wakes the task that waits for them.
#[derive(Clone, Default)]
struct Receiver {
    received: Rc<Cell<u64>>,
    waker: Rc<Cell<Option<std::task::Waker>>>,
}

impl Receiver {
    fn put(&self, message: u64) {
        black_box(message);
        self.received.set(self.received.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn until(&self, count: u64) {
        std::future::poll_fn(|cx| {
            if self.received.get() >= count {
                return std::task::Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            std::task::Poll::Pending
        })
        .await;
    }
}

fn mesh(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mesh");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(1));
    group.bench_function("there and back, in bursts of 512", |bencher| {
        bencher.iter_custom(|messages| {
            between_two_shards(move |sender, receiver| async move {
                let start = clock::now();
                let mut sent = 0;
                while sent < messages {
                    let burst = (messages - sent).min(512);
                    for message in 0..burst {
                        sender.send(FAR, message).await?;
                    }
                    sent += burst;
                    receiver.until(sent).await;
                }
                Ok(start.elapsed())
            })
        });
    });
    group.bench_function("there and back, one at a time", |bencher| {
        bencher.iter_custom(|messages| {
            between_two_shards(move |sender, receiver| async move {
                let start = clock::now();
                for message in 0..messages {
                    sender.send(FAR, message).await?;
                    receiver.until(message + 1).await;
                }
                Ok(start.elapsed())
            })
        });
    });
    group.finish();
}

criterion_group!(benches, mesh);
criterion_main!(benches);
