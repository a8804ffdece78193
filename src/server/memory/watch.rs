//! Acts on memory pressure for as long as a shard serves: wakes what sleeps when pressure begins, measures until it is over, and logs it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use squall_shards::{invoke_on_all, sleep, spawn_detached};

use super::watermarks::Pressure;
use crate::memory;
use crate::server::shard::ShardServer;

/// How often a shard measures memory while there is pressure. 250 ms: Envoy's.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The shortest time between two log lines about short memory, unless the pressure rises. 10 s.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Measures on every shard.
///
/// All shards share the memory, and a shard without requests does not measure by itself.
async fn check_all_shards() {
    // An error means that a shard has ended, and its memory is free.
    invoke_on_all(|| async { memory::has_headroom(0) })
        .await
        .unwrap_or_default();
}

/// Acts on memory pressure for as long as the shard serves.
pub(in crate::server) async fn watch(server: Rc<ShardServer>) {
    let Some(meter) = server.meter() else { return };
    let mut logged: Option<(Pressure, Instant)> = None;
    loop {
        meter.under_pressure().await;
        // Idle connections sleep until their deadline; wake them to compute an earlier one.
        server.wake_connections();
        loop {
            let (pressure, now) = (meter.check(), server.shard.now());
            if pressure < Pressure::RefuseRequests {
                server.wake_accepting();
            }
            if pressure == Pressure::None {
                break;
            }
            // Log a rise at once, and a level that lasts at intervals.
            let is_due = |(before, at)| pressure > before || now >= at + LOG_INTERVAL;
            if logged.is_none_or(is_due) {
                logged = Some((pressure, now));
                let (held, limit) = meter.balance().map_or((0, 0), |balance| (balance.held, balance.limit));
                tracing::warn!(
                    ?pressure,
                    held,
                    limit,
                    "memory is short; raise --max-memory-bytes or the limit of the control group"
                );
            }
            // In a task of its own: a stalled shard must not delay the measures of this one.
            spawn_detached(check_all_shards());
            meter.give_back_free();
            sleep(CHECK_INTERVAL).await;
        }
    }
}
