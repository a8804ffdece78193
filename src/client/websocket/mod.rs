//! A WebSocket opened to another server.

pub(in crate::client) mod inbox;
pub(in crate::client) mod opening;
pub(in crate::client) mod options;
pub(in crate::client) mod random;
pub(in crate::client) mod socket;
