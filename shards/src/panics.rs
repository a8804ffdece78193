//! Catches panics so that each ends only the code that threw it, whatever value it carries.
//!
//! A panic carries a value of the application (`panic_any`). Dropping that value runs application code, which may panic
//! too, and outside a guard that second panic would end the shard. So a caught value is read and dropped only here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many values are dropped, each thrown by the drop of the one before, until the next is leaked. 4: one is a
/// mistake in a destructor, a few more its repetition in nested values. A longer chain may be endless, and each level
/// costs an unwinding.
const DROPPED_LEVELS_MAX: usize = 4;

/// Runs code that may panic and catches the panic.
///
/// # Errors
///
/// The code panicked; the error is the panic's text, if it has one.
pub(crate) fn contain<T>(run: impl FnOnce() -> T) -> Result<T, Option<String>> {
    catch_unwind(AssertUnwindSafe(run)).map_err(let_go)
}

/// Drops a value whose drop may panic, outside any task; `what` names it in the log.
pub(crate) fn drop_contained<T>(value: T, what: &str) {
    if let Err(text) = contain(|| drop(value)) {
        let text = text.as_deref().unwrap_or("no message");
        tracing::error!("dropping {what} panicked: {text}");
    }
}

/// Drops the value of a panic and returns its text, if it is text.
fn let_go(thrown: Box<dyn Any + Send>) -> Option<String> {
    let text = thrown.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| thrown.downcast_ref::<String>().cloned());
    let mut thrown = thrown;
    for _ in 0..DROPPED_LEVELS_MAX {
        match catch_unwind(AssertUnwindSafe(|| drop(thrown))) {
            Ok(()) => return text,
            Err(next) => thrown = next,
        }
    }
    tracing::error!("leaked the value of a panic: {DROPPED_LEVELS_MAX} drops in a row panicked");
    #[expect(
        clippy::mem_forget,
        reason = "dropping it may panic endlessly, and a panic here would end the shard"
    )]
    std::mem::forget(thrown);
    text
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;
    use std::rc::Rc;

    use super::{DROPPED_LEVELS_MAX, contain};

    /// Counts its drops; each drop panics with another one.
    struct Endless(std::sync::Arc<std::sync::atomic::AtomicUsize>);

    impl Drop for Endless {
        fn drop(&mut self) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            panic_any(Self(std::sync::Arc::clone(&self.0)));
        }
    }

    #[test]
    fn an_endless_chain_of_panics_is_dropped_up_to_the_bound_and_then_leaked() {
        let drops = std::sync::Arc::default();
        let endless = Endless(std::sync::Arc::clone(&drops));
        assert_eq!(contain(|| panic_any(endless)), Err::<(), _>(None));
        assert_eq!(drops.load(std::sync::atomic::Ordering::Relaxed), DROPPED_LEVELS_MAX);
    }

    #[test]
    fn text_is_returned_and_a_value_is_dropped() {
        assert_eq!(contain(|| panic!("plain")), Err::<(), _>(Some("plain".to_owned())));
        assert_eq!(
            contain(|| panic!("number {}", 7)),
            Err::<(), _>(Some("number 7".to_owned()))
        );
        let held = Rc::new(());
        let output = contain(|| Rc::clone(&held)).unwrap();
        assert_eq!(Rc::strong_count(&output), 2);
    }
}
