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
    /// The generator sends one request and checks its answer.
    Checking,
    Connecting,
    WarmingUp,
    /// The timed window; in an idle hold all connections stay open and silent.
    Timing,
    /// The window is over; the generator waits for the requests in flight.
    Finishing,
}

/// The state of a run at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) phase: Phase,
    /// Time since the phase began, and its planned length.
    pub(crate) elapsed: Duration,
    pub(crate) length: Duration,
    /// Correct answers so far, warm-up included.
    pub(crate) answers: u64,
    /// Correct answers per second, over the last second.
    pub(crate) answers_per_second: f64,
    pub(crate) errors: u64,
    pub(crate) connections: u64,
}

/// Discards all progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoProgress;

impl Progress for NoProgress {
    fn phase(&mut self, _phase: Phase) {}
    fn tick(&mut self, _snapshot: &Snapshot) {}
}
