//! Who serves models here: the providers of the settings, made ready.

use std::sync::Arc;

use baton_ports::clock::Clock;
use baton_ports::models::ConsumerKey;

use crate::config::{ProviderKind, ProviderPlan};
use crate::error::ModelsError;
use crate::providers::ModelProvider;
use crate::providers::script::ReplyScript;

/// How keys of Anthropic begin: so that a consumer's key is sent to nobody else.
const ANTHROPIC_KEYS: &str = "sk-ant-";

/// One provider, ready to be asked.
#[derive(Debug)]
pub(crate) struct ServedProvider {
    pub name: String,
    pub kind: ProviderKind,
    pub provider: Box<dyn ModelProvider>,
    /// Whether a call can go out without a key of the consumer's.
    pub works_without_key: bool,
    /// The provider's own public API, not a server of one's own that speaks like it.
    pub is_public: bool,
}

/// All providers; the default one first.
#[derive(Debug)]
pub(crate) struct ProviderRegistry(Vec<Arc<ServedProvider>>);

impl ProviderRegistry {
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

    /// Nobody but files, for a router that only chooses.
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

    /// Who is asked for what nobody is named for.
    pub fn default(&self) -> Option<&Arc<ServedProvider>> {
        self.0.first()
    }

    pub fn find(&self, name: &str) -> Option<&Arc<ServedProvider>> {
        self.0.iter().find(|served| served.name == name)
    }

    /// Whose key a consumer's is: Anthropic's is told by its beginning, any other is the default provider's. It goes to
    /// nobody else.
    pub fn for_key(&self, key: &ConsumerKey) -> Option<&Arc<ServedProvider>> {
        let is_anthropics = key.secret().starts_with(ANTHROPIC_KEYS);
        self.0.iter().find(|served| (served.kind == ProviderKind::Anthropic) == is_anthropics)
    }
}
