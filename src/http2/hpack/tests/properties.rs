//! Properties for all inputs: the decoder agrees with the [`reference`](super::reference), and both read what the
//! encoder writes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::reference::Reference;
use super::*;

/// A string of a block, as a literal of either form.
fn string(text: &[u8], is_huffman: bool) -> Vec<u8> {
    let mut out = Vec::new();
    if is_huffman {
        let mut encoded = Vec::new();
        super::super::huffman::encode(text, &mut encoded);
        super::super::integer::encode(encoded.len(), 7, 0x80, &mut out);
        out.extend(encoded);
    } else {
        super::super::integer::encode(text.len(), 7, 0, &mut out);
        out.extend_from_slice(text);
    }
    out
}

/// A representation, mostly a valid one.
fn representation() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![8 => vec(any::<u8>(), 0..12), 1 => vec(Just(b'x'), 1000..2500)];
    let integer = |index: usize, bits, pattern| {
        let mut out = Vec::new();
        super::super::integer::encode(index, bits, pattern, &mut out);
        out
    };
    prop_oneof![
        4 => (0_usize..80).prop_map(move |index| integer(index, 7, 0x80)),
        1 => (0_usize..5000).prop_map(move |size| integer(size, 5, 0x20)),
        4 => (
            prop_oneof![(0_usize..70, Just(6_u8), Just(0x40_u8)), (0_usize..70, Just(4_u8), Just(0x10_u8))],
            text.clone(),
            text,
            any::<(bool, bool)>(),
        ).prop_map(move |((index, bits, pattern), name, value, (one, other))| {
            let mut out = integer(index, bits, pattern);
            if index == 0 {
                out.extend(string(&name, one));
            }
            out.extend(string(&value, other));
            out
        }),
        1 => vec(any::<u8>(), 1..6),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_decoder_agrees_with_the_reference(blocks in vec(vec(representation(), 0..8), 1..6)) {
        let (mut decoder, mut reference) = (Decoder::new(), Reference::new());
        for block in blocks {
            let block = block.concat();
            let expected = reference.decode(&block);
            let decoded = decode(&mut decoder, &block).ok();
            prop_assert_eq!(&decoded, &expected);
            if expected.is_none() {
                break;
            }
            prop_assert_eq!(decoder.table().1, reference.table.clone());
        }
    }

    #[test]
    fn any_bytes_are_decoded_as_the_reference_does(block in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(decode(&mut Decoder::new(), &block).ok(), Reference::new().decode(&block));
    }

    #[test]
    fn what_the_encoder_writes_is_read_back(
        blocks in vec((
            vec((
                prop_oneof![Just("content-type"), Just("date"), Just("x-a"), Just("x-b"), Just("set-cookie")],
                prop_oneof![4 => "[a-d]{0,3}", 1 => "[ -~]{0,900}"],
                prop_oneof![Just(Indexing::Insert), Just(Indexing::Omit), Just(Indexing::Never)],
            ), 0..8),
            proptest::option::weighted(0.2, 0_usize..6000),
        ), 1..20),
    ) {
        let (mut encoder, mut decoder, mut reference) = (Encoder::new(), Decoder::new(), Reference::new());
        for (fields, table_size) in blocks {
            if let Some(bytes) = table_size {
                encoder.set_peer_table_size(bytes);
            }
            let mut block = Vec::new();
            encoder.begin_block(&mut block);
            for (name, value, indexing) in &fields {
                encoder.put(name.as_bytes(), value.as_bytes(), *indexing, &mut block);
            }
            let expected: FieldList = fields
                .iter()
                .map(|(name, value, _)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect();
            prop_assert_eq!(decode(&mut decoder, &block), Ok(expected.clone()));
            prop_assert_eq!(reference.decode(&block), Some(expected));
            prop_assert_eq!(encoder.table(), decoder.table());
            prop_assert_eq!(decoder.table().1, reference.table.clone());
        }
    }
}
