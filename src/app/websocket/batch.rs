//! Frames that leave together, joined into one piece of memory that all who are sent the same frames share.
//!
//! In a turn, the subscribers of a topic are sent the same frames as a rule. So the last batch is kept with the frames it was joined from, and a
//! batch of the very same frames is that one again: a comparison of pointers in the place of a copy. One piece costs the kernel less
//! than 40, and Squall one count of references instead of 40.

use std::mem;

use bytes::Bytes;

/// Up to how many bytes frames are joined; larger batches leave in pieces. 64 KiB: what is copied then is small beside what the kernel does
/// with it.
const JOIN_BYTES_MAX: usize = 64 * 1024;

/// Frames to be sent at once.
#[derive(Debug, PartialEq, Eq)]
pub enum Batch {
    /// In one piece; without a byte if there was nothing.
    Whole(Bytes),
    /// In several.
    Pieces(Vec<Bytes>),
}

/// The last batch that was joined: at most [`JOIN_BYTES_MAX`], and the frames it was made of.
#[derive(Debug, Default)]
pub(super) struct Joined {
    frames: Vec<Bytes>,
    whole: Bytes,
}

/// A batch that is being gathered.
#[derive(Debug)]
pub(super) struct Gathering<'j> {
    last: &'j mut Joined,
    /// So many frames are those of the last batch, and were not even cloned.
    same: usize,
    /// All of them, once one is another.
    frames: Vec<Bytes>,
}

impl Joined {
    /// Begins a batch.
    pub(super) fn gather(&mut self) -> Gathering<'_> {
        Gathering {
            last: self,
            same: 0,
            frames: Vec::new(),
        }
    }
}

impl Gathering<'_> {
    /// Adds a frame.
    pub(super) fn push(&mut self, frame: &Bytes) {
        let is_same = |known: &Bytes| known.as_ptr() == frame.as_ptr() && known.len() == frame.len();
        if self.frames.is_empty() && self.last.frames.get(self.same).is_some_and(is_same) {
            self.same += 1;
        } else {
            self.part();
            self.frames.push(frame.clone());
        }
    }

    /// All frames in as few pieces as is worth it.
    pub(super) fn finish(mut self) -> Batch {
        if self.frames.is_empty() && self.same > 0 && self.same == self.last.frames.len() {
            return Batch::Whole(self.last.whole.clone());
        }
        self.part();
        let bytes = self.frames.iter().map(Bytes::len).sum();
        if self.frames.len() > 1 && bytes > JOIN_BYTES_MAX {
            return Batch::Pieces(self.frames);
        }
        let whole = match self.frames.as_slice() {
            [] => return Batch::Whole(Bytes::new()),
            [frame] => frame.clone(),
            frames => {
                let mut whole = Vec::with_capacity(bytes);
                frames.iter().for_each(|frame| whole.extend_from_slice(frame));
                Bytes::from(whole)
            }
        };
        self.last.frames = self.frames;
        self.last.whole = whole.clone();
        Batch::Whole(whole)
    }

    /// Goes ways of its own from here.
    fn part(&mut self) {
        let same = mem::take(&mut self.same);
        self.frames.extend(self.last.frames.iter().take(same).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(count: u8) -> Vec<Bytes> {
        (0..count).map(|number| Bytes::from(vec![number; 3])).collect()
    }

    fn batch(joined: &mut Joined, frames: &[Bytes]) -> Batch {
        let mut gathering = joined.gather();
        frames.iter().for_each(|frame| gathering.push(frame));
        gathering.finish()
    }

    fn whole(joined: &mut Joined, frames: &[Bytes]) -> Bytes {
        match batch(joined, frames) {
            Batch::Whole(whole) => whole,
            Batch::Pieces(pieces) => panic!("{pieces:?}"),
        }
    }

    #[test]
    fn whoever_is_sent_the_same_frames_shares_their_memory() {
        let mut joined = Joined::default();
        let frames = frames(40);
        let first = whole(&mut joined, &frames);
        assert_eq!(first, frames.concat());
        for _ in 0..3 {
            assert_eq!(whole(&mut joined, &frames).as_ptr(), first.as_ptr());
        }
        let equal: Vec<_> = frames.iter().map(|frame| Bytes::copy_from_slice(frame)).collect();
        assert_ne!(
            whole(&mut joined, &equal).as_ptr(),
            first.as_ptr(),
            "equal is not the same"
        );
    }

    #[test]
    fn a_batch_that_is_another_from_some_frame_on_is_whole_too() {
        let all = frames(5);
        for known in 0..=5 {
            for cut in 0..=5 {
                let mut joined = Joined::default();
                whole(&mut joined, &all[..known]);
                let mut other = all[..cut].to_vec();
                other.push(Bytes::from_static(b"other"));
                for wanted in [&other[..], &all[..cut], &all[cut..]] {
                    assert_eq!(whole(&mut joined, wanted), wanted.concat(), "{known} {cut}");
                }
            }
        }
    }

    #[test]
    fn one_frame_is_not_copied_and_a_large_batch_is_not_joined() {
        let mut joined = Joined::default();
        let large = Bytes::from(vec![0; JOIN_BYTES_MAX]);
        assert_eq!(
            whole(&mut joined, std::slice::from_ref(&large)).as_ptr(),
            large.as_ptr()
        );
        let two = [large, Bytes::from_static(b"x")];
        assert_eq!(batch(&mut joined, &two), Batch::Pieces(two.to_vec()));
    }
}
