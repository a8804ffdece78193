//! Starts handlers: each is polled once by the task of its connection, and by a task of its own if it waits.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use squall_shards::spawn_detached;

use super::handler_pool::{Finished, Slot, Stage};
use super::tunnel;
use crate::app::ExchangeTask;
use crate::server::shard::ShardServer;

/// What has become of a handler.
pub(super) enum Progress {
    /// It has answered at once; its exchange holds the response.
    Answered(ExchangeTask),
    /// It waits, or its response does: it now runs in a task of its own.
    Spawned,
}

/// Starts a handler, and polls it once with the waker of its connection.
///
/// A handler that waits is polled again in its own task, and so stores the waker of that task.
pub(super) fn start(server: &Rc<ShardServer>, task: ExchangeTask, cx: &mut Context<'_>) -> Progress {
    let mut slot = server.handlers.take();
    slot.fill(task, Stage::Inline);
    match slot.poll(cx) {
        Poll::Ready(Finished::Answered(task)) => {
            server.handlers.give_back(slot);
            Progress::Answered(task)
        }
        Poll::Ready(Finished::Delivered(exchange)) => {
            server.return_exchange(exchange);
            server.handlers.give_back(slot);
            Progress::Spawned
        }
        Poll::Pending => {
            spawn(server, slot);
            Progress::Spawned
        }
    }
}

/// Serves the WebSocket that a handler has accepted, in a task of its own.
pub(super) fn open_tunnel(server: &Rc<ShardServer>, task: ExchangeTask) {
    tunnel::start(server, task);
}

/// Delivers a response in a task of its own, through the channel of its exchange.
pub(super) fn deliver(server: &Rc<ShardServer>, task: ExchangeTask) {
    let mut slot = server.handlers.take();
    slot.fill(task, Stage::Delivery);
    spawn(server, slot);
}

fn spawn(server: &Rc<ShardServer>, mut slot: Box<dyn Slot>) {
    slot.leave_connection();
    let server = Rc::clone(server);
    spawn_detached(async move {
        match poll_fn(|cx| slot.poll(cx)).await {
            Finished::Delivered(exchange) => server.return_exchange(exchange),
            // In a task of its own, only a WebSocket is not delivered.
            Finished::Answered(task) => tunnel::start(&server, task),
        }
        server.handlers.give_back(slot);
    });
}
