//! What a run tells about itself while it goes: the phase it enters, and once a second how it fares.

use std::time::Duration;

/// Hears how a run goes, on the thread that started it.
pub(crate) trait Progress {
    /// A phase begins; called at its very start, so that other clocks can be read for the same window.
    fn phase(&mut self, phase: Phase);

    /// A second went by in a phase that loads the server.
    fn tick(&mut self, snapshot: &Snapshot);
}

/// Phases of a run, in the order they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// One request is made and its answer checked.
    Checking,
    Connecting,
    WarmingUp,
    /// The timed window; in an idle hold all connections are open and silent.
    Timing,
    /// The window is over; what is in flight is waited for.
    Finishing,
}

/// How a run fares at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) phase: Phase,
    /// Since the phase began, and how long it will be.
    pub(crate) elapsed: Duration,
    pub(crate) length: Duration,
    /// Right answers so far, warm-up included.
    pub(crate) answers: u64,
    /// Right answers per second, in the last second.
    pub(crate) answers_per_second: f64,
    pub(crate) errors: u64,
    pub(crate) connections: u64,
}

/// Nobody listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoProgress;

impl Progress for NoProgress {
    fn phase(&mut self, _phase: Phase) {}
    fn tick(&mut self, _snapshot: &Snapshot) {}
}
