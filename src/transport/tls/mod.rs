//! TLS for the socket of a server or a client: rustls, with its records in buffers of the shard.
//!
//! [`session`] is the machine: ciphertext in, plaintext and records out, without I/O. [`handshake`] runs it until both
//! ends are sure of each other. [`socket`] is a stream behind it. [`provider`] names the cryptography.
//!
//! Invariant: an idle connection holds the state of rustls (4 KiB) and no buffer.

pub(crate) mod handshake;
pub(crate) mod provider;
mod record_sizes;
pub(crate) mod session;
pub(crate) mod socket;
