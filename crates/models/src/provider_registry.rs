//! The providers of the settings, ready for calls.

use std::sync::Arc;

use baton_ports::clock::Clock;
use baton_ports::models::ConsumerKey;

use crate::config::{ProviderKind, ProviderPlan};
use crate::error::ModelsError;
use crate::providers::ModelProvider;
use crate::providers::script::ReplyScript;

/// The prefix of Anthropic's keys. It ensures that a consumer's key is sent to no other provider.
const ANTHROPIC_KEYS: &str = "sk-ant-";

/// One provider, ready for calls.
#[derive(Debug)]
pub(crate) struct ServedProvider {
    pub name: String,
    pub kind: ProviderKind,
    pub provider: Box<dyn ModelProvider>,
    /// Whether a call can be sent without a key of the consumer.
    pub works_without_key: bool,
    /// The provider's own public API, not a self-hosted server that speaks the same dialect.
    pub is_public: bool,
}

/// All providers; the default one first.
#[derive(Debug)]
pub(crate) struct ProviderRegistry(Vec<Arc<ServedProvider>>);

impl ProviderRegistry {
    /// Creates the providers.
    ///
    /// # Errors
    /// A setting that cannot be used, with its place.
    pub fn new(plans: Vec<ProviderPlan>, script: ReplyScript, clock: &Arc<dyn Clock>) -> Result<Self, ModelsError> {
        let mut script = Some(script);
        let mut all = Vec::new();
        for plan in plans {
            let (provider, has_key, is_public): (Box<dyn ModelProvider>, _, _) =
                match (&plan.site_settings, script.take()) {
                    (Some(site), unused) => {
                        script = unused;
                        (site.build(Arc::clone(clock))?, site.key.is_some(), site.base_url.is_none())
                    }
                    (None, Some(script)) => (Box::new(script), false, false),
                    // All files are one provider.
                    (None, None) => continue,
                };
            let is_open = has_key || !is_public;
            all.push(Arc::new(ServedProvider {
                name: plan.name,
                kind: plan.kind,
                provider,
                works_without_key: is_open,
                is_public,
            }));
        }
        Ok(Self(all))
    }

    /// A registry with files only, for a router that only chooses.
    pub fn scripted(script: ReplyScript) -> Self {
        let name = ProviderKind::Script.word().to_owned();
        let provider = Box::new(script);
        Self(vec![Arc::new(ServedProvider {
            name,
            kind: ProviderKind::Script,
            provider,
            works_without_key: true,
            is_public: false,
        })])
    }

    #[cfg(test)]
    pub fn of(all: Vec<ServedProvider>) -> Self {
        Self(all.into_iter().map(Arc::new).collect())
    }

    /// Whether all replies come from files.
    pub fn is_scripted(&self) -> bool {
        self.default().is_none_or(|served| served.kind == ProviderKind::Script)
    }

    /// The provider for models that name none.
    pub fn default(&self) -> Option<&Arc<ServedProvider>> {
        self.0.first()
    }

    pub fn find(&self, name: &str) -> Option<&Arc<ServedProvider>> {
        self.0.iter().find(|served| served.name == name)
    }

    /// The provider that a consumer's key is for: Anthropic's keys have a prefix, any other key is for the default
    /// provider. The key is sent to no other provider.
    pub fn for_key(&self, key: &ConsumerKey) -> Option<&Arc<ServedProvider>> {
        let is_anthropics = key.secret().starts_with(ANTHROPIC_KEYS);
        self.0.iter().find(|served| (served.kind == ProviderKind::Anthropic) == is_anthropics)
    }
}
