//! The embedders there are, and which of them made what is being searched.

mod builtin;
pub(crate) mod endpoint;
mod features;
mod frequency;
mod guarded;

use std::sync::Arc;

use baton_ports::clock::Clock;
use baton_ports::embed::{Embedder, Space, Till};

pub use builtin::Builtin;
pub use endpoint::Endpoint;
pub(crate) use features::words;
pub(crate) use frequency::is_common;

use crate::config::{Config, Provider, Wrong};
use guarded::Guarded;

/// The embedder of the settings, and the built-in one, which is always there.
pub(crate) struct Embedders {
    current: Arc<dyn Embedder>,
    builtin: Arc<dyn Embedder>,
}

impl Embedders {
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>, till: Option<Arc<dyn Till>>) -> Result<Self, Wrong> {
        let builtin: Arc<dyn Embedder> = Arc::new(Builtin::new());
        let current = match config.embedder {
            Provider::Builtin => builtin.clone(),
            Provider::OpenAi => Arc::new(Guarded::new(Arc::new(Endpoint::new(config)?.paid_by(till)), clock)),
        };
        Ok(Self { current, builtin })
    }

    #[cfg(test)]
    pub(crate) fn replace_current(&mut self, embedder: Arc<dyn Embedder>, clock: Arc<dyn Clock>) {
        self.current = Arc::new(Guarded::new(embedder, clock));
    }

    /// What new generations are made with.
    pub(crate) fn current(&self) -> &Arc<dyn Embedder> {
        &self.current
    }

    /// The one whose vectors can be compared with those of a space.
    pub(crate) fn of(&self, space: &Space) -> Option<&Arc<dyn Embedder>> {
        [&self.current, &self.builtin].into_iter().find(|embedder| embedder.space() == space)
    }
}
