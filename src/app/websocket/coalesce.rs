//! Joins the frames of one send into one buffer that several recipients share.
//!
//! In one turn, most subscribers of a topic receive the same frames. So the coalescer keeps the last batch and the
//! messages it was made of. A batch of the same messages returns that buffer: a pointer comparison instead of a copy.
//! The kernel sends one buffer faster than 40 pieces, and Squall counts one reference instead of 40.

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;

use crate::pubsub::BatchSlice;

/// Largest batch that is copied into one buffer, in bytes; larger batches leave in pieces. 64 KiB: such a copy costs
/// little beside the kernel's work for the send.
const JOIN_BYTES_MAX: usize = 64 * 1024;

/// The frames of one send.
#[derive(Debug, PartialEq, Eq)]
pub enum FrameBatch {
    /// One buffer; empty if the batch was empty.
    Whole(Bytes),
    /// One buffer for each frame.
    Pieces(Vec<Bytes>),
}

/// The last joined batch of each [level](crate::pubsub::Publication::form): one for plain frames, one for each of seven
/// window sizes.
#[derive(Debug, Default)]
pub(super) struct Coalescer(BTreeMap<u8, LastBatch>);

/// A batch of at most [`JOIN_BYTES_MAX`] bytes, and the parts it was joined from.
#[derive(Debug, Default)]
struct LastBatch {
    parts: Vec<BatchPart>,
    whole: Bytes,
}

/// A part of a batch.
#[derive(Debug, Clone)]
enum BatchPart {
    Slice(BatchSlice),
    /// A frame for one recipient only.
    Frame(Bytes),
}

/// A batch under construction.
#[derive(Debug)]
pub(super) struct BatchBuilder<'j> {
    level: u8,
    last: &'j mut LastBatch,
    /// Number of leading parts that equal those of the last batch. They are not cloned.
    same: usize,
    /// All parts, once one differs from the last batch.
    parts: Vec<BatchPart>,
}

impl BatchPart {
    fn frames(&self, level: u8) -> impl Iterator<Item = &Bytes> {
        let (publications, frame) = match self {
            Self::Slice(slice) => (slice.publications(), None),
            Self::Frame(frame) => (&[][..], Some(frame)),
        };
        publications
            .iter()
            .map(move |publication| publication.form(level))
            .chain(frame)
    }
}

impl Coalescer {
    /// Begins a batch for a peer that reads forms up to this level.
    pub(super) fn begin(&mut self, level: u8) -> BatchBuilder<'_> {
        BatchBuilder {
            level,
            last: self.0.entry(level).or_default(),
            same: 0,
            parts: Vec::new(),
        }
    }
}

