//! Server-Sent Events: a response that does not end, for pages that only listen (the HTML standard's `EventSource`). Floor 2.
//!
//! [`Event`] is one event and its bytes; [`EventStream`] is the response, which its handler writes to or hands over to topics.

mod event;
mod stream;

pub use event::Event;
pub use stream::EventStream;
