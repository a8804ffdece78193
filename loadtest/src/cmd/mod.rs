//! One subcommand a file.

pub(crate) mod compare;
pub(crate) mod verify;
