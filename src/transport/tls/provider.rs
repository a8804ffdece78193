//! The provider of cryptography: aws-lc-rs, or ring with the feature `tls-ring` alone.
//!
//! Only this file names a provider. None is installed for the process, so that an application may use rustls as well.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
#[cfg(feature = "tls")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "tls-ring", not(feature = "tls")))]
use rustls::crypto::ring as chosen;

#[cfg(not(any(feature = "tls", feature = "tls-ring")))]
compile_error!("the feature `rustls` has no cryptography; enable `tls` (aws-lc-rs) or `tls-ring` (ring)");

/// Returns the algorithms of every session.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(chosen::default_provider())
}

/// Makes the keys that encrypt tickets of resumption.
///
/// # Errors
///
/// The system gives no random bytes.
pub(crate) fn ticketer() -> Result<Arc<dyn rustls::server::ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}
