//! The subcommands, one per file.

pub(crate) mod compare;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod verify;
