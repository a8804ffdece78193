//! The contenders of a comparison: those that start and answer correctly, and the skipped ones with their reasons.

use anyhow::{Result, bail};

use crate::contender::Contender;
use crate::interrupt::Interrupt;
use crate::measurement::Cores;
use crate::record::SkippedContender;
use crate::served::{ServedFile, ServedFolder};
use crate::server::Server;
use crate::verification;
use crate::workload::Workload;

/// The contenders that take part, and those that do not; a missing contender is skipped, and the record says why.
#[derive(Debug)]
pub(crate) struct Contenders {
    pub(crate) ready: Vec<Contender>,
    pub(crate) skipped: Vec<SkippedContender>,
    /// The files they serve.
    pub(crate) files: ServedFolder,
}

impl Contenders {
    /// Builds the contenders one by one and skips those with a missing requirement or a failed build.
    ///
    /// Contenders that serve none of the workloads are ignored.
    ///
    /// # Errors
    ///
    /// No contender is left, or the user interrupted.
    pub(crate) fn prepare(
        candidates: Vec<Contender>,
        workloads: &[Workload],
        is_built: bool,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let needed: Vec<ServedFile> = workloads.iter().filter_map(Workload::served_file).collect();
        let mut contenders = Self {
            ready: Vec::new(),
            skipped: Vec::new(),
            files: ServedFolder::make(&needed)?,
        };
        let has_part = |contender: &Contender| workloads.iter().any(|workload| contender.serves(workload.service()));
        for contender in candidates.into_iter().filter(has_part) {
            interrupt.check()?;
            // Variants share one build.
            let is_shared = contenders
                .ready
                .iter()
                .any(|other| other.build_key() == contender.build_key());
            // Requirements come first: their hint says more than a failed build.
            let outcome = contender.check_requirements().and_then(|()| {
                if !is_built && !is_shared && contender.needs_build() {
                    eprintln!("building {}", contender.name);
                    contender.build(interrupt)?;
                }
                contender.check_built()
            });
            match outcome {
                Ok(()) => contenders.ready.push(contender),
                Err(error) => {
                    // Ctrl-C also fails a build; that must end the run instead of skipping the contender.
                    interrupt.check()?;
                    contenders.skip(&contender, None, &error);
                }
            }
        }
        contenders.check_not_empty()?;
        Ok(contenders)
    }

    /// Starts each contender once and checks its answers to its workloads.
    ///
    /// A contender that does not start is skipped entirely; one with a wrong answer is skipped for that workload.
    ///
    /// # Errors
    ///
    /// No contender is left, or the user interrupted.
    pub(crate) fn verify(&mut self, workloads: &[Workload], cores: Cores, interrupt: &Interrupt) -> Result<()> {
        for contender in std::mem::take(&mut self.ready) {
            interrupt.check()?;
            let mut server = match Server::start(&contender, &self.files.path(), cores, interrupt) {
                Ok(server) => server,
                Err(error) => {
                    interrupt.check()?;
                    self.skip(&contender, None, &error);
                    continue;
                }
            };
            let mut right = 0;
            for workload in workloads.iter().filter(|workload| contender.serves(workload.service())) {
                let verdict = verification::verify(server.address, server.scratch(), workload, cores, interrupt);
                match verdict.and_then(|()| server.check_running()) {
                    Ok(()) => right += 1,
                    Err(error) => {
                        interrupt.check()?;
                        self.skip(&contender, Some(workload), &error);
                    }
                }
            }
            let plural = if right == 1 { "" } else { "s" };
            eprintln!("verified {} under {right} workload{plural}", contender.name);
            self.ready.push(contender);
        }
        self.check_not_empty()
    }

    /// Whether `contender` takes part in `workload`.
    pub(crate) fn takes_part(&self, contender: &Contender, workload: &Workload) -> bool {
        contender.serves(workload.service())
            && !self
                .skipped
                .iter()
                .any(|skipped| skipped.name == contender.name && skipped.workload.as_ref() == Some(&workload.name))
    }

    /// Skips `contender` for `workload`, or for all if that is `None`, and prints the reason.
    pub(crate) fn skip(&mut self, contender: &Contender, workload: Option<&Workload>, error: &anyhow::Error) {
        let reason = format!("{error:#}");
        match workload {
            None => eprintln!("skipping {}: {reason}", contender.name),
            Some(workload) => eprintln!("skipping {} under {}: {reason}", contender.name, workload.name),
        }
        self.skipped.push(SkippedContender {
            name: contender.name.clone(),
            workload: workload.map(|workload| workload.name.clone()),
            reason,
            hint: contender.hint.clone().filter(|_| workload.is_none()),
        });
    }

    fn check_not_empty(&self) -> Result<()> {
        if self.ready.is_empty() {
            bail!("no contender is left to run");
        }
        Ok(())
    }
}
