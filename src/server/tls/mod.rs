//! TLS of a server: certificates, names, policies, and the handshakes of its connections.
//!
//! [`builder`] is what an application or a command line asks for. [`policies`] is that, read from its files: one
//! configuration of rustls for each policy, with its [`certificates`] by [`names`]. [`entry`] completes a handshake
//! within the [`meter`] of its shard, and gives the connection to HTTP. [`reload`] replaces the policies of all shards.
//!
//! Invariant: a policy has one ticketer, which all shards share and no other policy has. A ticket of one policy
//! therefore resumes no session of another (CVE-2025-23419).

#[cfg(feature = "rustls")]
pub(in crate::server) mod builder;
#[cfg(feature = "rustls")]
mod certificates;
#[cfg(feature = "rustls")]
pub(in crate::server) mod entry;
#[cfg(feature = "rustls")]
mod hello;
#[cfg(feature = "rustls")]
pub(in crate::server) mod meter;
#[cfg(feature = "rustls")]
mod names;
#[cfg(feature = "rustls")]
pub(in crate::server) mod policies;
#[cfg(feature = "rustls")]
pub(in crate::server) mod reload;
#[cfg(feature = "rustls")]
mod self_signed;
pub(in crate::server) mod settings;
#[cfg(feature = "rustls")]
pub(in crate::server) mod shard;
