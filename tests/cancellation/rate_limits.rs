//! A check of a rate limit whose owner may be another shard, on two shards.

use std::time::Duration;

use squall::middleware::RateLimit;
use squall::prelude::*;

use crate::harness::{Running, dropped_after};

/// Names enough for both shards to be the owner of some.
const NAMES: usize = 64;

/// More permits than the dropped checks of one name lose.
const PERMITS: u32 = 1000;

/// How often each check is dropped, after one poll more each time.
const DROPS: u32 = 4;

/// Most permits of one lease.
const LEASE: u32 = 64;

/// Leases that may run out on a machine that stalls.
const STALLS: u32 = 5;

async fn checks(cx: &mut Context) -> Result<&'static str> {
    let limit = RateLimit::per_address(PERMITS, Duration::from_secs(36_000));
    let mut has_waited = false;
    for name in 0..NAMES {
        let name = name.to_string();
        for polls in 0..DROPS {
            let checked = dropped_after(polls as usize, limit.check(cx, &name)).await;
            has_waited |= polls > 0 && checked.is_none();
        }
        let mut left = 0;
        while limit.check(cx, &name).await.is_ok() {
            left += 1;
        }
        assert!(left >= PERMITS - LEASE * (DROPS + STALLS), "{left}");
        assert!(left <= PERMITS + 1, "{left}");
    }
    assert!(has_waited, "no owner was another shard");
    Ok("done")
}

#[test]
fn a_dropped_check_of_a_rate_limit_loses_one_lease_at_most() {
    let server = Running::start(2, || Application::new().get("/", checks));
    server.get("/").expect(200, b"done").unwrap();
}
