//! What a supervisor acts on: threads and processes report to it, and it alone decides.

use std::path::PathBuf;
use std::sync::mpsc::SyncSender;

/// Where reports go. A thread that has more to say than the supervisor takes waits itself.
pub(super) type Events = SyncSender<Event>;

/// A report.
#[derive(Debug)]
pub(super) enum Event {
    /// A source has changed.
    Changed(PathBuf),
    /// The build has ended.
    Built(BuildResult),
    /// The program of this run accepts connections.
    Listening(u64),
    /// The program of this run has ended, and how.
    Ended(u64, String),
    /// An operator asks the supervisor to stop.
    Stop,
}

/// How a build has ended.
#[derive(Debug)]
pub(super) struct BuildResult {
    pub(super) has_passed: bool,
    /// What it printed, with the colours of a terminal.
    pub(super) output: String,
}
