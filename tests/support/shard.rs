//! A shard in this process for the futures of a client, and waits for a condition.

use std::time::{Duration, Instant};

use squall::shards::{Builder, clock, sleep, timeout_at};

use super::running::tested_driver;

/// How long a wait may take before its test fails: longer than any step takes on a busy machine.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The moment at which a wait that begins now has failed.
pub(crate) fn deadline() -> Instant {
    clock::now() + TIME_LIMIT
}

/// Runs a future to its end on a shard of its own.
///
/// # Panics
///
/// When it does not end in three times the limit of one wait.
pub(crate) fn on_shard<F>(main: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let shards = Builder::new()
        .shards(1)
        .stop_on_signals(false)
        .submission_entries(128)
        .receive_buffers(64, 4096)
        .driver(tested_driver())
        .build()
        .unwrap();
    let ran = shards.run(move |_| {
        let running = main();
        async move {
            let ended = timeout_at(clock::now() + 3 * TIME_LIMIT, running).await;
            ended.ok_or("the test hangs")?;
            Ok(())
        }
    });
    ran.unwrap();
}

/// Waits on a shard until a condition holds.
///
/// # Panics
///
/// When it does not hold within [`TIME_LIMIT`].
pub(crate) async fn eventually_here(what: &str, mut holds: impl FnMut() -> bool) {
    let until = deadline();
    while !holds() {
        assert!(clock::now() < until, "timed out waiting for: {what}");
        // The pace of the looks; the condition decides.
        sleep(Duration::from_millis(1)).await;
    }
}
