//! The one way in which a running process reads its files anew: parts register, and SIGHUP or code reloads all of them.
//!
//! Each part reads and checks what is new before anything is replaced. If one fails, nothing is replaced, and what was
//! there stays. Each part logs one line.
//!
//! A thread of its own does it, which also keeps two reloads apart: files may be slow, and a shard never waits for them.
//! It starts with the shards, and only if a part is registered. Without a part, SIGHUP keeps its default effect.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use crate::error::BoxError;

/// How many requests to reload may wait. 1: a reload reads what is there when it begins, so further signals add nothing.
const REQUESTS_MAX: usize = 1;

/// A part of a process that can read its files anew.
pub trait Reload: Send {
    /// Returns the name of the part in the log, such as `certificates`.
    fn name(&self) -> &'static str;

    /// Reads and checks what is new, and returns the step that puts it into effect.
    ///
    /// It may block. Nothing changes until the step is called, and it is not called if another part fails.
    ///
    /// # Errors
    ///
    /// What is new cannot be used; the log says why.
    fn prepare(&mut self) -> Result<Replacement, BoxError>;
}

/// The last step of a reload, which puts into effect what was checked.
pub type Replacement = Box<dyn FnOnce() -> Result<(), BoxError> + Send>;

/// The parts of a process, until they have a thread of their own.
pub(crate) struct Reloads {
    parts: Vec<Box<dyn Reload>>,
    requests: SyncSender<Request>,
    requested: Receiver<Request>,
}

/// Where the outcome goes: nowhere for a signal.
type Request = Option<Sender<Result<(), ReloadError>>>;

/// Reloads the registered parts from any thread.
#[derive(Clone)]
pub struct Reloader {
    requests: SyncSender<Request>,
}

/// Why a reload has changed nothing.
#[derive(Debug)]
pub enum ReloadError {
    /// These parts could not be reloaded; the texts say why.
    Parts(Vec<String>),
    /// The shards have ended, or no part is registered.
    Ended,
}

impl Reloads {
    pub(crate) fn new() -> Self {
        let (requests, requested) = sync_channel(REQUESTS_MAX);
        Self {
            parts: Vec::new(),
            requests,
            requested,
        }
    }

    pub(crate) fn register(&mut self, part: Box<dyn Reload>) {
        self.parts.push(part);
    }

    pub(crate) fn are_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(crate) fn reloader(&self) -> Reloader {
        Reloader {
            requests: self.requests.clone(),
        }
    }

    /// Starts the thread, which ends with the last [`Reloader`]; without a part it starts none.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(crate) fn start(self) -> io::Result<()> {
        let Self {
            mut parts, requested, ..
        } = self;
        if parts.is_empty() {
            return Ok(());
        }
        let thread = thread::Builder::new().name("squall-reload".to_owned());
        thread.spawn(move || {
            for request in requested {
                let outcome = reload(&mut parts);
                if let Some(answer) = request {
                    // The caller may have given up.
                    answer.send(outcome).unwrap_or_default();
                }
            }
        })?;
        Ok(())
    }
}

/// Prepares every part, then replaces all of them, or none.
fn reload(parts: &mut [Box<dyn Reload>]) -> Result<(), ReloadError> {
    let mut replacements = Vec::new();
    let mut faults = Vec::new();
    for part in parts {
        let name = part.name();
        match part.prepare() {
            Ok(replacement) => replacements.push((name, replacement)),
            Err(error) => faults.push(fault(name, &error)),
        }
    }
    for (name, replacement) in replacements {
        if !faults.is_empty() {
            tracing::warn!("did not reload the {name}: another part could not be reloaded; the old ones stay in use");
            continue;
        }
        match replacement() {
            Ok(()) => tracing::info!("reloaded the {name}"),
            Err(error) => faults.push(fault(name, &error)),
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(ReloadError::Parts(faults)),
    }
}

/// Logs the fault of a part, and returns its text.
fn fault(name: &str, error: &BoxError) -> String {
    tracing::error!("could not reload the {name}: {error}; the old ones stay in use");
    format!("could not reload the {name}: {error}")
}

impl Reloader {
    /// Reloads every part and waits for it; not on a shard's thread, because files may be slow.
    ///
    /// It waits until the shards run.
    ///
    /// # Errors
    ///
    /// A part could not be reloaded; then nothing has changed. Or the shards have ended.
    pub fn reload(&self) -> Result<(), ReloadError> {
        let (answer, answered) = channel();
        self.requests.send(Some(answer)).map_err(|_| ReloadError::Ended)?;
        answered.recv().unwrap_or(Err(ReloadError::Ended))
    }

    /// Reloads every part without waiting; a reload that is about to begin serves this call too.
    pub(crate) fn request(&self) {
        // Full: the reload that waits reads the same files.
        self.requests.try_send(None).unwrap_or_default();
    }
}

impl fmt::Debug for Reloads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parts.iter().map(|part| part.name()).collect();
        formatter
            .debug_struct("Reloads")
            .field("parts", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Reloader")
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parts(faults) => formatter.write_str(&faults.join("\n")),
            Self::Ended => formatter.write_str("could not reload: the server has ended, or has nothing to reload"),
        }
    }
}

impl std::error::Error for ReloadError {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A part whose preparation succeeds or fails, and which counts its replacements.
    struct Part {
        is_valid: bool,
        replaced: Arc<AtomicU32>,
    }

    impl Reload for Part {
        fn name(&self) -> &'static str {
            "parts of a test"
        }

        fn prepare(&mut self) -> Result<Replacement, BoxError> {
            if !self.is_valid {
                return Err("the file is empty".into());
            }
            let replaced = Arc::clone(&self.replaced);
            Ok(Box::new(move || {
                replaced.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }))
        }
    }

    fn outcome(valid: &[bool]) -> (Result<(), ReloadError>, u32) {
        let replaced = Arc::new(AtomicU32::new(0));
        let mut reloads = Reloads::new();
        for is_valid in valid {
            reloads.register(Box::new(Part {
                is_valid: *is_valid,
                replaced: Arc::clone(&replaced),
            }));
        }
        let reloader = reloads.reloader();
        reloads.start().unwrap();
        (reloader.reload(), replaced.load(Ordering::Relaxed))
    }

    #[test]
    fn all_parts_are_replaced_or_none_is() {
        let (replaced, count) = outcome(&[true, true]);
        assert!(replaced.is_ok());
        assert_eq!(count, 2);
        let (refused, count) = outcome(&[true, false, true]);
        let text = refused.unwrap_err().to_string();
        assert_eq!(text, "could not reload the parts of a test: the file is empty");
        assert_eq!(count, 0);
    }

    #[test]
    fn a_process_without_parts_has_nothing_to_reload() {
        let (outcome, _) = outcome(&[]);
        assert!(matches!(outcome, Err(ReloadError::Ended)), "{outcome:?}");
    }
}
