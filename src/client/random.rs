//! Random numbers for clients: nonces, and a masking key for each frame that nobody can foresee (RFC 6455 §5.3, §10.3). They are drawn from the
//! kernel many at a time.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

/// How much is drawn at once: keys for 256 frames.
const DRAWN_BYTES: usize = 1024;

thread_local! {
    /// The shard's.
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; DRAWN_BYTES], used: DRAWN_BYTES }) };
}

/// What was drawn, and how much of it is used up.
struct Pool {
    bytes: [u8; DRAWN_BYTES],
    used: usize,
}

/// Draws random bytes, a few.
///
/// # Errors
///
/// The kernel has none: a filter of system calls keeps them from this process.
pub(super) fn draw<const COUNT: usize>() -> io::Result<[u8; COUNT]> {
    POOL.with_borrow_mut(|pool| {
        if pool.bytes.len() - pool.used < COUNT {
            getrandom::fill(&mut pool.bytes)?;
            pool.used = 0;
        }
        let unused = pool.bytes.get(pool.used..).unwrap_or_default();
        let drawn = unused.first_chunk::<COUNT>().copied();
        pool.used += COUNT;
        drawn.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    })
}

/// Draws a masking key. Where the kernel has begun to refuse since the nonce was drawn, it is a hash under a key that std has drawn before.
pub(super) fn mask_key() -> [u8; 4] {
    draw().unwrap_or_else(|_| {
        let [a, b, c, d, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
        [a, b, c, d]
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{DRAWN_BYTES, draw};

    #[test]
    fn nothing_is_drawn_twice() {
        let drawn: BTreeSet<[u8; 16]> = (0..DRAWN_BYTES).map(|_| draw().unwrap()).collect();
        assert_eq!(drawn.len(), DRAWN_BYTES);
        let odd: BTreeSet<[u8; 15]> = (0..DRAWN_BYTES).map(|_| draw().unwrap()).collect();
        assert_eq!(odd.len(), DRAWN_BYTES);
    }
}
