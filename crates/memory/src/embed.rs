//! The available embedders, and which of them made the vectors being searched.

mod builtin;
pub(crate) mod endpoint;
mod features;
mod frequency;
mod guarded;

use std::sync::Arc;

use baton_ports::clock::Clock;
use baton_ports::embed::{Embedder, EmbeddingBilling, VectorSpace};

pub use builtin::BuiltinEmbedder;
pub use endpoint::EndpointEmbedder;
pub(crate) use features::words;
pub(crate) use frequency::is_common;

use crate::config::{EmbedderProvider, MemoryConfig, MemoryConfigError};
use guarded::GuardedEmbedder;

/// The embedder of the settings, and the built-in one, which is always available.
pub(crate) struct EmbedderSet {
    current: Arc<dyn Embedder>,
    builtin: Arc<dyn Embedder>,
}

impl EmbedderSet {
    pub(crate) fn new(
        config: &MemoryConfig,
        clock: Arc<dyn Clock>,
        till: Option<Arc<dyn EmbeddingBilling>>,
    ) -> Result<Self, MemoryConfigError> {
        let builtin: Arc<dyn Embedder> = Arc::new(BuiltinEmbedder::new());
        let current = match config.embedder {
            EmbedderProvider::Builtin => builtin.clone(),
            EmbedderProvider::OpenAi => {
                Arc::new(GuardedEmbedder::new(Arc::new(EndpointEmbedder::new(config)?.with_billing(till)), clock))
            }
        };
        Ok(Self { current, builtin })
    }

    #[cfg(test)]
    pub(crate) fn replace_current(&mut self, embedder: Arc<dyn Embedder>, clock: Arc<dyn Clock>) {
        self.current = Arc::new(GuardedEmbedder::new(embedder, clock));
    }

    /// The embedder for new generations.
    pub(crate) fn current(&self) -> &Arc<dyn Embedder> {
        &self.current
    }

    /// The embedder whose vectors can be compared with those of a space.
    pub(crate) fn of(&self, space: &VectorSpace) -> Option<&Arc<dyn Embedder>> {
        [&self.current, &self.builtin].into_iter().find(|embedder| embedder.space() == space)
    }
}
