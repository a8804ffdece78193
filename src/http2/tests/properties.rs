//! Properties for all inputs: no split changes anything, and nothing remains.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::transcript::run_pieces;
use super::wire::*;
use super::*;

/// A frame, mostly one that could come.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![8 => (0_u32..6).prop_map(|index| 1 + 2 * index), 1 => 0_u32..12];
    let content = vec(any::<u8>(), 0..40);
    prop_oneof![
        6 => (id.clone(), any::<bool>()).prop_map(|(id, ends)| headers(id, ends, &GET)),
        2 => (id.clone(), any::<bool>(), 0_u32..40).prop_map(|(id, ends, length)| {
            with_fields(id, ends, &[("content-length", &length.to_string()), ("cookie", "a"), ("cookie", "b")])
        }),
        6 => (id.clone(), any::<bool>(), content.clone()).prop_map(|(id, ends, content)| data(id, ends, &content)),
        1 => (id.clone(), content.clone(), 0_u8..20).prop_map(|(id, content, padding)| {
            frame(0, 8, id, &[&[padding][..], &content].concat())
        }),
        1 => (id.clone(), any::<bool>()).prop_map(|(id, ends)| headers(id, ends, &[("x", "trailer")])),
        1 => id.clone().prop_map(|id| reset(id, 8)),
        1 => (id.clone(), 0_u32..100_000).prop_map(|(id, increment)| window_update(id, increment)),
        1 => (1_u16..10, 0_u32..70_000).prop_map(|(name, value)| settings(&[(name, value)])),
        1 => (id.clone(), 1_usize..30).prop_map(|(id, cut)| {
            let block = block(&GET);
            let (first, second) = block.split_at(cut);
            [frame(1, 1, id, first), frame(9, 4, id, second)].concat()
        }),
        1 => (any::<u8>(), any::<u8>(), id, content).prop_map(|(kind, flags, id, content)| {
            frame(kind, flags, id, &content)
        }),
    ]
}

fn pieces<'b>(bytes: &'b [u8], cuts: &[Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for place in places {
        pieces.push(&bytes[start..place]);
        start = place;
    }
    pieces.push(&bytes[start..]);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn cutting_up_changes_nothing(
        frames in vec(any_frame(), 0..30),
        flips in vec((any::<Index>(), any::<u8>()), 0..3),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let mut bytes = [first_bytes(), frames.concat()].concat();
        for (place, value) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= value;
        }
        let limits = Limits::default();
        let whole = run_pieces([bytes.as_slice()], &limits);
        prop_assert_eq!(&run_pieces(pieces(&bytes, &cuts), &limits), &whole);
        prop_assert_eq!(&run_pieces(bytes.chunks(1), &limits), &whole);
    }
}
