//! Tests of the coder: the RFC's examples, and a second, slow decoder that shares no code with it.

mod properties;
mod reference;
mod refused;
mod vectors;

use super::{DecodeError, Decoder, Encoder, Indexing};

/// Fields as names and values.
type FieldList = Vec<(Vec<u8>, Vec<u8>)>;

/// Decodes a block.
fn decode(decoder: &mut Decoder, mut block: &[u8]) -> Result<FieldList, DecodeError> {
    let mut fields = FieldList::new();
    let mut out = b"in front".to_vec();
    decoder.begin_block();
    loop {
        let start = out.len();
        let Some(field) = decoder.next_field(&mut block, &mut out)? else {
            return Ok(fields);
        };
        let (name, value) = out[start..].split_at(field.name_bytes);
        assert_eq!(value.len(), field.value_bytes);
        fields.push((name.to_vec(), value.to_vec()));
    }
}

fn encode(encoder: &mut Encoder, fields: &[(Vec<u8>, Vec<u8>)], indexing: Indexing) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin_block(&mut block);
    for (name, value) in fields {
        encoder.put(name, value, indexing, &mut block);
    }
    block
}

fn list(fields: &[(&str, &str)]) -> FieldList {
    let field = |&(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    fields.iter().map(field).collect()
}
