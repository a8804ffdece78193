//! Compression of responses (RFC 9110 §8.4.1): the middleware, and how content is encoded on its way out.
//!
//! The middleware stores a [`ContentEncoder`] in the response before the handler runs. A flush encodes what it sends, a
//! stream is wrapped in an encoded one, and content that is whole at the end is encoded there. Protocols send what they
//! are given. Without the middleware, a response has no encoder and pays nothing.

mod compressor;
mod encode;
mod encoded_stream;
mod encoder;
mod encoding;
mod media_types;
mod middleware;
mod pool;
mod settings;

pub(in crate::app) use encoder::ContentEncoder;
pub(in crate::app) use pool::CompressorPool;
pub use settings::Compression;
