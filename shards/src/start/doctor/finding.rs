//! One thing a server uses of the machine: whether it is there, who needs it, and how to get it.
//!
//! Invariant: what is limited or missing says how to mend it.

/// What a finding is about; the order is that of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Area {
    /// The kernel's io_uring.
    IoUring,
    /// What the process may use of memory and descriptors.
    Limits,
    /// How sockets are shared and watched.
    Sockets,
    /// Where shards run.
    Cpus,
}

/// Whether a thing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It is there, and enough of it.
    Found,
    /// It is there, but less of it than a busy server wants.
    Limited,
    /// It is not there.
    Missing,
    /// It cannot be asked for.
    Unknown,
}

/// Who cannot do without a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NeededBy {
    /// Nothing is served without it.
    EveryDriver,
    /// The io_uring driver.
    IoUring,
    /// The epoll driver.
    Epoll,
    /// It makes a server faster, or is an option of it.
    Optional,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// What it is called.
    pub name: &'static str,
    /// Whether it is there.
    pub standing: Standing,
    /// Who needs it.
    pub needed_by: NeededBy,
    /// How much of it there is, or since which kernel it exists.
    pub detail: String,
    /// One sentence on how to mend it, unless it is found.
    pub fix: Option<String>,
}

impl Finding {
    pub(super) fn new(area: Area, needed_by: NeededBy, name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            area,
            name,
            standing: Standing::Found,
            needed_by,
            detail: detail.into(),
            fix: None,
        }
    }

    pub(super) fn limited(self, fix: impl ToString) -> Self {
        self.with(Standing::Limited, fix)
    }

    pub(super) fn missing(self, fix: impl ToString) -> Self {
        self.with(Standing::Missing, fix)
    }

    fn with(self, standing: Standing, fix: impl ToString) -> Self {
        let fix = Some(fix.to_string());
        Self { standing, fix, ..self }
    }
}
