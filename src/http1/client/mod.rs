//! The client side of HTTP/1.1 (RFC 9112): requests go out, responses come in, without I/O.
//!
//! ```text
//!        bytes out                                    bytes in
//!            ▲                                           │
//! ┌──────────┴───────────┐              ┌────────────────▼───────────────┐
//! │ head     line, fields│              │ head     interim ones, the last│ Interim, Head
//! │ content  length |    │              │   ▼      framing decides       │
//! │          chunked |   │              │ content  length | chunked |    │ Data, Trailer
//! │          none        │              │          until close | none    │
//! └──────────┬───────────┘              └────────────────┬───────────────┘
//!            └──────────── next_exchange ◀───────────────┘ End
//! ```
//!
//! - [`reader`] reads the heads of responses, which is all that a WebSocket client needs.
//! - [`framing`] decides how the content of a response ends, and whether its connection persists.
//! - [`request`] writes the heads of requests.
//! - [`connection`] is the whole machine, for one connection of an HTTP client.
//! - [`error`] has the faults of the server and those of the application.
//!
//! It is as strict as the server side: it rejects a response that two readers could understand differently. A pooled
//! connection would hand the rest of it to the next request.

pub(super) mod connection;
pub(super) mod error;
mod framing;
pub(super) mod reader;
pub(super) mod request;
