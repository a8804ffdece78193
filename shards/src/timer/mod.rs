//! Timers as pure structures: a coarse [`wheel`] for connection deadlines and an exact set of [`sleeps`].
//!
//! Neither reads a clock nor sleeps. The reactor gives them the time once a turn and asks when they are due next.

pub(crate) mod sleeps;
pub(crate) mod wheel;
