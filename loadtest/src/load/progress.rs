//! Progress events of a run: each new phase, and a snapshot once a second.

use std::time::Duration;

/// Receives the progress of a run, on the thread that started it.
pub(crate) trait Progress {
    /// Handles the start of a phase; called at its very start, so that it can read other clocks for the same window.
    fn phase(&mut self, phase: Phase);

    /// Handles a snapshot, once a second while the server is under load.
    fn tick(&mut self, snapshot: &Snapshot);
}

/// The phases of a run, in order.
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
