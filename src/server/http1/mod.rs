//! HTTP/1.1 on one connection: reads a request, answers it, writes the response.

pub(in crate::server) mod answer;
pub(in crate::server) mod connection;
pub(in crate::server) mod refuse;
pub(in crate::server) mod respond;
pub(in crate::server) mod upgrade;
