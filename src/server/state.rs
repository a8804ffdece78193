//! The application's state of other shards: closures that run there and get the state as an argument.
//!
//! The state never leaves its shard. Only the closure and its result cross, so both are `Send`.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use squall_shards::{InvokeError, Remote, ShardId, invoke_on, invoke_on_all};

use crate::app::{Context, ShardWork, Shared, WebSocket};
use crate::error::{Error, Result};

thread_local! {
    /// What the application of this shard shares, while the shard serves.
    static LOCAL: RefCell<Weak<Shared>> = const { RefCell::new(Weak::new()) };
}

/// Lets closures of other shards use the state of this shard's application.
pub(super) fn share_state(shared: &Rc<Shared>) {
    LOCAL.set(Rc::downgrade(shared));
}

impl Context {
    /// Runs a closure on a shard, with the state of type `T` of that shard's application, and returns its result.
    ///
    /// ```
    /// # use squall::prelude::*;
    /// # use squall::shards::ShardId;
    /// # use std::cell::Cell;
    /// struct Tickets(Cell<u32>);
    ///
    /// async fn buy(cx: &mut Context) -> Result<StatusCode> {
    ///     // The first shard sells all tickets, so no ticket is sold twice.
    ///     let is_sold = cx.on_shard(ShardId::FIRST, |tickets: &Tickets| {
    ///         let left = tickets.0.get().checked_sub(1);
    ///         left.map(|left| tickets.0.set(left)).is_some()
    ///     });
    ///     Ok(if is_sold.await? { StatusCode::OK } else { StatusCode::GONE })
    /// }
    /// ```
    ///
    /// Waits while the queue to that shard is full. Closures that one handler sends to a shard run in that order. If the
    /// closure blocks that shard, the report names the place of this call.
    ///
    /// # Errors
    ///
    /// The application has no state of type `T`. Or the shard does not exist, does not serve yet or has ended, or 4096
    /// closures wait for it. Or the closure panicked, or the application runs without a server.
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, the result is lost; the closure runs once or not at all.
    #[track_caller]
    pub fn on_shard<T, R>(
        &self,
        shard: ShardId,
        work: impl FnOnce(&T) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R>>
    where
        T: 'static,
        R: Send + 'static,
    {
        run_on(shard, work)
    }

    /// Runs a closure on every shard, with the state of type `T` of each, and returns the results in shard order.
    ///
    /// ```
    /// # use squall::prelude::*;
    /// # use std::cell::Cell;
    /// struct Hits(Cell<u64>);
    ///
    /// async fn total(cx: &mut Context) -> Result<String> {
    ///     let hits = cx.on_all_shards(|hits: &Hits| hits.0.get()).await?;
    ///     Ok(format!("{} on {} shards\n", hits.iter().sum::<u64>(), hits.len()))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`on_shard`](Self::on_shard); the first error ends the wait for the remaining shards.
    ///
    /// # Cancel safety
    ///
    /// As [`on_shard`](Self::on_shard), for each shard.
    #[track_caller]
    pub fn on_all_shards<T, R>(
        &self,
        work: impl FnOnce(&T) -> R + Clone + Send + 'static,
    ) -> impl Future<Output = Result<Vec<R>>>
    where
        T: 'static,
        R: Send + 'static,
    {
        run_on_all(work)
    }
}

impl WebSocket {
    /// Runs a closure on a shard, with the state of type `T` of that shard's application, as [`Context::on_shard`] does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    #[track_caller]
    pub fn on_shard<T, R>(
        &self,
        shard: ShardId,
        work: impl FnOnce(&T) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R>>
    where
        T: 'static,
        R: Send + 'static,
    {
        run_on(shard, work)
    }

    /// Runs a closure on every shard, with the state of type `T` of each, as [`Context::on_all_shards`] does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    #[track_caller]
    pub fn on_all_shards<T, R>(
        &self,
        work: impl FnOnce(&T) -> R + Clone + Send + 'static,
    ) -> impl Future<Output = Result<Vec<R>>>
    where
        T: 'static,
        R: Send + 'static,
    {
        run_on_all(work)
    }
}

/// Runs closures on the shards of a server, from any thread and on any async runtime.
#[derive(Debug, Clone)]
pub struct ServerRemote {
    remote: Remote,
}

impl ServerRemote {
    pub(super) fn new(remote: Remote) -> Self {
        Self { remote }
    }

