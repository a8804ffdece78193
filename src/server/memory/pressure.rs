//! What a shard does while the process is close to its memory limit.
//!
//! Connections read the [`Pressure`] themselves and save memory: they close earlier when idle, close after a response,
//! or answer 503. The accept loop stops accepting. This file measures memory. Without pressure a shard spends
//! nothing here.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use squall_shards::memory::{
    Balance, Ledger, Trimmer, available_bytes, give_back_free_if_quick, least_bytes, shards_max,
};

use super::watermarks::{MemoryWatermarks, Pressure};
use crate::error::{Error, Result};
use crate::memory;
use crate::server::config::ServerConfig;

/// The divisor of the memory that topic histories, and subscribers' queues, may each hold: a quarter.
///
/// Connections then find memory beside both, whatever [`ServerConfig`] allows the two.
const TOPICS_DIVISOR: u64 = 4;

/// The memory that all shards and publishers of a server hold, and may hold.
#[derive(Debug)]
pub(in crate::server) struct Budget {
    ledger: Ledger,
    watermarks: MemoryWatermarks,
    trimmer: Trimmer,
}

impl Budget {
    /// Opens the kernel's accounts for this number of shards; `None` if the kernel offers none.
    ///
    /// # Errors
    ///
    /// The process may hold too little memory to serve, or the kernel refuses a thread.
    pub(in crate::server) fn open(config: &ServerConfig, shards: NonZeroUsize) -> Result<Option<Arc<Self>>> {
        if let Some(available) = available(config) {
            let least = least_bytes(shards);
            if available < least {
                return Err(insufficient_memory(available, shards));
            }
        }
        let ledger = Ledger::open(config.own.max_memory_bytes, shards).inspect_err(
            |error| tracing::warn!(%error, "could not read how much memory the process holds; the memory watermarks are off"),
        );
        let Ok(ledger) = ledger else { return Ok(None) };
        let trimmer = Trimmer::start().map_err(|error| {
            Error::new(format!(
                "could not start the thread that returns free memory: {error}; raise `ulimit -u`, `ulimit -v` or the pids limit of the \
                 control group"
            ))
        })?;
        Ok(Some(Arc::new(Self {
            ledger,
            watermarks: config.own.memory_watermarks,
            trimmer,
        })))
    }

    /// Measures the account with the largest used share, where `reserved` bytes are reserved.
    fn check(&self, reserved: usize) -> (Option<Balance>, Pressure) {
        let balance = self.ledger.check(reserved as u64);
        let pressure = balance.map_or(Pressure::None, |Balance { held, limit }| {
            self.watermarks.pressure(held, limit)
        });
        (balance, pressure)
    }

    /// Returns whether a thread outside the shards may take this number of bytes.
    pub(in crate::server) fn allows(&self, bytes: usize) -> bool {
        let reserved = memory::reserved_bytes().saturating_add(bytes);
        self.check(reserved).1 < Pressure::RefuseMemory
    }
}

/// Returns how many bytes a server may hold; `None` if neither the settings nor the kernel limit it.
fn available(config: &ServerConfig) -> Option<u64> {
    config.own.max_memory_bytes.into_iter().chain(available_bytes()).min()
}

/// Returns the most shards that a server without a `shards` setting starts.
pub(in crate::server) fn default_shards_max(config: &ServerConfig) -> NonZeroUsize {
    available(config).map_or(NonZeroUsize::MAX, shards_max)
}

/// Returns the error of a start with too little memory.
fn insufficient_memory(available: u64, shards: NonZeroUsize) -> Error {
    let (least, one) = (least_bytes(shards), least_bytes(NonZeroUsize::MIN));
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    let (need, advice) = match shards.get() {
        1 => ("one shard needs".to_owned(), String::new()),
        count => (
            format!("{count} shards need"),
            format!(", or use fewer shards (--shards; one needs {} MiB)", mebibytes(one)),
        ),
    };
    Error::new(format!(
        "could not start the server: {need} at least {} MiB of memory, but the process may hold {} MiB ({available} bytes); \
         raise the memory limit of the control group or --max-memory-bytes{advice}",
        mebibytes(least),
        mebibytes(available),
    ))
}

