//! Handshakes beside the load: connections that complete one and close, again and again, as many as the server takes.
//!
//! They run on threads of their own, on the first core of the load, and behind the load in its order. A client that
//! floods must not delay the requests that are measured.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::super::plan::Plan;
use crate::proc::pin;
use crate::tls::Stream;

/// The longest time for a handshake: some wait while others have their turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lowest priority of a thread.
const NICE: i32 = 19;

/// The threads of the handshakes; stopping or dropping it ends them.
#[derive(Debug)]
pub(super) struct HandshakeThreads {
    is_over: Arc<AtomicBool>,
    completed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl HandshakeThreads {
    /// Starts the handshakes of a plan; returns `None` if it has none.
    ///
    /// # Errors
    ///
    /// A thread cannot be started.
    pub(super) fn start(plan: &Plan, address: SocketAddr) -> Result<Option<Self>> {
        if plan.handshakes == 0 {
            return Ok(None);
        }
        let mut started = Self {
            is_over: Arc::new(AtomicBool::new(false)),
            completed: Arc::new(AtomicU64::new(0)),
            threads: Vec::new(),
        };
        for _ in 0..plan.handshakes {
            let (is_over, completed) = (Arc::clone(&started.is_over), Arc::clone(&started.completed));
            let core = plan.cores.first().copied();
            let thread = thread::Builder::new().name("handshakes".to_owned()).spawn(move || {
                core.map_or(Ok(()), pin)?;
                // Of the calling thread on Linux. Without it the load shares its core fairly.
                rustix::process::nice(NICE).ok();
                while !is_over.load(Ordering::Relaxed) {
                    // A server under a flood may refuse or reset one.
                    if complete(address).is_ok() {
                        completed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Ok(())
            });
            started.threads.push(thread.context("could not start a thread")?);
        }
        Ok(Some(started))
    }

    /// Stops the threads and returns how many handshakes were completed.
    ///
    /// # Errors
    ///
    /// A thread could not be pinned.
    pub(super) fn stop(mut self) -> Result<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in std::mem::take(&mut self.threads) {
            thread
                .join()
                .map_err(|_| anyhow!("a thread of the handshakes panicked"))??;
        }
        Ok(self.completed.load(Ordering::Relaxed))
    }
}

impl Drop for HandshakeThreads {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // A drop without `stop` follows another error, which is the one to report.
        for thread in std::mem::take(&mut self.threads) {
            drop(thread.join());
        }
    }
}

/// Completes one handshake and closes.
fn complete(address: SocketAddr) -> Result<()> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = Stream::over(stream, true)?;
    // Completes the handshake.
    stream.flush()?;
    Ok(())
}
