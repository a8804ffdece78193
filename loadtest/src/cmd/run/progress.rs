//! How a run fares, on standard error: one line that is rewritten on a terminal, a line a second elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::load::Progress;
use crate::load::progress::{Phase, Snapshot};

/// Tells a person how a run fares.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// Hidden when standard error is no terminal.
    line: ProgressBar,
    /// What is counted.
    noun: &'static str,
}

impl Reporter {
    pub(crate) fn new(noun: &'static str) -> Self {
        let line = ProgressBar::new_spinner();
        // A template that cannot be read would leave the default style, which serves as well.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            line.set_style(style);
        }
        Self { line, noun }
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
            // Nothing is asked of connections that are held.
            0.0 => format!("{} connections", snapshot.connections),
            rate => format!("{rate:.0} {}/s", self.noun),
        };
        let (elapsed, length) = (seconds(snapshot.elapsed), seconds(snapshot.length));
        self.say(format!("{phase} {elapsed:.0} of {length:.0} s: {load}{errors}"));
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}
