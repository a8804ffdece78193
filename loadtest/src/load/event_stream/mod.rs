//! Server-Sent Events: a strict client of an endless response with `text/event-stream` (HTML standard, section
//! "Server-sent events").
//!
//! `response` checks the head, `chunked` decodes the transfer coding, and `events` finds the events. [`EventReader`]
//! joins the last two for one connection. It gives the same events however the bytes are split.

mod chunked;
mod events;
mod reader;
mod response;
pub(crate) mod socket;

pub(crate) use reader::{EventReader, Violation};
