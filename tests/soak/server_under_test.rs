//! The server of a soak and its resources, measured from outside and asked of itself.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Address, Peer};
use crate::support::server::{Server, command};

/// How long a server may take to free the resources of its clients after all have left. 20 s: twice five times the
/// two seconds after which io_uring connections check for a missed reset.
const SETTLE_TIME: Duration = Duration::from_secs(20);

/// How much more memory a server may hold after any phase than after the first, when its pools are full. 8 MiB: in
/// 160 s of twelve phases, at 11,000 connections a server, growth was at most 1.4 MiB on either driver. A kilobyte
/// lost per connection would be 11 MiB.
const GROWTH_BYTES_MAX: u64 = 8 << 20;

/// How many descriptors a shard may add to those at its start: epoll opens an instance for peer ends when a handler
/// first waits.
const LATE_DESCRIPTORS_A_SHARD: usize = 1;

/// How long a graceful stop may take if clients leave when their connections end. 10 s: one second for idle
/// connections, and the five of `--linger-timeout` for those that do not close.
pub(crate) const STOP_TIME: Duration = Duration::from_secs(10);

/// The resources of a server while one connection, the asking one, is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) descriptors: usize,
    pub(crate) tasks: usize,
    pub(crate) streams: usize,
}

/// A running server and its resources at the start.
pub(crate) struct ServerUnderTest {
    pub(crate) server: Server,
    shards: usize,
    path: PathBuf,
    start: Resources,
    /// The names of the descriptors at the start.
    names: Vec<String>,
    /// The memory after the first phase.
    settled_bytes: Option<u64>,
    pub(crate) grown_bytes_max: u64,
}

impl ServerUnderTest {
    /// Starts a server on TCP and on a Unix socket.
    pub(crate) fn start(shards: usize) -> Self {
        let path = std::env::temp_dir().join(format!("squall-soak-{}.socket", std::process::id()));
        let unix = format!("unix:{}", path.display());
        // Its clients read HTTP/1.1, and one of the transcripts is the preface of HTTP/2.
        let server = Server::start_by(command("soak"), shards, &["--listen", &unix, "--no-http2"]);
        let start = held(&server);
        let names = server.descriptor_names();
        Self {
            server,
            shards,
            path,
            start,
            names,
            settled_bytes: None,
            grown_bytes_max: 0,
        }
    }

    pub(crate) fn addresses(&self) -> Vec<Address> {
        vec![Address::Tcp(self.server.address()), Address::Unix(self.path.clone())]
    }

    pub(crate) fn start_resources(&self) -> Resources {
        self.start
    }

    /// Waits until the server holds its start resources and its memory has not grown.
    pub(crate) fn wait_for_start_resources(&mut self) -> Result<(), String> {
        let until = Instant::now() + SETTLE_TIME;
        loop {
            let now = held(&self.server);
            let resident = self.server.resident_bytes();
            let settled = *self.settled_bytes.get_or_insert(resident);
            let grown = resident.saturating_sub(settled);
            let late = now.descriptors.saturating_sub(self.start.descriptors);
            let is_back = (now.tasks, now.streams) == (self.start.tasks, self.start.streams)
                && late <= LATE_DESCRIPTORS_A_SHARD * self.shards;
            if is_back && grown <= GROWTH_BYTES_MAX {
                self.grown_bytes_max = self.grown_bytes_max.max(grown);
                return Ok(());
            }
            if Instant::now() > until {
                let start = self.start;
                let mut names = self.server.descriptor_names();
                names.retain(|name| !self.names.contains(name));
                return Err(format!(
                    "{SETTLE_TIME:?} after its last client has gone the server holds {now:?} and {grown} bytes more, where it began with {start:?}; \
                     descriptors it has now: {names:?}"
                ));
            }
            // The pace of the looks; what the server holds decides.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end of a stop that was requested.
    pub(crate) fn ended(&self, asked: Instant) -> Result<Duration, String> {
        let status = self.server.wait();
        let took = asked.elapsed();
        if !status.success() {
            return Err(format!("the server ended with {status}"));
        }
        if took > STOP_TIME {
            return Err(format!("a graceful stop took {took:?}"));
        }
        Ok(took)
    }
}

impl Drop for ServerUnderTest {
    fn drop(&mut self) {
        std::fs::remove_file(Path::new(&self.path)).unwrap_or_default();
    }
}

/// The resources, as the server and the kernel report them.
fn held(server: &Server) -> Resources {
    let mut peer = Peer::connect(&Address::Tcp(server.address())).expect("the server accepts");
    peer.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = peer.response("GET").expect("the server says what it holds");
    let text = String::from_utf8(response.body).unwrap();
    let numbers: Vec<usize> = text.split(' ').map(|number| number.parse().unwrap()).collect();
    Resources {
        descriptors: server.open_descriptors(),
        tasks: numbers[0],
        streams: numbers[1],
    }
}
