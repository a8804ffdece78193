//! The share of each turn that a shard spends on handshakes: 1 ms, in the order of arrival.
//!
//! A handshake costs what fifteen requests cost, or sixty with an RSA key. Without a bound, a flood of them would delay
//! every established connection of the shard. A step is one computation, so a turn may take 1 ms and one signature.
//!
//! Invariant: only the first of the queue polls again by itself; the others sleep until those before them have entered.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use squall_shards::{Shard, clock};

/// The longest time of a turn that goes to handshakes. 1 ms: a tenth of the shortest pause that a person notices.
const TURN_TIME_MAX: Duration = Duration::from_millis(1);

/// The handshakes of one shard.
#[derive(Debug)]
pub(in crate::server) struct HandshakeMeter {
    shard: Shard,
    /// The turn that `spent` belongs to.
    turn: Cell<Instant>,
    spent: Cell<Duration>,
    queue: RefCell<VecDeque<Waiting>>,
    next_ticket: Cell<u64>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    waker: Waker,
}

/// A wait for the turn of one step.
pub(super) struct Enter<'a> {
    meter: &'a HandshakeMeter,
    ticket: Option<u64>,
}

/// A step of a handshake; dropping it adds its time.
pub(super) struct Step<'a> {
    meter: &'a HandshakeMeter,
    began: Instant,
}

impl HandshakeMeter {
    pub(super) fn new(shard: Shard) -> Self {
        Self {
            turn: Cell::new(shard.now()),
            shard,
            spent: Cell::new(Duration::ZERO),
            queue: RefCell::default(),
            next_ticket: Cell::new(0),
        }
    }

    /// Waits until the shard has time for a step.
    ///
    /// Cancel safety: a dropped wait leaves the queue.
    pub(super) fn enter(&self) -> Enter<'_> {
        Enter {
            meter: self,
            ticket: None,
        }
    }

    fn has_time(&self) -> bool {
        let now = self.shard.now();
        if self.turn.replace(now) != now {
            self.spent.set(Duration::ZERO);
        }
        self.spent.get() < TURN_TIME_MAX
    }

    /// Wakes the first of the queue.
    fn wake_first(&self) {
        if let Some(first) = self.queue.borrow().front() {
            first.waker.wake_by_ref();
        }
    }
}

impl<'a> Future for Enter<'a> {
    type Output = Step<'a>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Step<'a>> {
        let meter = self.meter;
        let mut queue = meter.queue.borrow_mut();
        let first = queue.front().map(|first| first.ticket);
        let is_first = first.is_none() || first == self.ticket;
        if is_first && meter.has_time() {
            if self.ticket.take().is_some() {
                queue.pop_front();
            }
            let began = clock::now();
            return Poll::Ready(Step { meter, began });
        }
        if is_first {
            // The next turn has time again.
            cx.waker().wake_by_ref();
        }
        let ticket = self.ticket;
        let known = queue.iter_mut().find(|waiting| Some(waiting.ticket) == ticket);
        match known {
            Some(waiting) => waiting.waker.clone_from(cx.waker()),
            None => {
                let ticket = meter.next_ticket.get();
                meter.next_ticket.set(ticket.wrapping_add(1));
                queue.push_back(Waiting {
                    ticket,
                    waker: cx.waker().clone(),
                });
                self.ticket = Some(ticket);
            }
        }
        Poll::Pending
    }
}

impl Drop for Enter<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.meter.queue.borrow_mut().retain(|waiting| waiting.ticket != ticket);
            self.meter.wake_first();
        }
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        let time = clock::now().saturating_duration_since(self.began);
        self.meter.spent.set(self.meter.spent.get().saturating_add(time));
        self.meter.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use squall_shards::{Builder, Driver, Shard, clock, spawn_local, yield_now};

    use super::*;

    /// How long a step of these tests computes: an RSA signature takes about as long.
    const STEP: Duration = Duration::from_millis(1);

    /// How many handshakes wait at once.
    const HANDSHAKES: usize = 32;

    /// Runs a future on a shard.
    fn on_shard<F: Future<Output = ()> + 'static>(main: impl Fn() -> F + Send + Sync + 'static) {
        let shards = Builder::new().shards(1).driver(Driver::Epoll).stop_on_signals(false);
        let ran = shards.build().unwrap().run(move |_| {
            let running = main();
            async move {
                running.await;
                Ok(())
            }
        });
        ran.unwrap();
    }

    fn compute(time: Duration) {
        let until = clock::now() + time;
        while clock::now() < until {
            std::hint::spin_loop();
        }
    }

    /// Beside a flood of handshakes, an established connection gets its turn after each of them.
    #[test]
    fn a_flood_takes_1_ms_of_each_turn_in_the_order_of_arrival() {
        on_shard(|| async {
            let meter = Rc::new(HandshakeMeter::new(Shard::current()));
            let steps = Rc::new(RefCell::new(Vec::new()));
            let handshakes: Vec<_> = (0..HANDSHAKES)
                .map(|number| {
                    let (meter, steps) = (Rc::clone(&meter), Rc::clone(&steps));
                    spawn_local(async move {
                        let step = meter.enter().await;
                        compute(STEP);
                        steps.borrow_mut().push((Shard::current().now(), number));
                        drop(step);
                    })
                })
                .collect();
            let established = async {
                let mut turns = 0;
                while steps.borrow().len() < HANDSHAKES {
                    turns += 1;
                    yield_now().await;
                }
                turns
            };
            assert!(established.await >= HANDSHAKES - 1);
            for handshake in handshakes {
                handshake.await.unwrap();
            }
            let steps = steps.borrow();
            assert!(steps.iter().map(|(_, number)| *number).eq(0..HANDSHAKES), "{steps:?}");
            // A step fills its turn.
            assert!(steps.windows(2).all(|pair| pair[0].0 != pair[1].0), "{steps:?}");
        });
    }

    #[test]
    fn a_handshake_that_is_given_up_leaves_the_queue_to_the_next() {
        on_shard(|| async {
            let meter = Rc::new(HandshakeMeter::new(Shard::current()));
            let step = meter.enter().await;
            compute(TURN_TIME_MAX);
            drop(step);
            let given_up = {
                let meter = Rc::clone(&meter);
                spawn_local(async move {
                    let mut waiting = std::pin::pin!(meter.enter());
                    let first = std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_ready()));
                    assert!(!first.await);
                })
            };
            let next = {
                let meter = Rc::clone(&meter);
                spawn_local(async move { drop(meter.enter().await) })
            };
            given_up.await.unwrap();
            next.await.unwrap();
            assert!(meter.queue.borrow().is_empty());
        });
    }
}
