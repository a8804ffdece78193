//! The progress of a run on standard error: one updated line on a terminal, one line per second elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::load::plan::DURATION_MAX;
use crate::load::progress::{Phase, Snapshot};
use crate::load::{Plan, Progress};

/// Prints the progress of a run.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// Hidden unless standard error is a terminal.
    line: ProgressBar,
    /// What the run counts, in the plural.
    noun: &'static str,
}

impl Reporter {
    pub(crate) fn new(plan: &Plan) -> Self {
        let line = ProgressBar::new_spinner();
        // On an error the default style remains.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            line.set_style(style);
        }
        Self {
            line,
            noun: plan.kind.noun(),
        }
    }

    fn say(&self, message: String) {
        if self.line.is_hidden() {
            eprintln!("{message}");
        } else {
            self.line.set_message(message);
            self.line.tick();
        }
    }
}

impl Progress for Reporter {
    fn phase(&mut self, phase: Phase) {
        let message = match phase {
            Phase::Checking => "checking one answer",
            Phase::Connecting => "opening connections",
            Phase::WarmingUp => "warming up",
            Phase::Timing => "timing",
            Phase::Finishing => {
                self.line.finish_and_clear();
                return;
            }
        };
        self.say(message.to_owned());
    }

    fn tick(&mut self, snapshot: &Snapshot) {
        let phase = match snapshot.phase {
            Phase::WarmingUp => "warming up",
            _ => "timing",
        };
        let seconds = |length: Duration| length.as_secs_f64();
        let errors = match snapshot.errors {
            0 => String::new(),
            errors => format!(", {errors} errors"),
        };
        let load = match snapshot.answers_per_second {
            // An idle hold has no requests to count.
            0.0 => format!("{} connections", snapshot.connections),
            rate => format!("{rate:.0} {}/s", self.noun),
        };
        // A window of the greatest length ends after a number of requests.
        let length = match snapshot.length {
            DURATION_MAX => String::new(),
            length => format!(" of {:.0}", seconds(length)),
        };
        let elapsed = seconds(snapshot.elapsed);
        self.say(format!("{phase} {elapsed:.0}{length} s: {load}{errors}"));
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}