impl BatchBuilder<'_> {
    pub(super) fn push(&mut self, slice: &BatchSlice) {
        let is_same = |known: &BatchPart| matches!(known, BatchPart::Slice(known) if known.is_same(slice));
        if self.parts.is_empty() && self.last.parts.get(self.same).is_some_and(is_same) {
            self.same += 1;
        } else {
            self.add(BatchPart::Slice(slice.clone()));
        }
    }

    /// Adds a frame for this recipient only.
    pub(super) fn push_frame(&mut self, frame: Bytes) {
        self.add(BatchPart::Frame(frame));
    }

    /// Joins the frames into one buffer, or returns them in pieces above [`JOIN_BYTES_MAX`].
    pub(super) fn finish(mut self) -> FrameBatch {
        if self.parts.is_empty() && self.same == self.last.parts.len() {
            // Two empty batches are equal too.
            return FrameBatch::Whole(self.last.whole.clone());
        }
        self.copy_common_prefix();
        let frames: Vec<&Bytes> = self.parts.iter().flat_map(|part| part.frames(self.level)).collect();
        let bytes = frames.iter().map(|frame| frame.len()).sum();
        let whole = match frames.as_slice() {
            [] => return FrameBatch::Whole(Bytes::new()),
            [frame] => Bytes::clone(frame),
            frames if bytes > JOIN_BYTES_MAX => return FrameBatch::Pieces(frames.iter().copied().cloned().collect()),
            frames => {
                let mut whole = Vec::with_capacity(bytes);
                frames.iter().for_each(|frame| whole.extend_from_slice(frame));
                Bytes::from(whole)
            }
        };
        // For the next recipient of this turn, which usually takes the same parts.
        self.last.parts = self.parts;
        self.last.whole = whole.clone();
        FrameBatch::Whole(whole)
    }

    fn add(&mut self, part: BatchPart) {
        self.copy_common_prefix();
        self.parts.push(part);
    }

    /// Clones the parts that equal the last batch, because the next part differs.
    fn copy_common_prefix(&mut self) {
        let same = mem::take(&mut self.same);
        self.parts.extend(self.last.parts.iter().take(same).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::{
        Alternative, Limits, Pattern, Publication, SubscriberId, TAKE_MESSAGES_MAX, TakeLimits, Topic, TopicRules,
        Topics,
    };

    /// A subscriber of every topic. It turns publications into slices.
    struct Subscribed {
        topics: Topics,
        id: SubscriberId,
    }

    impl Subscribed {
        fn new() -> Self {
            let mut topics = Topics::new(Limits::default(), TopicRules::default());
            let id = topics.join().unwrap();
            topics.subscribe(id, &Pattern::new("**").unwrap()).unwrap();
            Self { topics, id }
        }

        /// Publishes these messages together and takes the resulting slice.
        fn slice(&mut self, publications: &[Publication]) -> BatchSlice {
            let mut slices = self.slices(publications);
            assert_eq!(slices.len(), 1);
            slices.remove(0)
        }

        fn slices(&mut self, publications: &[Publication]) -> Vec<BatchSlice> {
            self.topics.publish_all(publications);
            let most = TakeLimits {
                messages: TAKE_MESSAGES_MAX,
                bytes: usize::MAX,
            };
            let mut slices = Vec::new();
            self.topics.take(self.id, most, |slice| slices.push(slice.clone()));
            slices
        }
    }

    fn publications(count: u8) -> Vec<Publication> {
        let publication = |number| Publication::new(Topic::new("t").unwrap(), vec![number; 3]);
        (0..count).map(publication).collect()
    }

    fn bytes(slices: &[BatchSlice], level: u8) -> Vec<u8> {
        let publications = slices.iter().flat_map(BatchSlice::publications);
        publications
            .flat_map(|publication| publication.form(level).to_vec())
            .collect()
    }

    fn batch(coalescer: &mut Coalescer, level: u8, slices: &[BatchSlice]) -> FrameBatch {
        let mut builder = coalescer.begin(level);
        slices.iter().for_each(|slice| builder.push(slice));
        builder.finish()
    }

    fn whole(coalescer: &mut Coalescer, level: u8, slices: &[BatchSlice]) -> Bytes {
        match batch(coalescer, level, slices) {
            FrameBatch::Whole(whole) => whole,
            FrameBatch::Pieces(pieces) => panic!("{pieces:?}"),
        }
    }

    #[test]
    fn recipients_of_the_same_messages_share_memory() {
        let (mut coalescer, mut subscribed) = (Coalescer::default(), Subscribed::new());
        let slices: Vec<_> = [40, 1, 7].map(|count| subscribed.slice(&publications(count))).into();
        let first = whole(&mut coalescer, 0, &slices);
        assert_eq!(first, bytes(&slices, 0));
        for _ in 0..3 {
            assert_eq!(whole(&mut coalescer, 0, &slices).as_ptr(), first.as_ptr());
        }
        let equal: Vec<_> = [40, 1, 7].map(|count| subscribed.slice(&publications(count))).into();
        let other = whole(&mut coalescer, 0, &equal);
        assert_eq!(other, first);
        assert_ne!(other.as_ptr(), first.as_ptr(), "equal is not the same");
    }

    #[test]
    fn peers_that_read_different_forms_do_not_share() {
        let (mut coalescer, mut subscribed) = (Coalescer::default(), Subscribed::new());
        let mut publications = publications(5);
        publications[2].alternative = Some(Box::new(Alternative {
            level: 10,
            message: Bytes::from_static(b"z"),
        }));
        let slices = [subscribed.slice(&publications)];
        let mut batches = Vec::new();
        for level in [0, 9, 10, 15, 0, 10] {
            let batch = whole(&mut coalescer, level, &slices);
            assert_eq!(batch, bytes(&slices, level), "{level}");
            batches.push(batch);
        }
        assert_eq!(batches[0], batches[1]);
        assert_eq!((batches[0].len(), batches[2].len()), (15, 13));
        assert_eq!(batches[0].as_ptr(), batches[4].as_ptr());
        assert_eq!(batches[2].as_ptr(), batches[5].as_ptr());
    }

    #[test]
    fn a_batch_with_a_common_prefix_is_complete() {
        let mut subscribed = Subscribed::new();
        let all: Vec<_> = (1..=5).map(|count| subscribed.slice(&publications(count))).collect();
        for known in 0..=5 {
            for cut in 0..=5 {
                let mut coalescer = Coalescer::default();
                whole(&mut coalescer, 0, &all[..known]);
                let mut other = all[..cut].to_vec();
                other.push(subscribed.slice(&publications(2)));
                for wanted in [&other[..], &all[..cut], &all[cut..]] {
                    assert_eq!(whole(&mut coalescer, 0, wanted), bytes(wanted, 0), "{known} {cut}");
                }
            }
        }
    }

    #[test]
    fn a_frame_for_one_recipient_keeps_its_place_and_is_not_shared() {
        let (mut coalescer, mut subscribed) = (Coalescer::default(), Subscribed::new());
        let slices = [1, 2].map(|count| subscribed.slice(&publications(count)));
        for own in ["own", "another"] {
            whole(&mut coalescer, 0, &slices);
            let mut builder = coalescer.begin(0);
            builder.push(&slices[0]);
            builder.push_frame(Bytes::from_static(own.as_bytes()));
            builder.push(&slices[1]);
            let expected = [&bytes(&slices[..1], 0), own.as_bytes(), &bytes(&slices[1..], 0)].concat();
            assert_eq!(builder.finish(), FrameBatch::Whole(expected.into()));
        }
        assert_eq!(whole(&mut coalescer, 0, &[]), Bytes::new());
    }

    #[test]
    fn one_frame_is_not_copied_and_a_large_batch_is_not_joined() {
        let (mut coalescer, mut subscribed) = (Coalescer::default(), Subscribed::new());
        let topic = Topic::new("t").unwrap();
        let large = Publication::new(topic.clone(), vec![0; JOIN_BYTES_MAX]);
        let two = [large.clone(), Publication::new(topic, "x")];
        let slices = subscribed.slices(&two);
        assert_eq!(whole(&mut coalescer, 0, &slices[..1]).as_ptr(), large.message.as_ptr());
        let pieces = two.map(|publication| publication.message);
        assert_eq!(batch(&mut coalescer, 0, &slices), FrameBatch::Pieces(pieces.to_vec()));
    }
}
