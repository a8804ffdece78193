//! Every number that bounds what an application reads out of one request, with its default and the reason for it.

/// The most that [`Limits::json_depth_max`] may be. 256: a shard's stack is 2 MiB, and a level of a small struct took 5 KiB of it where
/// the program was not optimized, a level of [`serde_json::Value`] 2 KiB.
pub const JSON_DEPTH_CEILING: usize = 256;

/// Bounds on what handlers read out of requests. One value serves every request of a shard.
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
    /// Largest content in bytes, unless its handler says otherwise with [`set_body_limit`](super::Context::set_body_limit); beyond it
    /// 413. 1 MiB: nginx's, and enough for forms and most JSON; Tornado takes 100 MiB into memory.
    pub body_bytes_max: u64,
    /// Most parameters of a query, and most of a form, repeated ones too; beyond it 400. 1000: what PHP and Django settled on after the
    /// hash-collision attacks of 2011, and no form made for people has as many; Tornado takes any number.
    pub parameter_count_max: usize,
    /// How many arrays and objects may be open at once in JSON; beyond it 400. At most [`JSON_DEPTH_CEILING`], because what decodes a
    /// level calls itself for the next one. 128: about what serde_json and most other decoders stop at.
    pub json_depth_max: usize,
    /// Most cookies of one request, in all its fields; beyond it 431 for who reads any of them. 100: twice what RFC 6265 §6.1 asks a
    /// browser to keep for a domain.
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
    /// What must be true of them for a shard to be safe.
    pub(crate) fn check(&self) -> Result<(), String> {
        let depth = self.json_depth_max;
        if depth > JSON_DEPTH_CEILING {
            return Err(format!(
                "json_depth_max (--max-json-depth) is {depth} and must be {JSON_DEPTH_CEILING} at most, or JSON could overflow the stack of a shard"
            ));
        }
        Ok(())
    }
}
