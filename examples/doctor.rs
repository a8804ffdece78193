//! Prints what this machine or container offers a Squall server, and how to fix what is missing.
//!
//! ```text
//! cargo run --release --example doctor
//! ```
//!
//! Exit status: 0 if the io_uring driver works, 1 if only epoll works, 2 if neither does.

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
