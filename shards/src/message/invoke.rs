//! Runs a closure on another shard and awaits its result (Seastar's `invoke_on`).
//!
//! Only the closure and its result cross threads. What the closure builds on its shard need not be `Send` and stays
//! there. Invocations are messages of an ordinary mesh, with its order and its bounds.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use futures_channel::oneshot;

use super::links::{Invocation, MeshSender, SendError};
use crate::balance::watchdog::Place;
use crate::shard::id::ShardId;
use crate::shard::shard::Shard;
use crate::task::spawn_from;

/// Runs a future on shard `to` and returns its output.
///
/// `task` makes the future on that shard. A full queue is waited for. If the future blocks that shard, the report names
/// the place of this call.
///
/// Cancel safety: a future dropped early leaves open whether the closure runs; its output is discarded.
///
/// # Errors
///
/// The shard does not exist or has ended, 4096 tasks already wait for room in its queues, or the task panicked.
///
/// # Panics
///
/// Panics if the calling thread is not a shard; other threads use [`Remote`].
#[track_caller]
pub fn invoke_on<F, T>(to: ShardId, task: F) -> impl Future<Output = Result<T::Output, InvokeError>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Future + 'static,
    T::Output: Send + 'static,
{
    let place = Location::caller();
    async move { Remote::here().invoke_from(place, to, task).await }
}

/// Runs a future on every shard, the caller's included, and returns the outputs in shard order.
///
/// Cancel safety: as [`invoke_on`].
///
/// # Errors
///
/// As [`invoke_on`]; the first error ends the wait for the remaining shards.
///
/// # Panics
///
/// Panics if the calling thread is not a shard.
#[track_caller]
pub fn invoke_on_all<F, T>(task: F) -> impl Future<Output = Result<Vec<T::Output>, InvokeError>>
where
    F: FnOnce() -> T + Clone + Send + 'static,
    T: Future + 'static,
    T::Output: Send + 'static,
{
    let place = Location::caller();
    async move { Remote::here().invoke_all_from(place, task).await }
}

/// Invokes closures on shards from any thread.
#[derive(Debug, Clone)]
pub struct Remote {
    sender: MeshSender<Invocation>,
}

impl Remote {
    pub(crate) fn new(sender: MeshSender<Invocation>) -> Self {
        Self { sender }
    }

    /// Returns the remote of the calling thread, which is a shard.
    fn here() -> Self {
        Self::new(Shard::current().into_context().invocations().clone())
    }

    /// Does what the free function [`invoke_on`] does, from any thread.
    ///
    /// # Errors
    ///
    /// As the free function.
    #[track_caller]
    pub fn invoke_on<F, T>(&self, to: ShardId, task: F) -> impl Future<Output = Result<T::Output, InvokeError>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        self.invoke_from(Location::caller(), to, task)
    }

    /// Does what the free function [`invoke_on_all`] does, from any thread.
    ///
    /// # Errors
    ///
    /// As the free function.
    #[track_caller]
    pub fn invoke_on_all<F, T>(&self, task: F) -> impl Future<Output = Result<Vec<T::Output>, InvokeError>>
    where
        F: FnOnce() -> T + Clone + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        self.invoke_all_from(Location::caller(), task)
    }

    async fn invoke_from<F, T>(&self, place: Place, to: ShardId, task: F) -> Result<T::Output, InvokeError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        let answer = self.begin(place, to, task).await?;
        answer.await.map_err(|_| InvokeError::NoAnswer(to))
    }

    async fn invoke_all_from<F, T>(&self, place: Place, task: F) -> Result<Vec<T::Output>, InvokeError>
    where
        F: FnOnce() -> T + Clone + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        let mut waiting = Vec::new();
        for index in 0..self.sender.shards() {
            let to = ShardId::new(index);
            waiting.push((to, self.begin(place, to, task.clone()).await?));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for (to, answer) in waiting {
            answers.push(answer.await.map_err(|_| InvokeError::NoAnswer(to))?);
        }
        Ok(answers)
    }

    /// Does what [`invoke_on`](Self::invoke_on) does, and blocks the calling thread meanwhile.
    ///
    /// # Errors
    ///
    /// As there. Also fails on a shard's thread, which may not block.
    #[track_caller]
    pub fn invoke_on_blocking<F, T>(&self, to: ShardId, task: F) -> Result<T::Output, InvokeError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        check_may_block()?;
        pollster::block_on(self.invoke_on(to, task))
    }

    /// Does what [`invoke_on_all`](Self::invoke_on_all) does, and blocks the calling thread meanwhile.
    ///
    /// # Errors
    ///
    /// As there. Also fails on a shard's thread, which may not block.
    #[track_caller]
    pub fn invoke_on_all_blocking<F, T>(&self, task: F) -> Result<Vec<T::Output>, InvokeError>
    where
        F: FnOnce() -> T + Clone + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        check_may_block()?;
        pollster::block_on(self.invoke_on_all(task))
    }

    async fn begin<F, T>(&self, place: Place, to: ShardId, task: F) -> Result<oneshot::Receiver<T::Output>, InvokeError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        let invocation: Invocation = Box::new(move || {
            spawn_from(place, async move {
                // A failed send means that the caller dropped its future: nothing to do.
                drop(answer.send(task().await));
            });
        });
        self.sender
            .send(to, invocation)
            .await
            .map_err(|SendError { to, .. }| InvokeError::NotSent(to))?;
        Ok(receiver)
    }
}

/// Rejects a wait on the thread of a shard: the shard could not run the closure it waits for.
fn check_may_block() -> Result<(), InvokeError> {
    match Shard::try_current() {
        None => Ok(()),
        Some(shard) => Err(InvokeError::OnShard(shard.id())),
    }
}

/// A closure could not be sent to another shard, or did not finish there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvokeError {
    /// The shard does not exist or has ended, or 4096 tasks already wait for room in its queues.
    NotSent(ShardId),
    /// The task panicked, or the shard ended before the task did.
    NoAnswer(ShardId),
    /// The calling thread belongs to this shard, so it may not block.
    OnShard(ShardId),
}

impl fmt::Display for InvokeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(shard) => write!(
                formatter,
                "could not reach {shard}: it does not exist or has ended, or its queue is full"
            ),
            Self::NoAnswer(shard) => write!(
                formatter,
                "{shard} did not answer: the task panicked or the shard ended"
            ),
            Self::OnShard(shard) => write!(
                formatter,
                "could not block the thread of {shard}: all its connections would wait; await the form without `_blocking`"
            ),
        }
    }
}

impl std::error::Error for InvokeError {}
