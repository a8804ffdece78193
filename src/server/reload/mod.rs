//! `--reload`: a supervisor that rebuilds and restarts the program when its sources change, for development.
//!
//! Why two processes: the supervisor holds the listening sockets, so no connection is refused while one program follows
//! another. The program is this executable again, with the same arguments. It takes the sockets over by systemd's
//! `LISTEN_FDS` protocol.
//!
//! [`sources`] notices changes, [`build`] runs Cargo, [`program`] is one run of the program, and [`page`] answers while
//! no program can. [`supervisor`] decides. [`supervised`] is the side of the program.
//!
//! Invariant: at most one build and two programs run, the newer of which starts. The sockets stay open throughout.

mod ansi;
mod build;
mod cargo;
mod dep_info;
mod event;
mod page;
mod program;
mod sources;
mod supervised;
mod supervisor;

pub(super) use supervised::{is_supervised, report_listening, stop_with_supervisor};
pub(super) use supervisor::supervise;
