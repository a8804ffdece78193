//! HPACK: the compression of header blocks (RFC 7541).
//!
//! ```text
//!             block in                                    fields out                          block out
//!                │                                             │                                  ▲
//!                ▼                                             ▼                                  │
//!   ┌─── representation ───┐   index    ┌───────────────┐              ┌───────────────┐   ┌──────┴──────┐
//!   │ integer  string      ├───────────▶│ static table  │  name, value │ static table  │◀──┤ index, or   │
//!   │          │           │            │ dynamic table ├─────────────▶│ dynamic table │   │ literal     │
//!   │          ▼           │  insertion │ of the peer   │              │ for the peer  │   │ with string │
//!   │          huffman     ├───────────▶│ ≤ 4 KiB       │              │ ≤ 4 KiB       │   │             │
//!   └──────────────────────┘            └───────────────┘              └───────────────┘   └─────────────┘
//! ```
//!
//! [`Decoder`] appends each field to a buffer of the caller, in one copy. It allocates for a string only after the
//! string has arrived, so no number that the peer sent allocates anything.
//!
//! [`Encoder`] indexes the fields that repeat, so a usual response head is a few bytes.
//!
//! Both tables hold at most 4 KiB, whatever the peer's settings say. Strings pass through the Huffman code in steps of
//! four bits, by a table that the compiler makes from the RFC's.
//!
//! # What is rejected
//!
//! Everything that RFC 7541 calls a decoding error ends the connection, because the tables of both ends then differ.
//! Such are index 0, indices beyond the tables, a table above its limit, and a size update behind a field. Such are
//! also EOS, a block that ends inside a field, and padding that is longer than 7 bits or not the beginning of EOS. An
//! integer has at most four octets behind its prefix.

mod decoder;
mod encoder;
mod error;
mod huffman;
mod huffman_code;
mod integer;
mod static_table;
mod table;
#[cfg(test)]
mod tests;

pub use decoder::{Decoder, Field};
pub use encoder::{Encoder, Indexing};
pub use error::DecodeError;
pub(super) use table::ENTRY_OVERHEAD_BYTES;
