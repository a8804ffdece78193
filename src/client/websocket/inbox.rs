//! The inbox of a client: one received message, then the end.
//!
//! The driver reads nothing more while a message waits. So a slow client costs no memory, and TCP slows its server
//! down. Once the client takes the message, the next may arrive while the client works.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::websocket::Message;
use crate::websocket::{Duplex, End};

/// Shared by the driver's task, which fills it, and the tasks that read.
#[derive(Debug, Default)]
pub(in crate::client) struct Inbox {
    message: RefCell<Option<Message>>,
    end: OnceCell<End>,
    /// This end has begun to close: the driver waits for the end even if the message is not taken.
    is_closing: Cell<bool>,
    readers: RefCell<Vec<Waker>>,
    /// The driver's task, while it waits for the message to be taken.
    feeder: RefCell<Option<Waker>>,
}

impl Inbox {
    /// Returns the next message; `None` at the end.
    pub(in crate::client) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Message>> {
        let message = self.message.take();
        if message.is_some() {
            self.wake_feeder();
            return Poll::Ready(message);
        }
        self.poll_end(cx).map(|_| None)
    }

    /// Returns how the connection ended.
    pub(in crate::client) fn poll_end(&self, cx: &Context<'_>) -> Poll<&End> {
        if let Some(end) = self.end.get() {
            return Poll::Ready(end);
        }
        let mut readers = self.readers.borrow_mut();
        if !readers.iter().any(|known| known.will_wake(cx.waker())) {
            readers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Returns how the connection ended, if it has.
    pub(in crate::client) fn end(&self) -> Option<&End> {
        self.end.get()
    }

    /// Marks that this end has begun to close.
    pub(in crate::client) fn close(&self) {
        self.is_closing.set(true);
        self.wake_feeder();
    }

    /// Sets the end; the first one stays.
    pub(in crate::client) fn finish(&self, end: End) {
        self.end.get_or_init(|| end);
        self.wake_readers();
    }

    fn put(&self, message: Message) {
        let before = self.message.replace(Some(message));
        drop(before);
        self.wake_readers();
    }

    /// Ready when the message has been taken.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_closing.get() || self.message.borrow().is_none() {
            return Poll::Ready(());
        }
        let before = self.feeder.replace(Some(cx.waker().clone()));
        drop(before);
        Poll::Pending
    }

    fn wake_readers(&self) {
        let readers = self.readers.take();
        readers.into_iter().for_each(Waker::wake);
    }

    fn wake_feeder(&self) {
        let feeder = self.feeder.take();
        if let Some(feeder) = feeder {
            feeder.wake();
        }
    }
}

/// Moves received messages into the inbox until the end. It runs in the driver's task.
pub(in crate::client) async fn feed(duplex: Rc<Duplex>, inbox: Rc<Inbox>) {
    let end = loop {
        std::future::poll_fn(|cx| inbox.poll_room(cx)).await;
        match duplex.next_message().await {
            Ok(message) => inbox.put(message),
            Err(end) => break end,
        }
    };
    inbox.finish(*end);
}
