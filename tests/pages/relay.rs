//! A relay between a page and its server that can be cut and restored, on a port the kernel picks.

#![expect(
    clippy::disallowed_types,
    reason = "a test process has no shards; its threads share which connections there are"
)]

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A relay to one server. Its threads end with the process.
pub(crate) struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    /// Both ends of every connection since the relay was last cut.
    ends: Vec<TcpStream>,
}

impl Relay {
    /// Begins to relay.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(State::default()));
        let relayed = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A cut relay drops new connections.
                if let Err(error) = relay(client, server, &relayed) {
                    eprintln!("the line relays nothing: {error}");
                }
            }
        });
        Self { address, state }
    }

    /// The address of the relay.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all connections and drops new ones.
    pub(crate) fn cut(&self) {
        let mut state = lock(&self.state);
        state.is_cut = true;
        for end in state.ends.drain(..) {
            // The ends may have closed already.
            drop(end.shutdown(Shutdown::Both));
        }
    }

    /// Lets connections through again.
    pub(crate) fn restore(&self) {
        lock(&self.state).is_cut = false;
    }
}

/// Connects a client to the server, unless the relay is cut.
fn relay(client: TcpStream, server: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let mut state = lock(state);
    if state.is_cut {
        return Ok(());
    }
    let server = TcpStream::connect(server)?;
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            // However the copy ends, the other end gets a FIN.
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Write));
        });
    }
    state.ends.extend([client, server]);
    Ok(())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
