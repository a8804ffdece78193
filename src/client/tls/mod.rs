//! TLS of clients, of HTTP and of WebSockets (RFC 8446).
//!
//! [`settings`] is what an application asks for, `rules` makes rustls' configuration of it. [`security`] leads from a
//! plain connection to a secure one; a build without TLS has this step alone, and refuses it.

pub(super) mod error;
#[cfg(feature = "rustls")]
mod explanation;
#[cfg(feature = "rustls")]
mod rules;
pub(super) mod security;
#[cfg(feature = "rustls")]
pub(super) mod settings;
#[cfg(feature = "rustls")]
mod unverified;
