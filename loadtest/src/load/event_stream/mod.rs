//! Server-Sent Events: a strict client of an endless response with `text/event-stream` (HTML standard, section
//! "Server-sent events").
//!
//! `response` checks the head, and `events` finds the events. [`EventReader`] decodes the transfer coding for one
//! connection. It gives the same events however the bytes are split.

mod events;
mod reader;
mod response;
pub(crate) mod socket;

pub(crate) use reader::{EventReader, Violation};
