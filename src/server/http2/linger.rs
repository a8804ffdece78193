//! The end of a connection: the rest of the output leaves, and its socket closes so that the peer can still read it.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use super::connection::Connection;
use crate::server::ending::{Flow, peer_gone};
use crate::transport::arrival::Arrival;

impl Connection {
    /// Sends the rest, half-closes, and reads until the peer has closed its half, for at most the linger timeout.
    pub(super) async fn linger(&mut self) {
        self.wire.input.clear(&self.wire.socket);
        if let Some(exchange) = self.exchange.take() {
            self.server.return_exchange(exchange);
        }
        if poll_fn(|cx| self.poll_end(cx)).await.is_err() {
            return;
        }
        self.wire.socket.announce_end();
        let ended = poll_fn(|cx| self.poll_end(cx)).await;
        if ended.is_err() || self.wire.socket.shutdown_write().is_err() {
            return;
        }
        let patience = self.server.config.own.linger_timeout;
        let until = self.now() + patience;
        if poll_fn(|cx| self.poll_discard(until, cx)).await.is_err() {
            return;
        }
        let mut arrival = Arrival::new(self.now(), patience);
        let (wire, server) = (&mut self.wire, &self.server);
        poll_fn(|cx| arrival.poll(&wire.socket, &mut wire.timer, || server.shard.now(), cx)).await;
    }

    /// Sends the rest of the output; ready when the kernel has it.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Flow> {
        loop {
            if self.wire.socket.is_sending() {
                match self.wire.poll_sent(cx) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => {
                        let now = self.server.shard.now();
                        let due = self.wire.check_pace(now, &self.server.write)?;
                        self.wire.timer.set(due);
                        if self.wire.timer.poll(cx).is_ready() {
                            continue;
                        }
                        return Poll::Pending;
                    }
                }
            }
            if self.wire.output.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.wire.start_send()?;
        }
    }

    /// Receives and drops bytes until the peer has closed its half; ready early at a stop or at `until`.
    fn poll_discard(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<Flow> {
        while !self.wire.input_ended {
            self.wire.timer.set(Some(until));
            if self.server.is_stopping() || self.wire.timer.poll(cx).is_ready() {
                break;
            }
            match self.wire.socket.poll_receive(cx).map_err(peer_gone)? {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => self.wire.input_ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}
