//! A finding: one thing a server uses of the host, whether it is available, what needs it, and the remedy.
//!
//! Invariant: a limited or missing thing has a remedy.

/// The area of a finding, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Area {
    /// The kernel's io_uring.
    IoUring,
    /// Limits on memory and descriptors.
    Limits,
    /// Sharing and watching of sockets.
    Sockets,
    /// CPUs, quota and pinning.
    Cpus,
}

/// Whether a thing is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Available and sufficient.
    Found,
    /// Available, but less than a busy server needs.
    Limited,
    /// Not available.
    Missing,
    /// Could not be determined.
    Unknown,
}

/// What needs a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NeededBy {
    /// Every driver: the server cannot run without it.
    EveryDriver,
    /// The io_uring driver.
    IoUring,
    /// The epoll driver.
    Epoll,
    /// An option, or better performance.
    Optional,
}

/// One thing the doctor has examined.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Its area.
    pub area: Area,
    /// Its name.
    pub name: &'static str,
    /// Whether it is available.
    pub standing: Standing,
    /// What needs it.
    pub needed_by: NeededBy,
    /// The amount available, or the first kernel with it.
    pub detail: String,
    /// The remedy, unless it is found.
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
