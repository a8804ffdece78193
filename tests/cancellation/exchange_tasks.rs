//! The futures of an exchange in a task of its own, and such tasks on a shard.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as Task, Poll, Waker};

use squall::app::{App, BodyLength, Channel, Completion, Exchange, ExchangeTask, ResponseEnd, TaskState};
use squall::message::TargetForm;
use squall::prelude::*;
use squall::shards::{spawn_local, yield_now};

use crate::harness::{at_every_poll, dropped_after, on_shard};
use crate::polls::POLLS_MAX;

/// How many requests one connection has at once.
const EXCHANGES: usize = 50;

/// Waits three times, in GET and in `on_finish`, and notes how the response ended.
struct Waiting(Rc<RefCell<Vec<Completion>>>);

impl RequestHandler for Waiting {
    async fn get(&self, cx: &mut Context) -> Result {
        cx.set_header("X-Set", "set")?;
        cx.write("whole");
        wait_three_times().await;
        Ok(())
    }

    async fn on_finish(&self, cx: &mut Context) {
        wait_three_times().await;
        self.0.borrow_mut().push(cx.completion());
    }
}

async fn wait_three_times() {
    let left = Cell::new(3);
    poll_fn(|task| {
        if left.replace(left.get() - 1) == 0 {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn task(app: &Rc<App>, length: BodyLength) -> (ExchangeTask, Rc<Channel>) {
    let mut exchange = Box::new(Exchange::new(app.shared()));
    exchange
        .head_mut()
        .rewrite()
        .bytes(b"/")
        .target(TargetForm::Origin, "/")
        .path(0..1, None);
    let channel = exchange.channel();
    channel.begin(length);
    (ExchangeTask::new(Rc::clone(app), exchange), channel)
}

/// Polls a delivery to its end, and sends what it hands over; returns status and content.
fn deliver(task: ExchangeTask, channel: &Channel) -> (u16, Vec<u8>) {
    let mut delivery = pin!(task.deliver());
    let (mut status, mut content) = (0, Vec::new());
    for _ in 0..POLLS_MAX {
        if delivery.as_mut().poll(&mut Task::from_waker(Waker::noop())).is_ready() {
            return (status, content);
        }
        if let Some(flush) = channel.take_flush() {
            status = flush.head.map_or(status, |head| head.status.as_u16());
            content.extend_from_slice(&flush.data);
            channel.flushed(flush.data, Ok(()));
        }
    }
    panic!("the delivery does not end")
}

#[test]
fn an_answer_that_is_dropped_leaves_a_503_to_its_delivery() {
    let endings = Rc::default();
    let app = Application::new()
        .route("/", Waiting(Rc::clone(&endings)))
        .build()
        .unwrap();
    at_every_poll(|polls| {
        let (mut task, channel) = task(&app, BodyLength::Empty);
        let answered = pollster::block_on(dropped_after(polls, task.answer()));
        if polls > 0 {
            let expected: (u16, &[u8]) = match answered {
                Some(()) => (200, b"whole"),
                None => (503, b""),
            };
            let (status, content) = deliver(task, &channel);
            assert_eq!((status, &*content), expected, "dropped after {polls} polls");
            assert_eq!(endings.take(), [Completion::Whole], "dropped after {polls} polls");
        }
        answered.is_some()
    });
}

#[test]
fn a_delivery_that_is_dropped_tells_its_driver() {
    let endings = Rc::default();
    let app = Application::new()
        .route("/", Waiting(Rc::clone(&endings)))
        .build()
        .unwrap();
    at_every_poll(|polls| {
        let (mut task, channel) = task(&app, BodyLength::Empty);
        pollster::block_on(task.answer());
        let delivery = crate::harness::dropped_after_telling(polls, task.deliver(), |_| {
            if let Some(flush) = channel.take_flush() {
                channel.flushed(flush.data, Ok(()));
            }
        });
        // The flush that was reported wakes the delivery, as `on_finish` wakes itself.
        let delivered = pollster::block_on(delivery).is_some();
        let expected = if delivered {
            TaskState::Ended
        } else {
            TaskState::Dropped
        };
        assert_eq!(channel.task_state(), expected, "dropped after {polls} polls");
        assert_eq!(
            endings.take().len(),
            usize::from(delivered),
            "dropped after {polls} polls"
        );
        delivered
    });
}

/// The tasks of a shard share one connection: content in pieces goes in, flushes come out, and each end wakes the other.
#[test]
fn the_exchanges_of_one_connection_run_as_tasks_of_a_shard() {
    on_shard(|| async {
        let echo = async |cx: &mut Context| -> Result {
            while let Some(piece) = cx.next_chunk().await? {
                cx.write(piece);
                cx.flush().await?;
                yield_now().await;
            }
            Ok(())
        };
        let app = Application::new().get("/", echo).build().unwrap();
        let exchanges = (0..EXCHANGES).map(|number| {
            let (mut task, channel) = task(&app, BodyLength::Unknown);
            let join = spawn_local(async move {
                task.answer().await;
                task.deliver().await
            });
            (number, channel, join)
        });
        let exchanges: Vec<_> = exchanges.collect();
        let mut received = vec![Vec::new(); EXCHANGES];
        let mut sent = vec![0; EXCHANGES];
        let mut open = EXCHANGES;
        poll_fn(|task| {
            for (number, channel, _) in &exchanges {
                channel.set_waker(task.waker());
                if channel.wants_body() && sent[*number] == *number {
                    channel.end_body();
                } else if channel.wants_body() {
                    sent[*number] += 1;
                    channel.push_data(format!("{},", sent[*number]).as_bytes());
                }
                if let Some(flush) = channel.take_flush() {
                    received[*number].extend_from_slice(&flush.data);
                    open -= usize::from(matches!(flush.end, Some(ResponseEnd::Complete { .. })));
                    channel.flushed(flush.data, Ok(()));
                }
            }
            if open == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        for (number, channel, join) in exchanges {
            join.await.unwrap();
            assert_eq!(channel.task_state(), TaskState::Ended);
            let expected: String = (1..=number).map(|piece| format!("{piece},")).collect();
            assert_eq!(received[number], expected.as_bytes(), "exchange {number}");
        }
    });
}
