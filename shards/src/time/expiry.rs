//! How many timers of a kind a shard fires a turn.

/// How many deadlines, and how many sleeps, are fired per turn at most; the rest follow in the next turns. 16: the task
/// of an expired deadline, such as a 408 to a slow peer, takes some 10 µs, and every peer with bytes waiting waits for
/// it. When 2,000 expire at once, peers wait 0.2 ms at a time instead of 15 ms.
pub(super) const EXPIRED_A_TURN_MAX: usize = 16;
