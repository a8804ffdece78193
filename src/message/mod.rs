//! What a message is (RFC 9110 §6): the head of a request, the head of a response, and a body. Floor 0: no I/O, no clock,
//! nothing that knows how HTTP/1 writes any of it down.
//!
//! A request's head keeps the received bytes in one buffer and its fields as spans into it, so that reading a request costs one
//! copy and no allocation once the buffer has grown. A response's head holds the `http` crate's own names and values, which
//! cannot contain CR, LF or NUL: an injection fails where the value is made, not where it is sent (RFC 9110 §5.5).
//!
//! Beside them are the codes WebSockets are closed with, for protocols never import one another and more than one names them.

mod authority;
mod body;
mod close_code;
mod date;
mod headers;
mod media_type;
mod request;
mod response;

pub(crate) use authority::{default_port, host_and_port};
pub use body::{Body, BodyStream, BoxError};
pub use close_code::CloseCode;
pub use date::HttpDate;
pub use headers::Headers;
pub use http::{HeaderName, HeaderValue, Method, StatusCode, header};
pub use media_type::MediaType;
pub use request::{Fields, RequestHead, RequestHeadBuilder, TargetForm, Version};
pub use response::ResponseHead;
