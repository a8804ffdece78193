//! HTTP/1.1 on one connection: reads a request, answers it, writes the response.

pub(in crate::server) mod connection;
mod exchange_io;
mod reader;
pub(in crate::server) mod upgrade;
mod wire;
mod writer;
