//! Static files: which file a path stands for, and the response with it.
//!
//! This layer decides and does no I/O. The server looks files up and reads them, as a
//! [`FileSource`](source::FileSource).
//!
//! The way of a request: `static_files` takes the path from the route, `static_path` rejects what clients may not name,
//! and `tree` finds the file. `response` compares validators, selects `ranges` and writes the content.

#[cfg(feature = "serve")]
pub(in crate::app) mod acme_challenges;
mod content_type;
mod embedded;
mod listing;
mod partial;
pub(in crate::app) mod ranges;
mod response;
pub(in crate::app) mod source;
pub(in crate::app) mod static_files;
mod static_path;
pub(in crate::app) mod static_routes;
mod static_url;
pub(in crate::app) mod tree;
pub(in crate::app) mod version;
mod wildcard;
