//! Blocks that end the connection (RFC 7541 §2.3.3, §4.2, §5, §6), by C07 of the table of attacks.

use super::*;

fn refused(block: &[u8]) {
    let result = decode(&mut Decoder::new(), block);
    assert_eq!(result, Err(DecodeError::Malformed), "{block:02x?}");
}

#[test]
fn index_0_and_indices_beyond_the_tables_are_refused() {
    refused(&[0x80]);
    refused(&[0xbe]);
    refused(&[0xff, 0xff, 0xff, 0xff, 0x7f]);
    refused(&[0x7e, 0x01, b'a']);
    refused(&[0x0f, 0x2f, 0x01, b'a']);
}

#[test]
fn a_size_update_above_the_limit_or_behind_a_field_is_refused() {
    refused(&[0x3f, 0xe2, 0x1f]);
    refused(&[0x82, 0x20]);
    refused(&[0x20, 0x20, 0x20]);
    assert_eq!(
        decode(&mut Decoder::new(), &[0x20, 0x3f, 0xe1, 0x1f]),
        Ok(FieldList::new())
    );
}

#[test]
fn a_block_that_ends_inside_a_field_is_refused() {
    let whole = [0x40, 0x02, b'a', b'b', 0x83, 0xf1, 0xe3, 0xc2, 0x82];
    for end in [1, 2, 3, 4, 5, 6, 7] {
        refused(&whole[..end]);
    }
    refused(&[0x40]);
    refused(&[0x00, 0x7f]);
    refused(&[0x00, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
}

/// An entry of the size of the table is stored; a byte more empties the table (RFC 7541 §4.4).
#[test]
fn an_entry_fits_the_table_exactly_or_empties_it() {
    for (value_bytes, entries) in [(4063 - 1, 1), (4063, 1), (4063 + 1, 0)] {
        let mut decoder = Decoder::new();
        let mut block = vec![0x40, 0x01, b'a'];
        super::super::integer::encode(value_bytes, 7, 0, &mut block);
        block.extend(std::iter::repeat_n(b'v', value_bytes));
        decode(&mut decoder, &[0x40, 0x01, b'b', 0x01, b'c']).unwrap();
        decode(&mut decoder, &block).unwrap();
        assert_eq!(decoder.table().1.len(), entries, "{value_bytes}");
    }
}
