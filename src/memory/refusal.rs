//! A refusal for tests: one of the library's requests for memory fails, however much is free.

use std::sync::atomic::{AtomicI64, Ordering};

/// How many requests succeed before the refused one; negative when none is pending.
static GRANTED_BEFORE: AtomicI64 = AtomicI64::new(-1);

/// One refused request for memory, counted over all threads.
///
/// It counts the requests of buffers that a peer can grow. At most one refusal can be pending in a process.
///
/// ```
/// use squall::prelude::*;
/// use squall::testing::{MemoryRefusal, TestClient};
///
/// let client = TestClient::new(|| Application::new().post("/echo", async |cx: &mut Context| cx.body().await))?;
/// let refusal = MemoryRefusal::after(0);
/// // The server answers 503, or closes a connection that it has no memory for.
/// let refused = client.post("/echo").body("hello").send();
/// assert!(!refused.is_ok_and(|response| response.status() == 200));
/// assert!(refusal.has_come());
/// drop(refusal);
/// assert_eq!(client.post("/echo").body("hello").send()?.text(), "hello");
/// # Ok::<(), squall::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the refusal is called off when it is dropped"]
pub struct MemoryRefusal(());

impl MemoryRefusal {
    /// Refuses one request, after `granted` others have succeeded.
    pub fn after(granted: u32) -> Self {
        GRANTED_BEFORE.store(granted.into(), Ordering::SeqCst);
        Self(())
    }

    /// Returns whether the refusal has happened.
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

/// Whether this request is the refused one.
pub(super) fn is_due() -> bool {
    GRANTED_BEFORE.fetch_sub(1, Ordering::SeqCst) == 0
}
