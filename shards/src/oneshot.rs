//! One value from one thread to a future on another.
//!
//! Why: an answer that comes once (the result of blocking work) needs no queue. The whole protocol is one cell that both
//! sides only ever exchange: the receiver puts its waker in, the sender puts the value in, and each finds out from what
//! it got back whether the other has been there. An exchange cannot be split, so no wake-up is lost.
//!
//! Invariant: once the cell holds `Done` or `Closed`, only the receiver changes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crossbeam::atomic::AtomicCell;

/// Creates the two ends.
pub(crate) fn channel<T: Send>() -> (Sender<T>, Receiver<T>) {
    let cell = Arc::new(AtomicCell::new(State::Empty));
    (
        Sender {
            cell: Some(Arc::clone(&cell)),
        },
        Receiver { cell: Some(cell) },
    )
}

/// The end that has the value; dropped without sending, it tells the receiver so.
pub(crate) struct Sender<T: Send> {
    cell: Option<Arc<AtomicCell<State<T>>>>,
}

/// The end that waits: a future of the value.
pub(crate) struct Receiver<T: Send> {
    cell: Option<Arc<AtomicCell<State<T>>>>,
}

/// The sender was dropped without sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// The value is boxed so that the cell is small, whatever `T` is: an exchange holds a spin lock while it copies.
enum State<T> {
    Empty,
    Waiting(Waker),
    Done(Box<T>),
    Closed,
}

impl<T: Send> Sender<T> {
    /// Gives the value to the receiver and wakes it; drops the value if the receiver is gone.
    pub(crate) fn send(mut self, value: T) {
        self.finish(State::Done(Box::new(value)));
    }

    fn finish(&mut self, end: State<T>) {
        if let Some(cell) = self.cell.take()
            && let State::Waiting(waker) = cell.swap(end)
        {
            waker.wake();
        }
    }
}

impl<T: Send> Drop for Sender<T> {
    fn drop(&mut self) {
        self.finish(State::Closed);
    }
}

impl<T: Send> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    /// Answers `Closed` if it is polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(cell) = &self.cell else {
            return Poll::Ready(Err(Closed));
        };
        let answer = match cell.swap(State::Waiting(context.waker().clone())) {
            State::Empty | State::Waiting(_) => return Poll::Pending,
            State::Done(value) => Ok(*value),
            State::Closed => Err(Closed),
        };
        self.cell = None;
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::testing::block_on;

    fn poll<T: Send>(receiver: &mut Receiver<T>) -> Poll<Result<T, Closed>> {
        Pin::new(receiver).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_value_sent_before_the_first_poll_is_there() {
        let (sender, mut receiver) = channel();
        sender.send("value");
        assert_eq!(poll(&mut receiver), Poll::Ready(Ok("value")));
        assert_eq!(poll(&mut receiver), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn a_sender_dropped_while_the_receiver_waits_closes_it() {
        let (sender, mut receiver) = channel::<u8>();
        assert_eq!(poll(&mut receiver), Poll::Pending);
        drop(sender);
        assert_eq!(poll(&mut receiver), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn a_value_nobody_waits_for_is_dropped_once() {
        let value = Arc::new(());
        let (sender, receiver) = channel();
        drop(receiver);
        sender.send(Arc::clone(&value));
        let (sender, receiver) = channel();
        sender.send(Arc::clone(&value));
        drop(receiver);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn no_wake_up_is_lost_when_both_ends_meet() {
        // A lost one leaves this test parked for ever.
        let (pairs, senders) = crossbeam::channel::bounded::<Sender<u32>>(0);
        let sending = thread::spawn(move || (0..).zip(&senders).for_each(|(number, sender)| sender.send(number)));
        for number in 0..20_000 {
            let (sender, receiver) = channel();
            pairs.send(sender).unwrap();
            assert_eq!(block_on(receiver), Ok(number));
        }
        drop(pairs);
        sending.join().unwrap();
    }
}
