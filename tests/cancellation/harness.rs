//! Shared by these tests: reports of a handler about its future, and slow readers.

use std::net::{SocketAddr, TcpStream};

use crossbeam::channel::{Receiver, Sender, unbounded};

use crate::support::client::Connection;

pub(crate) use crate::polls::{at_every_poll, at_every_poll_here, dropped_after, dropped_after_telling};
pub(crate) use crate::support::eventually;
pub(crate) use crate::support::running::Running;
pub(crate) use crate::support::shard::{TIME_LIMIT, deadline, eventually_here, on_shard};

/// More than the buffers of both ends and `--max-unsent-bytes` hold for a client that does not read.
pub(crate) const LARGE_BYTES: usize = 512 * 1024;

/// What a handler reports about the future under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FutureState {
    /// It returned `Pending`.
    Waits,
    /// It was dropped, or was ready before that.
    Over { is_ready: bool },
}

/// The handler's end of the channel to its test.
#[derive(Clone)]
pub(crate) struct StateSender(Sender<FutureState>);

/// The test's end.
pub(crate) struct StateReceiver(Receiver<FutureState>);

/// A channel from a handler to its test.
pub(crate) fn line() -> (StateSender, StateReceiver) {
    let (says, hears) = unbounded();
    (StateSender(says), StateReceiver(hears))
}

impl StateSender {
    /// Drops a future after `polls` polls, and reports its state meanwhile.
    pub(crate) async fn dropped_after<F: Future>(&self, polls: usize, future: F) -> Option<F::Output> {
        let output = dropped_after_telling(polls, future, |_| self.0.send(FutureState::Waits).unwrap()).await;
        let is_ready = output.is_some();
        self.0.send(FutureState::Over { is_ready }).unwrap();
        output
    }
}

impl StateReceiver {
    /// The next state.
    pub(crate) fn word(&self) -> FutureState {
        self.0
            .recv_timeout(TIME_LIMIT)
            .expect("the handler says where it stands")
    }

    /// Calls `waits` at each `Pending`. Returns whether the future was ready in the end.
    pub(crate) fn until_over(&self, mut waits: impl FnMut()) -> bool {
        loop {
            match self.word() {
                FutureState::Waits => waits(),
                FutureState::Over { is_ready } => return is_ready,
            }
        }
    }
}

/// Content in which each position is recognizable, so that a lost, doubled or moved piece is found.
pub(crate) fn numbered(bytes: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes + 8);
    let mut number = 0;
    while content.len() < bytes {
        content.extend_from_slice(format!("{number:07}\n").as_bytes());
        number += 1;
    }
    content.truncate(bytes);
    content
}

/// Sends a request of one line and `Host`.
pub(crate) fn ask(address: SocketAddr, line: &str) -> Connection {
    let mut connection = Connection::over(TcpStream::connect(address).unwrap()).unwrap();
    connection
        .send(format!("{line}\r\nHost: a\r\n\r\n").as_bytes())
        .unwrap();
    connection
}
