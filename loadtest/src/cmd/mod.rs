//! One subcommand a file.

use anyhow::{Result, bail};

use crate::args::Selection;
use crate::catalogue::Catalogue;
use crate::contender::{Contender, Skipped};
use crate::interrupt::Interrupt;

pub(crate) mod idle;
pub(crate) mod measure;
pub(crate) mod run;
pub(crate) mod verify;

/// The contenders that could be built, and those that could not.
struct Field {
    built: Vec<Contender>,
    skipped: Vec<Skipped>,
}

/// Builds the contenders asked for, one at a time; one that cannot be built is skipped, as long as another one remains.
fn build(catalogue: &Catalogue, selection: &Selection, interrupt: &Interrupt) -> Result<Field> {
    let mut field = Field {
        built: Vec::new(),
        skipped: Vec::new(),
    };
    for contender in catalogue.contenders(&selection.contenders)? {
        let outcome = if selection.no_build {
            Ok(())
        } else {
            build_one(&contender, interrupt)
        };
        match outcome.and_then(|()| contender.check_built()) {
            Ok(()) => field.built.push(contender),
            Err(error) => {
                interrupt.check()?;
                eprintln!("skipping {}: {error:#}", contender.name);
                field.skipped.push(Skipped {
                    name: contender.name,
                    reason: format!("{error:#}"),
                    hint: contender.hint,
                });
            }
        }
    }
    if field.built.is_empty() {
        bail!("no contender is left to run");
    }
    Ok(field)
}

fn build_one(contender: &Contender, interrupt: &Interrupt) -> Result<()> {
    eprintln!("building {}", contender.name);
    contender.build(interrupt)
}