    /// Returns the handle that runs closures without the application's state.
    #[must_use]
    pub fn shards(&self) -> &Remote {
        &self.remote
    }

    /// Runs a closure on a shard, with the state of type `T` of that shard's application, as [`Context::on_shard`] does.
    ///
    /// Waits for the server to run.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    #[track_caller]
    pub fn on_shard<T, R>(
        &self,
        shard: ShardId,
        work: impl FnOnce(&T) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R>>
    where
        T: 'static,
        R: Send + 'static,
    {
        let invoked = self.remote.invoke_on(shard, move || with_state(work));
        async move { invoked.await? }
    }

    /// Runs a closure on every shard, with the state of type `T` of each, as [`Context::on_all_shards`] does.
    ///
    /// Waits for the server to run.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    #[track_caller]
    pub fn on_all_shards<T, R>(
        &self,
        work: impl FnOnce(&T) -> R + Clone + Send + 'static,
    ) -> impl Future<Output = Result<Vec<R>>>
    where
        T: 'static,
        R: Send + 'static,
    {
        let invoked = self.remote.invoke_on_all(move || with_state(work));
        async move { all(invoked.await) }
    }

    /// Runs a closure like [`on_shard`](Self::on_shard), blocking the calling thread.
    ///
    /// # Errors
    ///
    /// As there. Also fails on a shard's thread, which may not block.
    #[track_caller]
    pub fn on_shard_blocking<T, R>(&self, shard: ShardId, work: impl FnOnce(&T) -> R + Send + 'static) -> Result<R>
    where
        T: 'static,
        R: Send + 'static,
    {
        self.remote.invoke_on_blocking(shard, move || with_state(work))?
    }

    /// Runs a closure like [`on_all_shards`](Self::on_all_shards), blocking the calling thread.
    ///
    /// # Errors
    ///
    /// As there. Also fails on a shard's thread, which may not block.
    #[track_caller]
    pub fn on_all_shards_blocking<T, R>(&self, work: impl FnOnce(&T) -> R + Clone + Send + 'static) -> Result<Vec<R>>
    where
        T: 'static,
        R: Send + 'static,
    {
        all(self.remote.invoke_on_all_blocking(move || with_state(work)))
    }
}

#[track_caller]
fn run_on<T: 'static, R: Send + 'static>(
    shard: ShardId,
    work: impl FnOnce(&T) -> R + Send + 'static,
) -> impl Future<Output = Result<R>> {
    let invoked = invoke_on(shard, move || with_state(work));
    async move {
        local()?;
        invoked.await?
    }
}

#[track_caller]
fn run_on_all<T: 'static, R: Send + 'static>(
    work: impl FnOnce(&T) -> R + Clone + Send + 'static,
) -> impl Future<Output = Result<Vec<R>>> {
    let invoked = invoke_on_all(move || with_state(work));
    async move {
        local()?;
        all(invoked.await)
    }
}

/// Runs work of the application on a shard.
pub(super) async fn work_on(shard: ShardId, work: ShardWork) -> Result {
    let invoked = invoke_on(shard, move || async move {
        work(&*local()?);
        Ok(())
    });
    invoked.await?
}

/// Calls a closure with the state of the shard it runs on.
async fn with_state<T: 'static, R>(work: impl FnOnce(&T) -> R) -> Result<R> {
    let state = local()?.state::<T>()?;
    Ok(work(&state))
}

/// Returns what the application of this shard shares.
pub(super) fn local() -> Result<Rc<Shared>> {
    LOCAL.with_borrow(Weak::upgrade).ok_or_else(|| {
        Error::new("could not use the state of a shard: the shard does not serve; run the application with `Server`")
    })
}

fn all<R>(results: Result<Vec<Result<R>>, InvokeError>) -> Result<Vec<R>> {
    results?.into_iter().collect()
}
