//! The TLS of one connection of the load: records in and out of the buffers of its thread.

use std::io::{Read, Write};

use rustls::ClientConnection;

use super::run_result::Failure;
use crate::tls;

/// One connection's session.
#[derive(Debug)]
pub(crate) struct Session {
    tls: ClientConnection,
}

impl Session {
    /// Begins a session, whose hello the first [`seal`](Self::seal) writes.
    pub(crate) fn begin() -> Result<Self, Failure> {
        let tls = tls::session().map_err(|_| Failure::Connect)?;
        Ok(Self { tls })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Decrypts received bytes, and appends their plaintext.
    pub(crate) fn receive(&mut self, mut ciphertext: &[u8], plaintext: &mut Vec<u8>) -> Result<(), Failure> {
        while !ciphertext.is_empty() {
            let read = self.tls.read_tls(&mut ciphertext);
            read.map_err(|_| Failure::Malformed)?;
            let state = self.tls.process_new_packets().map_err(|_| Failure::Malformed)?;
            let start = plaintext.len();
            plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
            let room = plaintext.get_mut(start..).unwrap_or_default();
            self.tls.reader().read_exact(room).map_err(|_| Failure::Malformed)?;
        }
        Ok(())
    }

    /// Replaces plaintext by its records, behind what TLS itself sends.
    pub(crate) fn seal(&mut self, output: &mut Vec<u8>) -> Result<(), Failure> {
        if !output.is_empty() {
            self.tls.writer().write_all(output).map_err(|_| Failure::Malformed)?;
            output.clear();
        }
        while self.tls.wants_write() {
            self.tls.write_tls(output).map_err(|_| Failure::Malformed)?;
        }
        Ok(())
    }
}
