//! The futures that use the state of another shard, from handlers and from threads outside the shards, on two shards.

use std::cell::Cell;

use squall::prelude::*;
use squall::shards::{Shard, ShardId};
use squall::websocket::Message;

use crate::harness::{Running, ask, at_every_poll, at_every_poll_here, dropped_after};
use crate::support::running::read;

/// How often the closures of one test ran on a shard.
struct Runs(Cell<usize>);

/// A closure that ran.
fn count(runs: &Runs) {
    runs.0.set(runs.0.get() + 1);
}

/// Drops each call of a handler at every poll. Messages keep their order, so the second call shows what the first did.
macro_rules! drop_every_call {
    ($cx:expr) => {{
        let other = ShardId::new(1 - Shard::current().id().index());
        at_every_poll_here(async |polls| {
            let called = dropped_after(polls, $cx.on_shard(other, count)).await;
            let ran = $cx.on_shard(other, |runs: &Runs| runs.0.take()).await.unwrap();
            assert_eq!(ran, usize::from(polls > 0), "{polls} polls");
            called.is_some()
        })
        .await;
        at_every_poll_here(async |polls| {
            let called = dropped_after(polls, $cx.on_all_shards(count)).await;
            let ran = $cx.on_all_shards(|runs: &Runs| runs.0.take()).await.unwrap();
            assert_eq!(ran, [usize::from(polls > 0); 2], "{polls} polls");
            called.is_some()
        })
        .await;
    }};
}

struct CallingSocket;

impl WebSocketHandler for CallingSocket {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        drop_every_call!(ws);
        Ok(ws.send("done").await?)
    }

    async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
        Ok(())
    }
}

async fn calls(cx: &mut Context) -> &'static str {
    drop_every_call!(cx);
    "done"
}

fn serve() -> Running {
    Running::start(2, || {
        Application::new()
            .state(Runs(Cell::new(0)))
            .get("/calls", calls)
            .websocket("/ws", async |_: &mut Context| Ok(CallingSocket))
    })
}

#[test]
fn a_closure_for_the_state_of_a_shard_runs_once_or_not_at_all_if_its_future_is_dropped() {
    let server = serve();
    let mut connection = ask(server.address, "GET /calls HTTP/1.1");
    connection.response("GET").unwrap().expect(200, b"done").unwrap();
    let mut socket = server.connect("/ws");
    assert_eq!(read(&mut socket).to_text().unwrap(), "done");
}

#[test]
fn a_closure_from_outside_for_the_state_of_a_shard_runs_once_or_not_at_all_if_its_future_is_dropped() {
    let server = serve();
    let remote = &server.remote;
    at_every_poll(|polls| {
        let other = ShardId::new(1);
        let called = pollster::block_on(dropped_after(polls, remote.on_shard(other, count)));
        let ran = pollster::block_on(remote.on_shard(other, |runs: &Runs| runs.0.take())).unwrap();
        assert_eq!(ran, usize::from(polls > 0), "{polls} polls");
        called.is_some()
    });
    at_every_poll(|polls| {
        let called = pollster::block_on(dropped_after(polls, remote.on_all_shards(count)));
        let ran = pollster::block_on(remote.on_all_shards(|runs: &Runs| runs.0.take())).unwrap();
        assert_eq!(ran, [usize::from(polls > 0); 2], "{polls} polls");
        called.is_some()
    });
}
