//! The receipts of one publication, on their way from every shard to its publisher.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Poll, ready};

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_core::Stream as _;

use crate::pubsub::Receipt;

/// Sends one shard's receipt to the publisher.
///
/// Each shard drops its sender after its receipt. The publisher is done when all senders are dropped, including those
/// lost with a shard.
pub type ReceiptSender = UnboundedSender<Receipt>;

/// Receives at most one receipt from each shard.
#[derive(Debug)]
pub struct Receipts(UnboundedReceiver<Receipt>);

impl Receipts {
    /// Creates the channel for the receipts of one publication.
    #[must_use]
    pub fn channel() -> (ReceiptSender, Self) {
        let (sender, receiver) = unbounded();
        (sender, Self(receiver))
    }

    /// Adds up the receipts of all shards.
    ///
    /// Completes when every shard has sent its receipt or dropped its sender.
    pub fn sum(mut self) -> impl Future<Output = Receipt> {
        let mut sum = Receipt::default();
        poll_fn(move |task| {
            while let Some(receipt) = ready!(Pin::new(&mut self.0).poll_next(task)) {
                sum += receipt;
            }
            Poll::Ready(sum)
        })
    }
}
