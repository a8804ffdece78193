//! `--reload` on the side of the server: the sockets that a supervisor hands over, and the server of its page.

use std::io;
use std::thread;
use std::time::Duration;

use squall_shards::{InheritedListener, Stopper};

use super::accepted::Entry;
use super::bind::{Bound, inherit};
use super::config::ServerConfig;
use super::reload::supervise;
use super::{Factory, Server};
use crate::error::Result;

/// How long a page that is replaced waits for its connections: 2 s, twice what an idle connection takes to close.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

impl Server {
    /// Binds the addresses and runs the program on them, in other processes, until a signal stops it.
    ///
    /// # Errors
    ///
    /// As [`Server::bind`], or as the supervisor.
    pub(super) fn supervise(mut self) -> Result {
        // One socket for each address, from which all shards of a program accept.
        self.config.own.shards = Some(1);
        // The programs write the access log.
        self.config.access_log.access_log = None;
        let mut config = self.config.clone();
        let bound = self.prepare()?.with_addresses()?;
        let sockets = bound.listeners.iter().map(|bound| bound.listeners.to_inherit());
        let sockets: io::Result<Vec<_>> = sockets.collect();
        let entries: Vec<Entry> = bound.listeners.iter().map(|bound| bound.entry).collect();
        let own = config.own.clone();
        config.listen.clear();
        config.own.reload = false;
        config.own.redirect_to_https = false;
        config.own.stop_on_signals = false;
        config.own.shutdown_timeout = SHUTDOWN_TIMEOUT;
        let serve = move |factory: Factory, sockets: Vec<InheritedListener>| {
            serve(
                factory,
                config.clone(),
                sockets.into_iter().zip(entries.iter().copied()),
            )
        };
        supervise(own, sockets?, Box::new(serve))
    }
}

/// Serves an application on these sockets, on threads of its own.
fn serve(
    factory: Factory,
    config: ServerConfig,
    sockets: impl Iterator<Item = (InheritedListener, Entry)>,
) -> Result<Stopper> {
    let server = Server {
        factory,
        config,
        invalid: None,
    };
    let mut bound = server.prepare()?;
    bound.is_announced = false;
    for (socket, entry) in sockets {
        let listeners = inherit(socket, 1)?;
        bound.listeners.push(Bound { listeners, entry });
    }
    let stopper = bound.stopper();
    let run = move || {
        if let Err(error) = bound.run() {
            tracing::error!(%error, "could not show the reason in the browser");
        }
    };
    thread::Builder::new().name("squall-page".to_owned()).spawn(run)?;
    Ok(stopper)
}
