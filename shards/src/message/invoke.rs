//! Running a closure on another shard and awaiting its answer (Seastar's `invoke_on`).
//!
//! The closure and its answer cross; what the closure builds there need not be `Send` and stays. Invocations are messages of a
//! mesh like any other, with its order and its bounds.

use std::fmt;
use std::future::Future;

use futures_channel::oneshot;

use super::mesh::{Mesh, MeshSender, SendError};
use crate::shard::shard::{Shard, ShardId};
use crate::task::spawn_detached;

/// A closure on its way to another shard.
pub(crate) type Invocation = Box<dyn FnOnce() + Send>;

/// The mesh all invocations travel in, and this shard's sender.
#[derive(Debug)]
pub(crate) struct Invocations {
    sender: MeshSender<Invocation>,
}

impl Invocations {
    /// Starts to carry out what other shards ask of the calling one.
    pub(crate) fn start(mesh: &Mesh<Invocation>) {
        mesh.receive(|_, invocation| invocation());
    }

    pub(crate) fn new(sender: MeshSender<Invocation>) -> Self {
        Self { sender }
    }
}

/// Runs a future, made by `task` on shard `to`, on that shard and gives back its answer. Waits for room when the queue to that
/// shard is full.
///
/// Cancel safety: dropped early, the closure may or may not run; its answer is discarded.
///
/// # Errors
///
/// There is no such shard, too many tasks wait for room, or the task panicked or its shard ended before it answered.
///
/// # Panics
///
/// Called on a thread that is not a shard's; [`Remote`] serves other threads.
pub async fn invoke_on<F, T>(to: ShardId, task: F) -> Result<T::Output, InvokeError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Future + 'static,
    T::Output: Send + 'static,
{
    let sender = Shard::current().into_context().invocations().sender.clone();
    Remote { sender }.invoke_on(to, task).await
}

/// Runs a future on every shard, the caller's included, and gives back all answers in the order of the shards.
///
/// Cancel safety and errors: as [`invoke_on`]; the first error ends the wait for the rest.
///
/// # Errors
///
/// As [`invoke_on`].
///
/// # Panics
///
/// Called on a thread that is not a shard's.
pub async fn invoke_on_all<F, T>(task: F) -> Result<Vec<T::Output>, InvokeError>
where
    F: FnOnce() -> T + Clone + Send + 'static,
    T: Future + 'static,
    T::Output: Send + 'static,
{
    let sender = Shard::current().into_context().invocations().sender.clone();
    Remote { sender }.invoke_on_all(task).await
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

    /// As the free function [`invoke_on`], from any thread.
    ///
    /// # Errors
    ///
    /// As the free function.
    pub async fn invoke_on<F, T>(&self, to: ShardId, task: F) -> Result<T::Output, InvokeError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        let answer = self.begin(to, task).await?;
        answer.await.map_err(|_| InvokeError::NoAnswer(to))
    }

    /// As the free function [`invoke_on_all`], from any thread.
    ///
    /// # Errors
    ///
    /// As the free function.
    pub async fn invoke_on_all<F, T>(&self, task: F) -> Result<Vec<T::Output>, InvokeError>
    where
        F: FnOnce() -> T + Clone + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        let mut waiting = Vec::new();
        for index in 0..self.sender.shards() {
            let to = ShardId::new(index);
            waiting.push((to, self.begin(to, task.clone()).await?));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for (to, answer) in waiting {
            answers.push(answer.await.map_err(|_| InvokeError::NoAnswer(to))?);
        }
        Ok(answers)
    }

    async fn begin<F, T>(&self, to: ShardId, task: F) -> Result<oneshot::Receiver<T::Output>, InvokeError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        let invocation: Invocation = Box::new(move || {
            spawn_detached(async move {
                // Nobody waits any more when sending fails, and that is the caller's business.
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

/// A closure could not be run on another shard, or did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvokeError {
    /// There is no such shard, it has ended, or too many tasks wait for room in its queue.
    NotSent(ShardId),
    /// The task panicked, or its shard ended first.
    NoAnswer(ShardId),
}

impl fmt::Display for InvokeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(shard) => write!(
                formatter,
                "{shard} could not be reached: no such shard (any more), or its queue is full"
            ),
            Self::NoAnswer(shard) => write!(
                formatter,
                "{shard} did not answer: the task panicked or the shard ended"
            ),
        }
    }
}

impl std::error::Error for InvokeError {}
