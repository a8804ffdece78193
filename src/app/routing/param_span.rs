//! Where the value of a path parameter is in the path.

/// The position of a parameter's value in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::app) struct ParamSpan {
    start: u32,
    end: u32,
}

impl ParamSpan {
    /// The position of `part`, a slice of `whole`.
    pub(in crate::app) fn within(whole: &str, part: &str) -> Self {
        let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
        let offset = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            start: offset(start),
            end: offset(start.saturating_add(part.len())),
        }
    }

    /// The text at this position.
    pub(in crate::app) fn of(self, whole: &str) -> &str {
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}
