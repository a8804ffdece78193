//! The writing half of a context.

pub(in crate::app) mod accept_encoding;
pub(in crate::app) mod conditional;
pub(in crate::app) mod content;
pub(in crate::app) mod error_page;
pub(in crate::app) mod error_response;
pub(in crate::app) mod responder;
pub(in crate::app) mod set_cookie;
pub(in crate::app) mod sse;
pub(in crate::app) mod state;
pub(in crate::app) mod write;
