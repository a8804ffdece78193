//! The settings of the access log.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::settings::{Count, Kind, settings};

settings! {
    /// Where and how requests are logged.
    #[derive(Debug, Clone)]
    pub(in crate::server) struct AccessLogSettings, set by access_log_setters through access_log_settings {
        /// Appends a line for each request to this file; - is standard output.
        ///
        /// Off by default. The file is opened anew within a second after it was renamed or removed, so a rotation
        /// needs no signal.
        [FileName] access_log: PathBuf,
        /// Writes the lines as Tornado does (tornado), as Apache and nginx do (combined), or as JSON (json).
        [FormatName] access_log_format: AccessLogFormat = AccessLogFormat::Tornado,
        /// Most lines a second that each shard writes to the access log; further ones are dropped and counted.
        ///
        /// 50,000: 5 MB a second of lines of 100 bytes. 0 turns the limit off; a disk that is too slow still drops
        /// lines.
        [Count] max_access_log_rate: u32 = 50_000,
    }
}

/// The form of a line in the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AccessLogFormat {
    /// Tornado's: `200 GET /path (203.0.113.9) 1.23ms`.
    #[default]
    Tornado,
    /// The combined format of Apache and nginx, with the time in UTC.
    Combined,
    /// An object of JSON in ASCII, with the route, the shard and the id of the request.
    Json,
}

impl fmt::Display for AccessLogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tornado => "tornado",
            Self::Combined => "combined",
            Self::Json => "json",
        })
    }
}

/// The error of a name that no format of the access log has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAccessLogFormat(String);

impl FromStr for AccessLogFormat {
    type Err = InvalidAccessLogFormat;

    fn from_str(name: &str) -> Result<Self, InvalidAccessLogFormat> {
        let formats = [Self::Tornado, Self::Combined, Self::Json];
        let found = formats.into_iter().find(|format| format.to_string() == name);
        found.ok_or_else(|| InvalidAccessLogFormat(name.to_owned()))
    }
}

impl fmt::Display for InvalidAccessLogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.0;
        write!(formatter, "unknown format {name:?}; write tornado, combined or json")
    }
}

impl std::error::Error for InvalidAccessLogFormat {}

/// The name of a format.
enum FormatName {}

impl Kind<AccessLogFormat> for FormatName {
    const VALUE_NAME: Option<&'static str> = Some("FORMAT");

    fn read(text: &str) -> Result<AccessLogFormat, String> {
        text.parse().map_err(|error| format!("{error}"))
    }

    fn show(value: &AccessLogFormat) -> String {
        value.to_string()
    }
}

/// The name of a file.
enum FileName {}

impl Kind<PathBuf> for FileName {
    const VALUE_NAME: Option<&'static str> = Some("FILE");

    fn read(text: &str) -> Result<PathBuf, String> {
        Ok(text.into())
    }

    fn flaw(value: &PathBuf) -> Option<String> {
        let is_empty = value.as_os_str().is_empty();
        is_empty.then(|| "must name a file, or - for standard output".to_owned())
    }
}
