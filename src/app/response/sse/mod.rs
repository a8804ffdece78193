//! Server-Sent Events: an endless response for pages that only listen (the HTML standard's `EventSource`). Layer 2.
//!
//! [`Event`] is one event and its bytes. [`EventStream`] is the response: its handler sends events, or subscribes it to
//! topics.

mod event;
mod stream;

pub use event::Event;
pub use stream::EventStream;
