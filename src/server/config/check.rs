//! Checks the settings of a server before it binds, whether they come from the command line or from code.

use std::fmt;
use std::time::Duration;

use super::ServerConfig;
use crate::app;

/// The invalid settings of a [`ServerConfig`], one sentence each.
#[derive(Debug)]
pub(in crate::server) struct InvalidConfig(Vec<String>);

impl ServerConfig {
    /// Rejects settings with which the server could serve no request.
    ///
    /// # Errors
    ///
    /// At least one setting is invalid. The error names every invalid setting, its flag and the allowed values.
    pub(in crate::server) fn check(&self) -> Result<(), InvalidConfig> {
        let mut problems = Vec::new();
        let mut refuse_if = |is_wrong: bool, setting: &str, why: &str| {
            if is_wrong {
                problems.push(format!("{setting} {why}"));
            }
        };
        for (time, setting) in self.timeouts() {
            let why = "must be more than 0, or every wait would end at once; for no limit in practice, set a week";
            refuse_if(time.is_zero(), setting, why);
        }
        for (number, setting) in self.required_sizes() {
            let why = "must be more than 0, or every request would be refused";
            refuse_if(number == 0, setting, why);
        }
        refuse_if(
            self.connections_per_shard_max == 0,
            "connections_per_shard_max (--max-connections)",
            "must be more than 0, or every connection would wait",
        );
        refuse_if(
            self.memory_bytes_max == Some(0),
            "memory_bytes_max (--max-memory-bytes)",
            "must be more than 0, or every request would be refused; `None` takes the machine's memory",
        );
        refuse_if(
            !self.memory_watermarks.are_ascending(),
            "memory_watermarks (--memory-watermarks)",
            "must be four percentages in ascending order, at most 100",
        );
        refuse_if(
            self.memory_watermarks.refuse_requests == 0,
            "memory_watermarks.refuse_requests (the third of --memory-watermarks)",
            "must be more than 0, or every request would be refused",
        );
        refuse_if(
            self.websocket.fragments_max == 0,
            "websocket.fragments_max (--max-fragments)",
            "must be more than 0, or every message would be refused",
        );
        refuse_if(
            self.websocket.ping_interval == Some(Duration::ZERO),
            "websocket.ping_interval",
            "must be more than 0, or pings would follow each other without a pause; `None` turns pings off",
        );
        problems.extend(self.application_limits(app::Limits::default()).check().err());
        if problems.is_empty() {
            Ok(())
        } else {
            Err(InvalidConfig(problems))
        }
    }

    /// Returns the timeouts that may not be 0.
    fn timeouts(&self) -> [(Duration, &'static str); 7] {
        let http1 = &self.http1;
        [
            (http1.header_timeout, "http1.header_timeout (--header-timeout)"),
            (
                http1.first_byte_timeout,
                "http1.first_byte_timeout (--first-byte-timeout)",
            ),
            (http1.idle_timeout, "http1.idle_timeout (--idle-timeout)"),
            (http1.body_gap_timeout, "http1.body_gap_timeout (--body-timeout)"),
            (http1.body_rate_grace, "http1.body_rate_grace (--body-rate-grace)"),
            (self.write_stall_timeout, "write_stall_timeout (--write-timeout)"),
            (self.websocket.ping_timeout, "websocket.ping_timeout (--ping-timeout)"),
        ]
    }

    /// Returns the size limits that may not be 0.
    fn required_sizes(&self) -> [(usize, &'static str); 4] {
        let http1 = &self.http1;
        [
            (http1.target_bytes_max, "http1.target_bytes_max (--max-target-bytes)"),
            (http1.header_bytes_max, "http1.header_bytes_max (--max-header-bytes)"),
            (http1.header_count_max, "http1.header_count_max (--max-header-count)"),
            (
                http1.header_name_bytes_max,
                "http1.header_name_bytes_max (--max-header-name-bytes)",
            ),
        ]
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("could not start the server; change these settings:")?;
        self.0.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl std::error::Error for InvalidConfig {}

#[cfg(test)]
mod tests {
    use super::ServerConfig;
    use crate::app::JSON_DEPTH_CEILING;
    use std::time::Duration;

    /// Returns the problems of the default settings with one change.
    fn problems(change: impl FnOnce(&mut ServerConfig)) -> Vec<String> {
        let mut config = ServerConfig::default();
        change(&mut config);
        config.check().map_or_else(|invalid| invalid.0, |()| Vec::new())
    }

    #[test]
    fn the_defaults_are_valid_and_all_mistakes_are_named_at_once() {
        assert_eq!(problems(|_| ()), [""; 0]);
        let all = problems(|config| {
            config.http1.idle_timeout = Duration::ZERO;
            config.connections_per_shard_max = 0;
        });
        assert_eq!(all.len(), 2, "{all:?}");
    }

    /// Checks that each of these settings is invalid as 0 and valid as the smallest value above it.
    macro_rules! least {
        ($least:expr => $($setting:ident $(.$field:ident)?),*) => {
            $(
                let name = concat!(stringify!($setting) $(, ".", stringify!($field))?);
                let zero = problems(|config| config.$setting$(.$field)? = Default::default());
                assert!(zero.len() == 1 && zero[0].starts_with(&format!("{name} ")), "{name}: {zero:?}");
                assert_eq!(problems(|config| config.$setting$(.$field)? = $least), [""; 0], "{name}");
            )*
        };
    }

    #[test]
    fn zero_is_refused_by_name_and_the_smallest_value_above_it_is_not() {
        least!(Duration::from_nanos(1) => http1.header_timeout, http1.first_byte_timeout, http1.idle_timeout, http1.body_gap_timeout, http1.body_rate_grace, write_stall_timeout, websocket.ping_timeout);
        least!(1 => http1.target_bytes_max, http1.header_bytes_max, http1.header_count_max, http1.header_name_bytes_max, connections_per_shard_max, websocket.fragments_max);
        let memory = |bytes_max| problems(|config| config.memory_bytes_max = bytes_max);
        assert_eq!((memory(None), memory(Some(1))), (vec![], vec![]));
        assert!(memory(Some(0))[0].starts_with("memory_bytes_max "));
        let reaping = |percent| problems(|config| config.memory_watermarks.reap_idle = percent);
        assert_eq!((reaping(0), reaping(92)), (vec![], vec![]));
        assert!(reaping(93)[0].starts_with("memory_watermarks "));
        let refusing = |text: &str| problems(|config| config.memory_watermarks = text.parse().unwrap());
        assert_eq!(refusing("0,0,1,1"), [""; 0]);
        let refused = refusing("0,0,0,98");
        assert!(
            refused.len() == 1 && refused[0].starts_with("memory_watermarks.refuse_requests "),
            "{refused:?}"
        );
        let pings = |interval| problems(|config| config.websocket.ping_interval = interval);
        let refused = pings(Some(Duration::ZERO));
        assert!(
            refused.len() == 1 && refused[0].starts_with("websocket.ping_interval "),
            "{refused:?}"
        );
        assert_eq!(pings(Some(Duration::from_nanos(1))), [""; 0]);
        assert_eq!(pings(None), [""; 0]);
    }

    #[test]
    fn json_is_bounded_by_the_stack() {
        assert_eq!(
            problems(|config| config.json_depth_max = Some(JSON_DEPTH_CEILING)),
            [""; 0]
        );
        let refused = problems(|config| config.json_depth_max = Some(JSON_DEPTH_CEILING + 1));
        assert!(refused.len() == 1 && refused[0].contains("256"), "{refused:?}");
    }
}