/// Limits what topics may hold on each shard to their part of the available memory.
pub(in crate::server) fn bound_topics(config: &mut ServerConfig, shards: NonZeroUsize) {
    let Some(available) = available(config) else { return };
    let part = available / TOPICS_DIVISOR / shards.get() as u64;
    let part = usize::try_from(part).unwrap_or(usize::MAX);
    config.pubsub.max_shard_queue_bytes = config.pubsub.max_shard_queue_bytes.min(part);
    config.histories.max_history_bytes = config.histories.max_history_bytes.min(part);
}

/// One shard's measurements of its process's memory.
pub(in crate::server) struct Meter {
    /// Returns the memory held and the pressure, where this number of bytes is reserved.
    measure: Box<dyn Fn(usize) -> (Option<Balance>, Pressure)>,
    balance: Cell<Option<Balance>>,
    pressure: Cell<Pressure>,
    /// A measurement has found pressure since [`under_pressure`](Self::under_pressure) was last ready.
    was_under_pressure: Cell<bool>,
    /// The task in [`under_pressure`](Self::under_pressure).
    waker: Cell<Option<Waker>>,
    trimmer: Option<Trimmer>,
}

impl Meter {
    pub(in crate::server) fn new(measure: impl Fn(usize) -> (Option<Balance>, Pressure) + 'static) -> Self {
        Self {
            measure: Box::new(measure),
            balance: Cell::new(None),
            pressure: Cell::new(Pressure::None),
            was_under_pressure: Cell::new(false),
            waker: Cell::new(None),
            trimmer: None,
        }
    }

    /// Makes every memory check of this thread measure here too, and refuse memory at the last watermark.
    pub(in crate::server) fn install(self) -> Rc<Self> {
        let meter = Rc::new(self);
        let checked = Rc::clone(&meter);
        memory::add_check(move |missing| checked.allows(missing));
        meter
    }

    /// Makes the allocator return its free memory soon, on another thread.
    pub(in crate::server) fn give_back_free(&self) {
        if let Some(trimmer) = &self.trimmer {
            trimmer.give_back();
        }
    }

    /// Returns the memory held and its limit at the last measurement.
    pub(in crate::server) fn balance(&self) -> Option<Balance> {
        self.balance.get()
    }

    /// Returns the pressure at the last measurement.
    pub(in crate::server) fn pressure(&self) -> Pressure {
        self.pressure.get()
    }

    /// Measures, and returns the pressure.
    pub(in crate::server) fn check(&self) -> Pressure {
        self.check_with(memory::reserved_bytes())
    }

    /// Measures, and returns whether `missing` bytes, which are reserved already, may be taken.
    ///
    /// The pressure that connections see leaves `missing` out: a refused buffer causes no measure against other
    /// connections.
    fn allows(&self, missing: usize) -> bool {
        let is_allowed = || {
            let reserved = memory::reserved_bytes();
            let pressure = self.check_with(reserved.saturating_sub(missing));
            pressure < Pressure::RefuseMemory && (missing == 0 || (self.measure)(reserved).1 < Pressure::RefuseMemory)
        };
        // Buffers refused a moment ago are freed, but the allocator may still hold their pages.
        is_allowed() || give_back_free_if_quick() && is_allowed()
    }

