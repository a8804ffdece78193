//! Ctrl-C and SIGTERM as a flag, so that the orchestrator still stops its servers and writes the report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

/// A flag that SIGINT and SIGTERM raise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Makes SIGINT and SIGTERM raise the flag instead of ending the process.
    pub(crate) fn raise_on_signals(&self) -> Result<()> {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&self.raised))
                .context("could not register a signal handler")?;
        }
        Ok(())
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Fails once the flag is raised.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_raised() {
            bail!("interrupted");
        }
        Ok(())
    }
}

#[cfg(test)]
impl Interrupt {
    /// Raises the flag like a signal.
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }
}
