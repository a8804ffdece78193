//! A server without a listen address, whose connections are made inside the process: `squall::testing` runs on it.
//!
//! Why: a test selects the shard of a connection and the peer that the application sees. A listener leaves both to the
//! kernel.
//!
//! Invariant: after its start a connection is served like any other, by the same task, driver and limits.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::{Rc, Weak};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use squall_shards::{ShardId, Stop, Stopper, Stream, spawn_detached};

use super::broadcast::Publisher;
use super::serve::serve_as;
use super::shard::ShardServer;
use super::state::ServerRemote;
use crate::app::Peer;
use crate::error::{Error, Result};
use crate::transport::socket::Socket;

thread_local! {
    /// The server of this shard, while it serves.
    static LOCAL: RefCell<Weak<ShardServer>> = const { RefCell::new(Weak::new()) };
}

/// What the starting thread learns of the server.
pub(super) enum Report {
    /// One more shard serves.
    Serving,
    /// The server has ended; before its stop that is a failed start.
    Ended(Result),
}

/// Where the shards and the server's thread send their reports.
pub(super) type Reports = Sender<Report>;

/// A running server; dropping it stops the shards at once and joins their threads.
pub(crate) struct InProcess {
    handles: Handles,
    thread: Option<JoinHandle<()>>,
}

/// What other threads reach a server by.
pub(super) struct Handles {
    pub(super) remote: ServerRemote,
    pub(super) publisher: Publisher,
    pub(super) stopper: Stopper,
    pub(super) shards: usize,
}

impl InProcess {
    /// Runs a server on a thread of its own, and returns once every shard serves.
    ///
    /// # Errors
    ///
    /// The thread cannot be started, or `run` returns before every shard serves.
    pub(super) fn start(handles: Handles, run: impl FnOnce(Reports) -> Result + Send + 'static) -> Result<Self> {
        let (reports, reported) = channel();
        let thread = thread::Builder::new().name("squall-testing".to_owned());
        let thread = thread.spawn(move || {
            let ended = run(reports.clone());
            // Fails once the start is over: then the report has no reader.
            reports.send(Report::Ended(ended)).unwrap_or_default();
        })?;
        let shards = handles.shards;
        // From here on an error drops, and thereby joins, what has been started.
        let started = Self {
            handles,
            thread: Some(thread),
        };
        for _ in 0..shards {
            match reported.recv() {
                Ok(Report::Serving) => {}
                Ok(Report::Ended(Err(error))) => return Err(error),
                Ok(Report::Ended(Ok(()))) | Err(_) => {
                    return Err(Error::new("could not start the server: a shard ended at its start"));
                }
            }
        }
        Ok(started)
    }

    /// Opens a connection to a shard, whose application sees `peer` as its remote end.
    pub(crate) fn connect(&self, shard: ShardId, peer: Peer) -> Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let remote = self.handles.remote.shards();
        pollster::block_on(remote.invoke_on(shard, move || async move { open(theirs, peer) }))??;
        Ok(ours)
    }

    /// Returns the handle that runs closures on the shards.
    pub(crate) fn remote(&self) -> &ServerRemote {
        &self.handles.remote
    }

    /// Returns the handle that publishes to topics.
    pub(crate) fn publisher(&self) -> &Publisher {
        &self.handles.publisher
    }

    /// Returns the number of shards.
    pub(crate) fn shards(&self) -> usize {
        self.handles.shards
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.handles.stopper.stop(Stop::Now);
        if let Some(thread) = self.thread.take() {
            // The thread reports an error of the server; a panic there has printed its message.
            thread.join().unwrap_or_default();
        }
    }
}

/// Serves until a stop, as the accept loop of a listener does.
pub(super) async fn accept(server: Rc<ShardServer>, reports: Reports) -> io::Result<()> {
    LOCAL.set(Rc::downgrade(&server));
    reports.send(Report::Serving).unwrap_or_default();
    server.shard.stopping(Stop::Graceful).await;
    server.begin_draining();
    Ok(())
}

/// Starts to serve one end of a socket pair on this shard.
fn open(socket: OwnedFd, peer: Peer) -> Result {
    let server = LOCAL.with_borrow(Weak::upgrade);
    let entered = server.and_then(|server| server.gate.enter().ok().map(|guard| (server, guard)));
    let (server, guard) =
        entered.ok_or_else(|| Error::new("could not open a connection: the application's shard has ended"))?;
    let socket = Socket::from(Stream::from_socket(socket));
    spawn_detached(serve_as(peer, socket, server, guard));
    Ok(())
}
