//! The doctor: what this machine, or this container, gives a Squall server, and how to mend what is missing.
//!
//! ```text
//! cargo run --release --example doctor
//! ```
//!
//! Ends with status 0 if everything the io_uring driver needs is there, 1 if only epoll can serve, 2 if nothing can.

#![allow(clippy::print_stdout, reason = "the report is what this program is for")]

use std::process::ExitCode;

use squall::shards::{Driver, doctor};

fn main() -> ExitCode {
    let report = doctor::examine();
    print!("{report}");
    match report.driver() {
        Some(Driver::IoUring) => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(1),
        None => ExitCode::from(2),
    }
}
