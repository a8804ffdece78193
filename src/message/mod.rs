//! HTTP messages (RFC 9110 §6): the head of a request, the head of a response, and a body. Floor 0: no I/O, no clock,
//! no HTTP/1.
//!
//! A request's head stores the received bytes in one buffer and its fields as spans into it. So reading a request costs
//! one copy, and no allocation once the buffer has grown. A response's head uses the `http` crate's names and values,
//! which cannot contain CR, LF or NUL (RFC 9110 §5.5). So an injection fails where the value is created.
//!
//! WebSocket close codes are here too, because several protocols use them and protocols never import one another.

mod authority;
mod body;
mod byte_set;
mod close_code;
mod date;
mod grammar;
mod headers;
mod media_type;
mod reason;
mod request;
mod response;
#[cfg(test)]
pub(crate) mod testing;
mod tls_info;

pub(crate) use authority::{default_port, host_and_port};
pub use body::{Body, BodyStream, BoxError};
pub(crate) use byte_set::ByteSet;
pub use close_code::CloseCode;
pub use date::HttpDate;
pub(crate) use grammar::{
    LENGTH_MAX, PATH_BYTES, TARGET_BYTES, TOKEN_BYTES, decimal, is_field_byte, is_host, is_token, parse_digits,
};
pub use headers::Headers;
pub(crate) use headers::is_trailer_allowed;
#[doc(no_inline)]
pub use http::{HeaderName, HeaderValue, Method, StatusCode, header};
pub use media_type::MediaType;
pub use reason::ReasonPhrase;
#[doc(hidden)]
pub use request::RequestHeadBuilder;
pub use request::{Fields, RequestHead, TargetForm, Version};
pub use response::{ResponseHead, has_no_content};
pub use tls_info::TlsInfo;
