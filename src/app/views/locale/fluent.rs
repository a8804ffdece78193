//! The files of Fluent that a language has, and what a shard makes of them.

use std::sync::Arc;

use fluent_bundle::{FluentBundle, FluentResource};

/// The files of a language.
#[derive(Default)]
pub(super) struct FluentFiles(pub(super) Vec<Arc<FluentResource>>);

/// The messages of a language on one shard.
pub(super) type MessageBundle = FluentBundle<Arc<FluentResource>>;
