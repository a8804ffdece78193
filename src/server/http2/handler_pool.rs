//! The boxes that a shard keeps for the futures of handlers.
//!
//! Most handlers answer at their first poll. Their future lies in a box that is filled again and again, so such a request
//! allocates nothing.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::app::{Exchange, ExchangeTask};

/// The most boxes that a shard keeps. 64: those of one turn of a connection.
const BOXES_KEPT_MAX: usize = 64;

/// The boxes of a shard that are free.
#[derive(Default)]
pub(in crate::server) struct HandlerPool(RefCell<Vec<Box<dyn Slot>>>);

/// Where a handler is polled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// By the task of its connection.
    Inline,
    /// In its own task, which delivers the response.
    Own,
    /// It has ended; its own task delivers the response.
    Delivery,
}

/// What a future gives.
pub(super) enum Finished {
    /// The response is not delivered: the connection sends it, or it opens a WebSocket.
    Answered(ExchangeTask),
    Delivered(Box<Exchange>),
}

/// A box for one future after another.
pub(super) trait Slot {
    /// Puts a future for `task` into the box.
    fn fill(&mut self, task: ExchangeTask, stage: Stage);

    /// Tells the future that its own task polls it from now on.
    fn leave_connection(&self);

    /// Polls the future; ready once.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Finished>;
}

/// The future of `make` in its box.
struct Refilled<F, M> {
    future: Pin<Box<Option<F>>>,
    make: M,
    stage: Rc<Cell<Stage>>,
}

impl<F, M> Slot for Refilled<F, M>
where
    F: Future<Output = Finished>,
    M: Fn(ExchangeTask, Rc<Cell<Stage>>) -> F,
{
    fn fill(&mut self, task: ExchangeTask, stage: Stage) {
        self.stage.set(stage);
        let future = (self.make)(task, Rc::clone(&self.stage));
        self.future.as_mut().set(Some(future));
    }

    fn leave_connection(&self) {
        if self.stage.get() == Stage::Inline {
            self.stage.set(Stage::Own);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Finished> {
        let Some(future) = self.future.as_mut().as_pin_mut() else {
            // A future that has ended is not polled again.
            return Poll::Pending;
        };
        let polled = future.poll(cx);
        if polled.is_ready() {
            self.future.as_mut().set(None);
        }
        polled
    }
}

impl HandlerPool {
    pub(super) fn take(&self) -> Box<dyn Slot> {
        self.0.borrow_mut().pop().unwrap_or_else(|| {
            Box::new(Refilled {
                future: Box::pin(None),
                make: run,
                stage: Rc::new(Cell::new(Stage::Inline)),
            })
        })
    }

    pub(super) fn give_back(&self, slot: Box<dyn Slot>) {
        let mut slots = self.0.borrow_mut();
        if slots.len() < BOXES_KEPT_MAX {
            slots.push(slot);
        }
    }
}

/// Runs a handler; in its own task, it delivers the response too.
async fn run(mut task: ExchangeTask, stage: Rc<Cell<Stage>>) -> Finished {
    if stage.get() != Stage::Delivery {
        task.answer().await;
        if stage.get() == Stage::Inline || task.has_upgrade() {
            return Finished::Answered(task);
        }
    }
    Finished::Delivered(task.deliver().await)
}
