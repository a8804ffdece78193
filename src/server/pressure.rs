//! What a shard does while the process is near all the memory it may have.
//!
//! The connections themselves see how short it is and give way ([`Pressure`]): an idle one closes earlier, a request is the last of its
//! connection, or is refused. The accept loop lets nobody in. What is left to do is here: to wake those who sleep when it begins, to
//! look again until it is over, and to say so. A shard without pressure spends nothing on it.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use squall_shards::memory::{Gauge, available_bytes, give_back_free};
use squall_shards::{invoke_on_all, sleep, spawn_blocking, spawn_detached};

use super::config::ServerConfig;
use super::shard::ShardServer;
use super::watermarks::{MemoryWatermarks, Pressure};
use crate::memory;

/// How often a shard looks while there is pressure. 250 ms: Envoy's.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How often the log says at most that memory is short, unless it becomes shorter.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// What a shard sees of the memory of its process.
pub(super) struct Meter {
    available: u64,
    watermarks: MemoryWatermarks,
    /// What the process holds, in bytes; `None` where nobody can tell.
    held: Box<dyn Fn() -> Option<u64>>,
    pressure: Cell<Pressure>,
    /// There has been pressure since [`pressed`](Self::pressed) was last ready.
    was_pressed: Cell<bool>,
    /// Who waits for there to be pressure.
    waiting: Cell<Option<Waker>>,
}

impl Meter {
    pub(super) fn new(available: u64, watermarks: MemoryWatermarks, held: impl Fn() -> Option<u64> + 'static) -> Self {
        Self {
            available,
            watermarks,
            held: Box::new(held),
            pressure: Cell::new(Pressure::None),
            was_pressed: Cell::new(false),
            waiting: Cell::new(None),
        }
    }

    /// Has every look at the memory by this thread look here too, and refuse what the last watermark says.
    pub(super) fn install(self) -> Rc<Self> {
        let meter = Rc::new(self);
        let asked = Rc::clone(&meter);
        memory::ask_too(move || asked.look() < Pressure::RefuseMemory);
        meter
    }

    /// What the process may have, in bytes.
    pub(super) const fn available(&self) -> u64 {
        self.available
    }

    /// How short memory was at the last look.
    pub(super) fn pressure(&self) -> Pressure {
        self.pressure.get()
    }

    /// Looks.
    pub(super) fn look(&self) -> Pressure {
        let held = (self.held)();
        let pressure = held.map_or(Pressure::None, |held| self.watermarks.pressure(held, self.available));
        self.pressure.set(pressure);
        if pressure > Pressure::None {
            self.was_pressed.set(true);
            if let Some(waiting) = self.waiting.take() {
                waiting.wake();
            }
        }
        pressure
    }

    /// Waits until a look has found pressure, even if the next one found none: somebody may have acted on the first. One can wait at a
    /// time.
    ///
    /// Cancel safety: may be dropped and called again.
    pub(super) async fn pressed(&self) {
        poll_fn(|cx| {
            if self.was_pressed.take() {
                return Poll::Ready(());
            }
            self.waiting.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Meter")
            .field("available", &self.available)
            .field("pressure", &self.pressure)
            .finish_non_exhaustive()
    }
}

/// Makes the meter of the calling shard. `None` if nobody can tell how much memory there is or is held.
pub(super) fn meter(config: &ServerConfig) -> Option<Rc<Meter>> {
    let available = config.memory_bytes_max.or_else(available_bytes)?;
    let gauge = Gauge::open()
        .inspect_err(|error| tracing::warn!(%error, "nobody can tell how much memory is held; its watermarks are off"))
        .ok()?;
    let meter = Meter::new(available, config.memory_watermarks, move || gauge.held_bytes().ok());
    Some(meter.install())
}

/// Has every shard look: the memory is the same for all of them, and a shard that nobody asks anything does not look by itself.
async fn have_all_look() {
    // A shard that has ended has nobody left to give way for.
    invoke_on_all(|| async { memory::has_headroom(0) })
        .await
        .unwrap_or_default();
}

/// Attends to one shard for as long as it serves.
pub(super) async fn attend(server: Rc<ShardServer>) {
    let Some(meter) = server.meter() else { return };
    let mut said: Option<(Pressure, Instant)> = None;
    loop {
        meter.pressed().await;
        server.wake_connections();
        loop {
            let (pressure, now) = (meter.look(), server.shard.now());
            if pressure < Pressure::RefuseRequests {
                server.wake_accepting();
            }
            if pressure == Pressure::None {
                break;
            }
            let is_due = |(before, at)| pressure > before || now >= at + SAID_EVERY;
            if said.is_none_or(is_due) {
                said = Some((pressure, now));
                let available = meter.available();
                tracing::warn!(
                    ?pressure,
                    available,
                    "memory is short; raise --max-memory-bytes or what the process may have"
                );
            }
            // Beside this, so that a shard that stalls keeps no other from giving way.
            spawn_detached(have_all_look());
            // Refused where the pool is full or gone; it is tried again.
            spawn_blocking(give_back_free).await.unwrap_or_default();
            sleep(LOOK_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Woken {
        fn times(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn growth_meets_the_meter_and_is_refused_at_the_last_step_only() {
        let held = Rc::new(Cell::new(0));
        let told = Rc::clone(&held);
        let meter = Meter::new(100, MemoryWatermarks::default(), move || Some(told.get())).install();
        for (bytes, pressure, granted) in [
            (84, Pressure::None, true),
            (97, Pressure::RefuseRequests, true),
            (98, Pressure::RefuseMemory, false),
            (50, Pressure::None, true),
        ] {
            held.set(bytes);
            assert_eq!(memory::foresee(1024 * 1024).is_ok(), granted, "{bytes}");
            assert!(memory::foresee(100).is_ok(), "an error page, say");
            assert_eq!(meter.pressure(), pressure, "{bytes}");
        }
    }

    #[test]
    fn who_waits_for_pressure_is_woken_by_the_look_that_finds_it() {
        let held = Rc::new(Cell::new(Some(0)));
        let told = Rc::clone(&held);
        let meter = Meter::new(100, MemoryWatermarks::default(), move || told.get());
        let mut pressed = Box::pin(meter.pressed());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(pressed.as_mut().poll(&mut cx).is_pending());
        meter.look();
        held.set(None);
        assert_eq!(meter.look(), Pressure::None, "nobody can tell");
        assert_eq!(woken.times(), 0);
        held.set(Some(85));
        meter.look();
        assert_eq!(woken.times(), 1);
        held.set(Some(0));
        assert_eq!(meter.look(), Pressure::None);
        assert!(pressed.as_mut().poll(&mut cx).is_ready(), "there was");
        assert!(
            Box::pin(meter.pressed()).as_mut().poll(&mut cx).is_pending(),
            "there is no more"
        );
    }
}
