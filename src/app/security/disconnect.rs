//! Closes the WebSockets and event streams of a user, or of a session that ends, on every shard.

use futures_channel::oneshot;

use crate::app::context::Context;
use crate::app::runtime::LocalState;
use crate::app::websocket::SocketOwner;
use crate::error::Result;

impl Context {
    /// Closes every WebSocket of a user on every shard with 4401, ends every event stream, and returns how many there were.
    ///
    /// They belong to the user that [`WebSocket::set_user`](crate::WebSocket::set_user) or
    /// [`EventStream::set_user`](crate::EventStream::set_user) names. The end of a session closes those that were opened
    /// with it, without this call.
    ///
    /// # Errors
    ///
    /// A shard has ended, or no server runs the application.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the sockets of further shards stay open.
    pub async fn disconnect(&self, user: &str) -> Result<usize> {
        self.close_sockets(SocketOwner::User(user.to_owned())).await
    }

    /// Closes the WebSockets and event streams of an owner on every shard.
    pub(super) async fn close_sockets(&self, owner: SocketOwner) -> Result<usize> {
        let runtime = self.shared.runtime()?;
        let mut count = 0;
        for shard in 0..runtime.shard_count() {
            if shard == runtime.shard() {
                count += self.shared.sockets.connected.close(&owner);
                continue;
            }
            let (sender, closed) = oneshot::channel();
            let owner = owner.clone();
            let work = Box::new(move |state: &dyn LocalState| {
                // A failed send means that the request is gone.
                sender.send(state.close_sockets(&owner)).unwrap_or_default();
            });
            runtime.on_shard(shard, work).await?;
            count += closed.await.unwrap_or_default();
        }
        Ok(count)
    }
}