    fn check_with(&self, reserved: usize) -> Pressure {
        let (balance, pressure) = (self.measure)(reserved);
        self.balance.set(balance);
        self.pressure.set(pressure);
        if pressure > Pressure::None {
            self.was_under_pressure.set(true);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        pressure
    }

    /// Waits until a measurement finds pressure, even if the next one finds none again.
    ///
    /// A connection may have acted on the first one. One task can wait at a time.
    ///
    /// Cancel safety: a dropped call loses nothing; call it again.
    pub(in crate::server) async fn under_pressure(&self) {
        poll_fn(|cx| {
            if self.was_under_pressure.take() {
                return Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Meter")
            .field("balance", &self.balance)
            .field("pressure", &self.pressure)
            .finish_non_exhaustive()
    }
}

/// Creates the meter of the calling shard.
pub(in crate::server) fn meter(budget: &Arc<Budget>) -> Rc<Meter> {
    let measured = Arc::clone(budget);
    let meter = Meter::new(move |reserved| measured.check(reserved));
    let trimmer = Some(budget.trimmer.clone());
    Meter { trimmer, ..meter }.install()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;
    use crate::server::config::OwnSettings;

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

    /// Returns a meter that allows 100 bytes.
    fn meter(held: &Rc<Cell<Option<u64>>>) -> Meter {
        let held = Rc::clone(held);
        Meter::new(move |reserved| match held.get() {
            Some(held) => {
                let held = held + reserved as u64 / SCALE;
                let pressure = MemoryWatermarks::default().pressure(held, 100);
                (Some(Balance { held, limit: 100 }), pressure)
            }
            None => (None, Pressure::None),
        })
    }

    /// How many reserved bytes weigh as much as one held byte: one hundredth of the limit.
    const SCALE: u64 = 1024 * 1024;

    #[test]
    fn growth_is_refused_only_above_the_last_watermark() {
        let held = Rc::new(Cell::new(Some(0)));
        let meter = meter(&held).install();
        for (bytes, pressure, granted) in [
            (84, Pressure::None, true),
            (96, Pressure::RefuseRequests, true),
            (98, Pressure::RefuseMemory, false),
            (50, Pressure::None, true),
        ] {
            held.set(Some(bytes));
            assert_eq!(memory::reserve_ahead(1024 * 1024).is_ok(), granted, "{bytes}");
            assert!(
                memory::make_room_to_answer(&mut Vec::new(), 100).is_ok(),
                "an answer such as an error page still fits"
            );
            assert_eq!(meter.pressure(), pressure, "{bytes}");
        }
    }

    #[test]
    fn growth_that_would_reach_the_last_watermark_is_refused_without_pressure_on_others() {
        let held = Rc::new(Cell::new(Some(50)));
        let meter = meter(&held).install();
        let mut buffer = Vec::new();
        assert!(memory::make_room(&mut buffer, 60 << 20).is_err());
        assert_eq!(meter.pressure(), Pressure::None);
        assert!(!memory::has_headroom(60 << 20));
        assert!(memory::has_headroom(40 << 20));
        memory::make_room(&mut buffer, 20 << 20).unwrap();
        assert_eq!(meter.pressure(), Pressure::None);
        // Bytes reserved ahead count for every thread until this one checks again.
        memory::reserve_ahead(40 << 20).unwrap();
        assert_eq!(meter.check(), Pressure::ReapIdle);
        assert!(memory::has_headroom(0));
        assert_eq!(meter.check(), Pressure::None);
    }

    #[test]
    fn a_refused_start_names_the_available_and_the_needed_memory() {
        let two = NonZeroUsize::new(2).unwrap();
        let config = |bytes| ServerConfig {
            own: OwnSettings::default().max_memory_bytes(bytes),
            ..ServerConfig::default()
        };
        let least = least_bytes(two);
        assert!(Budget::open(&config(least), two).unwrap().is_some());
        let refused = Budget::open(&config(least - 1), two).unwrap_err().to_string();
        for part in [
            (least - 1).to_string(),
            format!("2 shards need at least {} MiB", least >> 20),
        ] {
            assert!(refused.contains(&part), "{refused}");
        }
        assert_eq!(default_shards_max(&config(least)), two);
        assert_eq!(default_shards_max(&config(least - 1)), NonZeroUsize::MIN);
    }

    #[test]
    fn topics_hold_at_most_their_part_of_the_memory() {
        let mut config = ServerConfig {
            own: OwnSettings::default().max_memory_bytes(64 << 20),
            ..ServerConfig::default()
        };
        bound_topics(&mut config, NonZeroUsize::new(2).unwrap());
        assert_eq!(config.pubsub.max_shard_queue_bytes, 8 << 20);
        assert_eq!(config.histories.max_history_bytes, 8 << 20);
        config.histories.max_history_bytes = 1;
        bound_topics(&mut config, NonZeroUsize::MIN);
        assert_eq!(config.histories.max_history_bytes, 1);
    }

    #[test]
    fn a_task_that_waits_for_pressure_is_woken_by_the_measurement_that_finds_it() {
        let held = Rc::new(Cell::new(Some(0)));
        let meter = meter(&held);
        let mut under_pressure = Box::pin(meter.under_pressure());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(under_pressure.as_mut().poll(&mut cx).is_pending());
        meter.check();
        held.set(None);
        assert_eq!(meter.check(), Pressure::None, "the kernel reports nothing");
        assert_eq!(woken.times(), 0);
        held.set(Some(85));
        meter.check();
        assert_eq!(woken.times(), 1);
        held.set(Some(0));
        assert_eq!(meter.check(), Pressure::None);
        assert!(
            under_pressure.as_mut().poll(&mut cx).is_ready(),
            "an earlier measurement found pressure"
        );
        assert!(
            Box::pin(meter.under_pressure()).as_mut().poll(&mut cx).is_pending(),
            "the pressure was reported once"
        );
    }
}
