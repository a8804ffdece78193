//! The compressors of a shard: lent for one response, and reused.
//!
//! Invariant: the compressors that are lent or idle take at most the bytes of the limit, by [`memory_bytes`]. Beyond it,
//! responses are sent as they are.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use super::compressor::{Compressor, Kind, memory_bytes};
use crate::memory;

/// Most idle compressors. Few responses are compressed at the same time, because most are compressed in one piece.
const IDLE_MAX: usize = 4;

/// The compressors of a shard.
#[derive(Default)]
pub(in crate::app) struct CompressorPool {
    /// The one used last is at the end.
    idle: RefCell<Vec<(Kind, Compressor)>>,
    /// The memory of every compressor, lent or idle.
    bytes: Cell<usize>,
}

/// A compressor lent for one response.
pub(super) struct Lease {
    compressor: Option<Compressor>,
    kind: Kind,
    pool: Rc<CompressorPool>,
}

impl CompressorPool {
    /// Lends a compressor for content of this length, if it is known; `None` beyond `bytes_max` and if memory is short.
    pub(super) fn lend(self: &Rc<Self>, kind: Kind, length: Option<usize>, bytes_max: usize) -> Option<Lease> {
        let idle = {
            let mut idle = self.idle.borrow_mut();
            let place = idle.iter().rposition(|(known, _)| *known == kind);
            place.map(|place| idle.remove(place).1)
        };
        let mut compressor = match idle {
            Some(compressor) => compressor,
            None => self.make(kind, bytes_max)?,
        };
        if !compressor.begin(length) {
            self.forget(kind);
            return None;
        }
        Some(Lease {
            compressor: Some(compressor),
            kind,
            pool: Rc::clone(self),
        })
    }

    fn make(&self, kind: Kind, bytes_max: usize) -> Option<Compressor> {
        let wanted = memory_bytes(kind);
        while self.bytes.get().saturating_add(wanted) > bytes_max {
            let oldest = {
                let mut idle = self.idle.borrow_mut();
                if idle.is_empty() {
                    return None;
                }
                idle.remove(0)
            };
            self.forget(oldest.0);
        }
        // The libraries allocate infallibly, so the headroom is checked before.
        let compressor = memory::has_headroom(wanted).then(|| Compressor::new(kind))??;
        self.bytes.set(self.bytes.get() + wanted);
        Some(compressor)
    }

    /// Takes a compressor back that has finished its content.
    fn take_back(&self, kind: Kind, compressor: Compressor) {
        let mut idle = self.idle.borrow_mut();
        idle.push((kind, compressor));
        if idle.len() > IDLE_MAX {
            let (kind, _) = idle.remove(0);
            self.forget(kind);
        }
    }

    /// Counts a compressor that is dropped.
    fn forget(&self, kind: Kind) {
        self.bytes.set(self.bytes.get().saturating_sub(memory_bytes(kind)));
    }
}

impl Lease {
    pub(super) fn compressor(&mut self) -> Option<&mut Compressor> {
        self.compressor.as_mut()
    }

    /// Returns the compressor, which has written the end of its content.
    pub(super) fn give_back(mut self) {
        if let Some(compressor) = self.compressor.take_if(|compressor| compressor.is_reusable()) {
            self.pool.take_back(self.kind, compressor);
        }
    }
}

impl Drop for Lease {
    /// Counts a compressor out that was not given back.
    fn drop(&mut self) {
        if self.compressor.is_some() {
            self.pool.forget(self.kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::response::accept_encoding::ContentCoding;

    const GZIP: Kind = Kind {
        coding: ContentCoding::Gzip,
        level: 1,
    };

    #[test]
    fn compressors_are_reused_and_bounded() {
        let pool = Rc::new(CompressorPool::default());
        let bytes = memory_bytes(GZIP);
        let (first, second) = (pool.lend(GZIP, None, 2 * bytes), pool.lend(GZIP, None, 2 * bytes));
        assert!(first.is_some() && second.is_some());
        assert!(pool.lend(GZIP, None, 2 * bytes).is_none(), "two are lent");
        first.unwrap().give_back();
        assert_eq!(pool.idle.borrow().len(), 1);
        // Another level evicts the idle one.
        let other = Kind { level: 9, ..GZIP };
        let third = pool.lend(other, None, 2 * bytes);
        assert!(third.is_some());
        assert_eq!((pool.idle.borrow().len(), pool.bytes.get()), (0, 2 * bytes));
        // A compressor that stopped half-way is dropped.
        drop((second, third));
        assert_eq!((pool.idle.borrow().len(), pool.bytes.get()), (0, 0));
        assert!(pool.lend(GZIP, None, bytes - 1).is_none());
    }

    #[test]
    fn few_compressors_stay_idle() {
        let pool = Rc::new(CompressorPool::default());
        let leases: Vec<_> = (0..2 * IDLE_MAX)
            .map(|_| pool.lend(GZIP, None, usize::MAX).unwrap())
            .collect();
        leases.into_iter().for_each(Lease::give_back);
        assert_eq!(pool.idle.borrow().len(), IDLE_MAX);
        assert_eq!(pool.bytes.get(), IDLE_MAX * memory_bytes(GZIP));
    }
}
