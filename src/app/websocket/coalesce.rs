//! Joins the frames of one send into one buffer that several recipients share.
//!
//! In one turn, most subscribers of a topic receive the same frames. So the coalescer keeps the buffer of the last send
//! and the batches it was made of. A send of the same batches returns that buffer: a pointer comparison instead of a copy.
//! The kernel sends one buffer faster than 40 pieces, and Squall counts one reference instead of 40.

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;

use crate::pubsub::Batch;

/// Largest send that is copied into one buffer, in bytes; larger ones leave in pieces. 64 KiB: such a copy costs
/// little beside the kernel's work for the send.
const JOIN_BYTES_MAX: usize = 64 * 1024;

/// The last joined send of each [level](crate::pubsub::Publication::form): one for plain frames, one for each of seven
/// window sizes.
#[derive(Debug, Default)]
pub(super) struct Coalescer(BTreeMap<u8, LastSend>);

/// A send of at most [`JOIN_BYTES_MAX`] bytes, and the parts it was joined from.
#[derive(Debug, Default)]
struct LastSend {
    parts: Vec<SendPart>,
    whole: Bytes,
}

/// A part of a send.
#[derive(Debug, Clone)]
enum SendPart {
    Batch(Batch),
    /// A frame for one recipient only.
    Frame(Bytes),
}

/// A send under construction.
#[derive(Debug)]
pub(super) struct SendBuilder<'j> {
    level: u8,
    last: &'j mut LastSend,
    /// Number of leading parts that equal those of the last send. They are not cloned.
    same: usize,
    /// All parts, once one differs from the last send.
    parts: Vec<SendPart>,
}

impl SendPart {
    fn frames(&self, level: u8) -> impl Iterator<Item = &Bytes> {
        let (publications, frame) = match self {
            Self::Batch(batch) => (batch.publications(), None),
            Self::Frame(frame) => (&[][..], Some(frame)),
        };
        publications
            .iter()
            .map(move |publication| publication.form(level))
            .chain(frame)
    }
}

impl Coalescer {
    /// Begins a send to a peer that reads forms up to this level.
    pub(super) fn begin(&mut self, level: u8) -> SendBuilder<'_> {
        SendBuilder {
            level,
            last: self.0.entry(level).or_default(),
            same: 0,
            parts: Vec::new(),
        }
    }
}

