//! An allocator that refuses, for tests: one request for memory out of all that the library makes fails, whatever there is.

use std::sync::atomic::{AtomicI64, Ordering};

/// How many requests are granted before the refused one; below zero there is none to come.
static GRANTED_BEFORE: AtomicI64 = AtomicI64::new(-1);

/// One refused request for memory, of all that the library makes on any thread for what peers can make grow. Only one can wait at a time.
///
/// ```
/// use squall::prelude::*;
/// use squall::testing::{MemoryRefusal, TestClient};
///
/// let client = TestClient::new(Application::new().post("/echo", async |cx: &mut Context| cx.body().await))?;
/// let refusal = MemoryRefusal::after(0);
/// assert_eq!(client.post("/echo").body("hello").send()?.status(), 503);
/// assert!(refusal.has_come());
/// drop(refusal);
/// assert_eq!(client.post("/echo").body("hello").send()?.text(), "hello");
/// # Ok::<(), squall::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the refusal is called off when it is dropped"]
pub struct MemoryRefusal(());

impl MemoryRefusal {
    /// Refuses the next request but so many.
    pub fn after(granted: u32) -> Self {
        GRANTED_BEFORE.store(granted.into(), Ordering::SeqCst);
        Self(())
    }

    /// Whether it has been refused.
    #[must_use]
    pub fn has_come(&self) -> bool {
        GRANTED_BEFORE.load(Ordering::SeqCst) < 0
    }
}

impl Drop for MemoryRefusal {
    fn drop(&mut self) {
        GRANTED_BEFORE.store(-1, Ordering::SeqCst);
    }
}

/// Whether this request is the one.
pub(super) fn is_due() -> bool {
    GRANTED_BEFORE.fetch_sub(1, Ordering::SeqCst) == 0
}
