//! Certificates that are read anew, while connections go on: new ones get the new policies.
//!
//! A tool that renews a certificate writes two files, one after the other. A reload between them finds a key that
//! belongs to another certificate, so it reads both once more a second later.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use squall_shards::{Reload, Remote, Replacement};

use super::policies::{Policies, PolicySource};
use super::shard::ShardTls;
use crate::error::{Error, Result};

/// How long to wait for the second file. 1 s: tools write both within milliseconds.
const HALF_WRITTEN_WAIT: Duration = Duration::from_secs(1);

/// The certificates of a server, as a part that is reloaded.
pub(in crate::server) struct CertificateReload {
    pub(in crate::server) source: Arc<PolicySource>,
    pub(in crate::server) remote: Remote,
}

impl CertificateReload {
    #[expect(clippy::disallowed_methods, reason = "the thread of reloads runs outside the shards")]
    fn read(&self) -> Result<Policies> {
        let policies = match self.source.read() {
            Ok(policies) => policies,
            Err(_) => {
                // The second file may be on its way.
                thread::sleep(HALF_WRITTEN_WAIT);
                self.source.read()?
            }
        };
        if policies.is_out_of_date {
            return Err(Error::new("a certificate is expired or not yet valid; renew it"));
        }
        Ok(policies)
    }
}

impl Reload for CertificateReload {
    fn name(&self) -> &'static str {
        "certificates"
    }

    fn prepare(&mut self) -> std::result::Result<Replacement, squall_shards::BoxError> {
        let policies = Arc::new(self.read()?);
        let remote = self.remote.clone();
        Ok(Box::new(move || {
            let replace = move || {
                let policies = Arc::clone(&policies);
                async move { ShardTls::replace_on_this_shard(policies) }
            };
            let replaced = remote.invoke_on_all_blocking(replace)?;
            match replaced.iter().all(|replaced| *replaced) {
                true => Ok(()),
                false => Err("a shard does not serve".into()),
            }
        }))
    }
}
