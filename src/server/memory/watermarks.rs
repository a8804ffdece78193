//! The percentages of available memory at which a shard starts to save memory.

use std::fmt;
use std::str::FromStr;

use crate::settings::settings;

settings! {
    /// The percentages of available memory at which a shard starts to save memory.
    ///
    /// ```
    /// use squall::MemoryWatermarks;
    ///
    /// assert_eq!("85,92,95,98".parse(), Ok(MemoryWatermarks::default()));
    /// assert!("92,85,95,98".parse::<MemoryWatermarks>().is_err());
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct MemoryWatermarks {
        /// Sets when idle connections close after a quarter of the idle timeout.
        ///
        /// The default is 85.
        reap_idle: u8 = 85,
        /// Sets when connections close after their current response as well.
        ///
        /// The default is 92: Envoy's.
        close_after_response: u8 = 92,
        /// Sets when requests are answered 503, and the shard accepts no connection.
        ///
        /// More than 0. The default is 95: Envoy's.
        refuse_requests: u8 = 95,
        /// Sets when memory is refused to every buffer that a peer can grow, as if the system had none left.
        ///
        /// The default is 98: the rest is for allocations that are not checked.
        refuse_memory: u8 = 98,
    }
}

impl MemoryWatermarks {
    /// Returns whether each is at least the one before, and the last at most 100.
    pub(in crate::server) const fn are_ascending(self) -> bool {
        self.reap_idle <= self.close_after_response
            && self.close_after_response <= self.refuse_requests
            && self.refuse_requests <= self.refuse_memory
            && self.refuse_memory <= 100
    }

    /// Returns the pressure of `held` bytes where `available` bytes may be held.
    pub(in crate::server) fn pressure(self, held: u64, available: u64) -> Pressure {
        let is_reached = |percent: u8| u128::from(held) * 100 >= u128::from(available) * u128::from(percent);
        if is_reached(self.refuse_memory) {
            Pressure::RefuseMemory
        } else if is_reached(self.refuse_requests) {
            Pressure::RefuseRequests
        } else if is_reached(self.close_after_response) {
            Pressure::CloseAfterResponse
        } else if is_reached(self.reap_idle) {
            Pressure::ReapIdle
        } else {
            Pressure::None
        }
    }
}

impl FromStr for MemoryWatermarks {
    type Err = InvalidWatermarks;

    fn from_str(text: &str) -> Result<Self, InvalidWatermarks> {
        let mut percents = text.split(',').map(str::parse);
        let mut next = || percents.next().and_then(Result::ok).ok_or(InvalidWatermarks);
        let watermarks = Self {
            reap_idle: next()?,
            close_after_response: next()?,
            refuse_requests: next()?,
            refuse_memory: next()?,
        };
        if percents.next().is_none() && watermarks.are_ascending() {
            Ok(watermarks)
        } else {
            Err(InvalidWatermarks)
        }
    }
}

impl fmt::Display for MemoryWatermarks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reap_idle,
            close_after_response,
            refuse_requests,
            refuse_memory,
        } = self;
        write!(
            formatter,
            "{reap_idle},{close_after_response},{refuse_requests},{refuse_memory}"
        )
    }
}

/// The error of watermarks that cannot be parsed or do not ascend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidWatermarks;

impl fmt::Display for InvalidWatermarks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = MemoryWatermarks::default();
        write!(
            formatter,
            "invalid watermarks; write four percentages in ascending order, at most 100, as in {usual}"
        )
    }
}

impl std::error::Error for InvalidWatermarks {}

/// How short memory is; each level includes the measures of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::server) enum Pressure {
    None,
    ReapIdle,
    CloseAfterResponse,
    RefuseRequests,
    RefuseMemory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_begins_exactly_at_its_watermark() {
        let watermarks = MemoryWatermarks::default();
        for (available, scale) in [(100_u64, 1), (1 << 40, (1 << 40) / 100)] {
            for (percent, below, at) in [
                (85, Pressure::None, Pressure::ReapIdle),
                (92, Pressure::ReapIdle, Pressure::CloseAfterResponse),
                (95, Pressure::CloseAfterResponse, Pressure::RefuseRequests),
                (98, Pressure::RefuseRequests, Pressure::RefuseMemory),
            ] {
                // The smallest number of bytes that reaches the percentage.
                let mark = (available * percent).div_ceil(100);
                assert!(mark / scale >= percent);
                assert_eq!(watermarks.pressure(mark - 1, available), below);
                assert_eq!(watermarks.pressure(mark, available), at);
                assert_eq!(watermarks.pressure(mark + 1, available), at);
            }
        }
        assert_eq!(watermarks.pressure(0, u64::MAX), Pressure::None);
        assert_eq!(watermarks.pressure(u64::MAX, u64::MAX), Pressure::RefuseMemory);
    }

    #[test]
    fn watermarks_are_written_as_they_are_read_and_must_ascend() {
        let usual = MemoryWatermarks::default();
        assert_eq!(usual.to_string().parse(), Ok(usual));
        for text in ["100,100,100,100", "0,0,0,0", "1,2,2,100"] {
            assert_eq!(
                text.parse::<MemoryWatermarks>().map(|read| read.to_string()).as_deref(),
                Ok(text)
            );
        }
        for text in [
            "",
            "85",
            "85,92,95",
            "85,92,95,98,99",
            "92,85,95,98",
            "85,92,98,95",
            "85,92,95,101",
            "85,92,95,x",
            "-1,2,3,4",
            "85, 92,95,98",
        ] {
            assert_eq!(text.parse::<MemoryWatermarks>(), Err(InvalidWatermarks), "{text:?}");
        }
    }
}
