//! The tests of plain HTTP over TLS: with `SQUALL_TEST_TLS`, an example speaks TLS, and a process forwards to it.
//!
//! The forwarder is the example `tls_forwarder` of the package `squall-tls-tests`. Tests then connect to it as they
//! would to the example.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::server::path_of;

/// A process that forwards plain connections over TLS; dropping it ends it.
pub(crate) struct Forwarder {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Whether the tests run over TLS.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os("SQUALL_TEST_TLS").is_some()
}

impl Forwarder {
    /// Starts to forward to a server.
    ///
    /// # Panics
    ///
    /// When the example is not built or does not start.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let mut child = Command::new(path_of("tls_forwarder"))
            .arg(server.to_string())
            // It ends when this process does.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the forwarder starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the forwarder speaks");
        let address = line.trim_end().parse().expect("the forwarder's address");
        Self { child, address }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
