//! The writing half of a context.

pub(in crate::app) mod accept_encoding;
mod cache_control;
pub(in crate::app) mod compression;
pub(in crate::app) mod conditional;
pub(in crate::app) mod content;
mod debug_page;
pub(in crate::app) mod disposition;
mod error_page;
pub(in crate::app) mod error_pages;
pub(in crate::app) mod error_response;
pub(in crate::app) mod etag;
pub(in crate::app) mod html;
pub(in crate::app) mod location;
mod rare;
pub(in crate::app) mod responder;
pub(in crate::app) mod set_cookie;
mod slices;
pub(in crate::app) mod sse;
pub(in crate::app) mod state;
pub(in crate::app) mod vary;
pub(in crate::app) mod write;
