//! Panics that end what threw them and nothing else, whatever the value they carry.
//!
//! A panic carries a value of the application's own (`panic_any`), and dropping it runs code of the application, which may panic as well.
//! Outside a guard that second panic would end the shard, so a value that was caught is read and dropped here, and nowhere else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many values are dropped, each thrown by the drop of the one before, until the next is leaked. One is a mistake in a destructor, and a
/// few more its repetition in what it holds; a chain that is longer may have no end, and each level costs its shard the time of an unwinding.
const DROPPED_LEVELS_MAX: usize = 4;

/// Runs code that may panic.
///
/// # Errors
///
/// It panicked: the text it was given, if it was given text.
pub(crate) fn contain<T>(run: impl FnOnce() -> T) -> Result<T, Option<String>> {
    catch_unwind(AssertUnwindSafe(run)).map_err(let_go)
}

/// Drops a value whose drop may panic, outside of any task. `what` it was goes to the log.
pub(crate) fn drop_contained<T>(value: T, what: &str) {
    if let Err(text) = contain(|| drop(value)) {
        let text = text.as_deref().unwrap_or("no message");
        tracing::error!("dropping {what} panicked: {text}");
    }
}

/// The text that a panic was given, if it was given text. What it carried is dropped.
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
    tracing::error!("the value of a panic is leaked: each of {DROPPED_LEVELS_MAX} drops panicked with another value");
    #[expect(
        clippy::mem_forget,
        reason = "dropping it may panic without end, and a panic here would end the shard"
    )]
    std::mem::forget(thrown);
    text
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;
    use std::rc::Rc;

    use super::{DROPPED_LEVELS_MAX, contain};

    /// Counts its drops, and panics with another in each.
    struct Endless(std::sync::Arc<std::sync::atomic::AtomicUsize>);

    impl Drop for Endless {
        fn drop(&mut self) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            panic_any(Self(std::sync::Arc::clone(&self.0)));
        }
    }

    #[test]
    fn a_chain_of_panics_without_end_is_followed_to_the_bound_and_leaked() {
        let drops = std::sync::Arc::default();
        let endless = Endless(std::sync::Arc::clone(&drops));
        assert_eq!(contain(|| panic_any(endless)), Err::<(), _>(None));
        assert_eq!(drops.load(std::sync::atomic::Ordering::Relaxed), DROPPED_LEVELS_MAX);
    }

    #[test]
    fn text_is_told_and_a_value_is_dropped() {
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
