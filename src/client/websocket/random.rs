//! Random numbers for clients: nonces, and an unpredictable masking key for each frame (RFC 6455 §5.3, §10.3).
//!
//! One system call draws many of them.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

/// Bytes that one system call draws: masking keys of 256 frames.
const DRAWN_BYTES: usize = 1024;

thread_local! {
    /// One pool for each shard.
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; DRAWN_BYTES], used: DRAWN_BYTES }) };
}

/// Drawn bytes; the first `used` are spent.
struct Pool {
    bytes: [u8; DRAWN_BYTES],
    used: usize,
}

/// Draws random bytes, at most [`DRAWN_BYTES`].
///
/// # Errors
///
/// The kernel refuses: a seccomp filter blocks `getrandom`.
pub(in crate::client) fn draw<const COUNT: usize>() -> io::Result<[u8; COUNT]> {
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

/// Draws a masking key. If the kernel has begun to refuse since the nonce was drawn, the key is a hash under a random
/// key of std.
pub(in crate::client) fn mask_key() -> [u8; 4] {
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
    fn drawn_bytes_are_never_reused() {
        let drawn: BTreeSet<[u8; 16]> = (0..DRAWN_BYTES).map(|_| draw().unwrap()).collect();
        assert_eq!(drawn.len(), DRAWN_BYTES);
        let odd: BTreeSet<[u8; 15]> = (0..DRAWN_BYTES).map(|_| draw().unwrap()).collect();
        assert_eq!(odd.len(), DRAWN_BYTES);
    }
}
