//! Checks the settings of a server before it binds, whether they come from the command line or from code.

use std::fmt;

use super::{OwnSettings, ServerConfig};
use crate::app;
use crate::settings::Settings as _;

/// The invalid settings of a server, one sentence each.
#[derive(Debug)]
pub(in crate::server) struct InvalidConfig(Vec<String>);

impl ServerConfig {
    /// Rejects settings with which the server could serve no request.
    ///
    /// # Errors
    ///
    /// At least one setting is invalid. The error names every invalid setting, its flag and the allowed values.
    pub(in crate::server) fn check(&self) -> Result<(), InvalidConfig> {
        let flaws = self.own.flaws().chain(self.http1.flaws()).chain(self.http2.flaws());
        let flaws = flaws.chain(self.websocket.flaws()).chain(self.write.flaws());
        let flaws = flaws.chain(self.pubsub.flaws()).chain(self.histories.flaws());
        let flaws = flaws.chain(self.access_log.flaws()).chain(self.tls_flags.flaws());
        let application = self.application_limits(app::Limits::default());
        let flaws = flaws.chain(application.iter().flat_map(app::Limits::flaws));
        let flaws = flaws.chain(self.own.missing_feature());
        let flaws: Vec<String> = flaws.chain(self.tls_flags.conflict().map(str::to_owned)).collect();
        if flaws.is_empty() {
            Ok(())
        } else {
            Err(InvalidConfig(flaws))
        }
    }
}

impl OwnSettings {
    /// Returns a sentence about a setting for which this build lacks the feature.
    fn missing_feature(&self) -> Option<String> {
        let name = if self.reload {
            "reload (--reload)"
        } else if self.autoreload_templates {
            "autoreload_templates (--autoreload-templates)"
        } else {
            return None;
        };
        let is_missing = !cfg!(feature = "reload");
        is_missing.then(|| format!("{name} needs the feature `reload` of squall; add it to your Cargo.toml"))
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("could not start the server; change these settings:")?;
        self.0.iter().try_for_each(|flaw| write!(formatter, "\n  {flaw}"))
    }
}

impl std::error::Error for InvalidConfig {}

#[cfg(test)]
mod tests {
    use super::ServerConfig;
    use std::time::Duration;

    /// Returns the flaws of the default settings with one change.
    fn flaws(change: impl FnOnce(&mut ServerConfig)) -> Vec<String> {
        let mut config = ServerConfig::default();
        change(&mut config);
        config.check().map_or_else(|invalid| invalid.0, |()| Vec::new())
    }

    #[test]
    fn the_defaults_are_valid_and_all_mistakes_are_named_at_once() {
        assert_eq!(flaws(|_| ()), [""; 0]);
        let all = flaws(|config| {
            config.http1.idle_timeout = Duration::ZERO;
            config.own.max_connections = 0;
        });
        assert_eq!(all.len(), 2, "{all:?}");
    }

    #[test]
    fn watermarks_ascend_and_let_requests_in() {
        let watermarks = |text: &str| flaws(|config| config.own.memory_watermarks = text.parse().unwrap());
        assert_eq!((watermarks("0,92,95,98"), watermarks("0,0,1,1")), (vec![], vec![]));
        let descending = flaws(|config| config.own.memory_watermarks.reap_idle = 93);
        for refused in [descending, watermarks("0,0,0,98")] {
            let starts = "memory_watermarks (--memory-watermarks) must ";
            assert!(refused.len() == 1 && refused[0].starts_with(starts), "{refused:?}");
        }
    }

    #[test]
    fn a_setting_whose_feature_is_missing_says_so() {
        for change in [(|config| config.own.reload = true) as fn(&mut ServerConfig), |config| {
            config.own.autoreload_templates = true
        }] {
            let flaws = flaws(change);
            assert_eq!(flaws.is_empty(), cfg!(feature = "reload"), "{flaws:?}");
            assert!(
                flaws.iter().all(|flaw| flaw.contains("needs the feature `reload`")),
                "{flaws:?}"
            );
        }
    }

    #[test]
    fn optional_settings_are_checked_once_they_are_set() {
        let memory = |bytes| flaws(|config| config.own.max_memory_bytes = Some(bytes));
        assert_eq!(memory(1), [""; 0]);
        assert!(memory(0)[0].starts_with("max_memory_bytes (--max-memory-bytes) must "));
        let first_byte = |timeout| flaws(|config| config.http1.first_byte_timeout = Some(timeout));
        assert_eq!(first_byte(Duration::from_nanos(1)), [""; 0]);
        assert!(first_byte(Duration::ZERO)[0].starts_with("first_byte_timeout (--first-byte-timeout) must "));
    }
}
