//! The bounds on what an application reads out of one request, each with its default and its reason.

/// The upper bound of [`Limits::json_depth_max`]: 256.
///
/// A shard's stack is 2 MiB. In an unoptimized build, a level of a small struct took 5 KiB of it, a level of
/// [`serde_json::Value`] 2 KiB.
pub const JSON_DEPTH_CEILING: usize = 256;

/// The bounds on what handlers read out of a request; one value serves every request of a shard.
///
/// ```
/// use squall::app::Limits;
/// use squall::prelude::*;
///
/// let limits = Limits { json_depth_max: 16, ..Limits::default() };
/// let application = Application::new().limits(limits);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of content in a request; more is rejected with 413.
    ///
    /// The default is 1 MiB, as in nginx; Tornado's is 100 MiB. A handler raises it with
    /// [`set_body_limit`](super::Context::set_body_limit).
    pub body_bytes_max: u64,
    /// Parameters of a query, and of a form, repeated ones included; more are rejected with 400.
    ///
    /// The default is 1000. PHP and Django chose this number after the hash-collision attacks of 2011. Tornado sets
    /// no limit.
    pub parameter_count_max: usize,
    /// Arrays and objects open at once in JSON; more are rejected with 400.
    ///
    /// The default is 128, where serde_json and most other decoders stop too. The maximum is [`JSON_DEPTH_CEILING`],
    /// because decoding recurses once a level.
    pub json_depth_max: usize,
    /// Cookies of one request, in all its fields; reading any of more is rejected with 431.
    ///
    /// The default is 100. RFC 6265 §6.1 asks browsers to store at least 50 for a domain.
    pub cookie_count_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            parameter_count_max: 1000,
            json_depth_max: 128,
            cookie_count_max: 100,
        }
    }
}

impl Limits {
    /// Checks that the limits are safe for a shard.
    pub(crate) fn check(&self) -> Result<(), String> {
        let depth = self.json_depth_max;
        if depth > JSON_DEPTH_CEILING {
            return Err(format!(
                "json_depth_max (--max-json-depth) is {depth}; set it to at most {JSON_DEPTH_CEILING}, \
                 because deeper JSON can overflow the stack of a shard"
            ));
        }
        Ok(())
    }
}
