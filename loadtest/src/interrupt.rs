//! Ctrl-C and SIGTERM as a flag, so that servers are stopped by their owners and a report is still written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Says whether the user asked to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Lets SIGINT and SIGTERM raise the flag, for the rest of the process's life, instead of ending the process.
    pub(crate) fn raise_on_signals(&self) -> Result<()> {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&self.raised)).context("cannot catch signals")?;
        }
        Ok(())
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Fails if the user asked to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_raised() {
            bail!("interrupted");
        }
        Ok(())
    }
}

#[cfg(test)]
impl Interrupt {
    /// Raises the flag as a signal would.
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }
}