impl SendBuilder<'_> {
    pub(super) fn push(&mut self, batch: &Batch) {
        let is_same = |known: &SendPart| matches!(known, SendPart::Batch(known) if known.is_same(batch));
        if self.parts.is_empty() && self.last.parts.get(self.same).is_some_and(is_same) {
            self.same += 1;
        } else {
            self.add(SendPart::Batch(batch.clone()));
        }
    }

    /// Adds a frame for this recipient only.
    pub(super) fn push_frame(&mut self, frame: Bytes) {
        self.add(SendPart::Frame(frame));
    }

    /// Joins the frames into one buffer, or returns them in pieces above [`JOIN_BYTES_MAX`]; `None` without frames.
    pub(super) fn finish<B: From<Bytes> + From<Vec<Bytes>>>(mut self) -> Option<B> {
        if self.parts.is_empty() && self.same == self.last.parts.len() {
            // Two sends without parts are equal too.
            let whole = self.last.whole.clone();
            return (!whole.is_empty()).then(|| B::from(whole));
        }
        self.copy_common_prefix();
        let frames: Vec<&Bytes> = self.parts.iter().flat_map(|part| part.frames(self.level)).collect();
        let bytes = frames.iter().map(|frame| frame.len()).sum();
        let whole = match frames.as_slice() {
            [] => return None,
            [frame] => Bytes::clone(frame),
            frames if bytes > JOIN_BYTES_MAX => {
                return Some(frames.iter().copied().cloned().collect::<Vec<_>>().into());
            }
            frames => {
                let mut whole = Vec::with_capacity(bytes);
                frames.iter().for_each(|frame| whole.extend_from_slice(frame));
                Bytes::from(whole)
            }
        };
        // For the next recipient of this turn, which usually takes the same parts.
        self.last.parts = self.parts;
        self.last.whole = whole.clone();
        Some(B::from(whole))
    }

    fn add(&mut self, part: SendPart) {
        self.copy_common_prefix();
        self.parts.push(part);
    }

    /// Clones the parts that equal the last send, because the next part differs.
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

    /// A subscriber of every topic. It turns publications into batches.
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

        /// Publishes these messages together and takes the resulting batch.
        fn batch(&mut self, publications: &[Publication]) -> Batch {
            let mut batches = self.batches(publications);
            assert_eq!(batches.len(), 1);
            batches.remove(0)
        }

        fn batches(&mut self, publications: &[Publication]) -> Vec<Batch> {
            self.topics.publish_all(publications);
            let most = TakeLimits {
                messages: TAKE_MESSAGES_MAX,
                bytes: usize::MAX,
            };
            let mut batches = Vec::new();
            self.topics.take(self.id, most, |batch| batches.push(batch.clone()));
            batches
        }
    }

    fn publications(count: u8) -> Vec<Publication> {
        let publication = |number| Publication::new(Topic::new("t").unwrap(), vec![number; 3]);
        (0..count).map(publication).collect()
    }

    fn bytes(batches: &[Batch], level: u8) -> Vec<u8> {
        let publications = batches.iter().flat_map(Batch::publications);
        publications
            .flat_map(|publication| publication.form(level).to_vec())
            .collect()
    }

    /// The buffer of a send, as a socket takes it.
    #[derive(Debug, PartialEq, Eq)]
    enum Buffer {
        Whole(Bytes),
        Pieces(Vec<Bytes>),
    }

    impl From<Bytes> for Buffer {
        fn from(whole: Bytes) -> Self {
            Self::Whole(whole)
        }
    }

    impl From<Vec<Bytes>> for Buffer {
        fn from(pieces: Vec<Bytes>) -> Self {
            Self::Pieces(pieces)
        }
    }

    fn send(coalescer: &mut Coalescer, level: u8, batches: &[Batch]) -> Option<Buffer> {
        let mut builder = coalescer.begin(level);
        batches.iter().for_each(|batch| builder.push(batch));
        builder.finish()
    }

    fn whole(coalescer: &mut Coalescer, level: u8, batches: &[Batch]) -> Bytes {
        match send(coalescer, level, batches) {
            None => Bytes::new(),
            Some(Buffer::Whole(whole)) => whole,
            Some(Buffer::Pieces(pieces)) => panic!("{pieces:?}"),
        }
    }

    #[test]
    fn recipients_of_the_same_messages_share_memory() {
        let (mut coalescer, mut subscribed) = (Coalescer::default(), Subscribed::new());
        let batches: Vec<_> = [40, 1, 7].map(|count| subscribed.batch(&publications(count))).into();
        let first = whole(&mut coalescer, 0, &batches);
        assert_eq!(first, bytes(&batches, 0));
        for _ in 0..3 {
            assert_eq!(whole(&mut coalescer, 0, &batches).as_ptr(), first.as_ptr());
        }
        let equal: Vec<_> = [40, 1, 7].map(|count| subscribed.batch(&publications(count))).into();
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
        let batches = [subscribed.batch(&publications)];
        let mut sends = Vec::new();
        for level in [0, 9, 10, 15, 0, 10] {
            let send = whole(&mut coalescer, level, &batches);
            assert_eq!(send, bytes(&batches, level), "{level}");
            sends.push(send);
        }
        assert_eq!(sends[0], sends[1]);
        assert_eq!((sends[0].len(), sends[2].len()), (15, 13));
        assert_eq!(sends[0].as_ptr(), sends[4].as_ptr());
        assert_eq!(sends[2].as_ptr(), sends[5].as_ptr());
    }

    #[test]
    fn a_batch_with_a_common_prefix_is_complete() {
        let mut subscribed = Subscribed::new();
        let all: Vec<_> = (1..=5).map(|count| subscribed.batch(&publications(count))).collect();
        for known in 0..=5 {
            for cut in 0..=5 {
                let mut coalescer = Coalescer::default();
                whole(&mut coalescer, 0, &all[..known]);
                let mut other = all[..cut].to_vec();
                other.push(subscribed.batch(&publications(2)));
                for wanted in [&other[..], &all[..cut], &all[cut..]] {
                    assert_eq!(whole(&mut coalescer, 0, wanted), bytes(wanted, 0), "{known} {cut}");
                }
            }
        }
    }

    #[test]
    fn a_frame_for_one_recipient_keeps_its_place_and_is_not_shared() {
        let (mut coalescer, mut subscribed) = (Coalescer::default(), Subscribed::new());
        let batches = [1, 2].map(|count| subscribed.batch(&publications(count)));
        for own in ["own", "another"] {
            whole(&mut coalescer, 0, &batches);
            let mut builder = coalescer.begin(0);
            builder.push(&batches[0]);
            builder.push_frame(Bytes::from_static(own.as_bytes()));
            builder.push(&batches[1]);
            let expected = [&bytes(&batches[..1], 0), own.as_bytes(), &bytes(&batches[1..], 0)].concat();
            assert_eq!(builder.finish(), Some(Buffer::Whole(expected.into())));
        }
        assert_eq!(whole(&mut coalescer, 0, &[]), Bytes::new());
    }

    #[test]
    fn one_frame_is_not_copied_and_a_large_batch_is_not_joined() {
        let (mut coalescer, mut subscribed) = (Coalescer::default(), Subscribed::new());
        let topic = Topic::new("t").unwrap();
        let large = Publication::new(topic.clone(), vec![0; JOIN_BYTES_MAX]);
        let two = [large.clone(), Publication::new(topic, "x")];
        let batches = subscribed.batches(&two);
        assert_eq!(whole(&mut coalescer, 0, &batches[..1]).as_ptr(), large.message.as_ptr());
        let pieces = two.map(|publication| publication.message);
        assert_eq!(send(&mut coalescer, 0, &batches), Some(Buffer::Pieces(pieces.to_vec())));
    }
}
