//! A finding: one computed statement of a report.
//!
//! It has its own file because `findings` and `warnings` both make findings.

/// One or two sentences about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The beginning, shown in bold.
    pub(super) lead: String,
    /// The rest of the sentence.
    pub(super) text: String,
    /// Whether it reports a problem of the run or of a server.
    pub(super) is_warning: bool,
}

impl Finding {
    pub(super) fn plain(lead: impl Into<String>, text: String) -> Self {
        Self {
            lead: lead.into(),
            text,
            is_warning: false,
        }
    }

    pub(super) fn warning(lead: &str, text: String) -> Self {
        Self {
            is_warning: true,
            ..Self::plain(lead, text)
        }
    }
}
