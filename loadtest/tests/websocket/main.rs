//! `run` against WebSocket servers, good and bad, from the command line: what is measured is true, what is wrong is said, and
//! nothing hangs.

mod command;
mod echo;
mod fan_out;
mod handshake;
mod server;
