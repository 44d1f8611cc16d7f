//! Who serves models here: the providers of the settings, made ready.

use std::sync::Arc;

use baton_ports::clock::Clock;
use baton_ports::models::ApiKey;

use crate::config::{Kind, Plan};
use crate::error::Error;
use crate::providers::Provider;
use crate::providers::script::Script;

/// How keys of Anthropic begin: so that a consumer's key is sent to nobody else.
const ANTHROPIC_KEYS: &str = "sk-ant-";

/// One provider, ready to be asked.
#[derive(Debug)]
pub(crate) struct Served {
    pub name: String,
    pub kind: Kind,
    pub provider: Box<dyn Provider>,
    /// Whether a call can go out without a key of the consumer's.
    pub is_open: bool,
    /// The provider's own public API, not a server of one's own that speaks like it.
    pub is_public: bool,
}

/// All providers; the default one first.
#[derive(Debug)]
pub(crate) struct Providers(Vec<Arc<Served>>);

impl Providers {
    /// # Errors
    /// A setting that cannot be used, with its place.
    pub fn new(plans: Vec<Plan>, script: Script, clock: &Arc<dyn Clock>) -> Result<Self, Error> {
        let mut script = Some(script);
        let mut all = Vec::new();
        for plan in plans {
            let (provider, has_key, is_public): (Box<dyn Provider>, _, _) = match (&plan.site, script.take()) {
                (Some(site), unused) => {
                    script = unused;
                    (site.open(Arc::clone(clock))?, site.key.is_some(), site.base_url.is_none())
                }
                (None, Some(script)) => (Box::new(script), false, false),
                // All files are one provider.
                (None, None) => continue,
            };
            let is_open = has_key || !is_public;
            all.push(Arc::new(Served { name: plan.name, kind: plan.kind, provider, is_open, is_public }));
        }
        Ok(Self(all))
    }

    /// Nobody but files, for a router that only chooses.
    pub fn scripted(script: Script) -> Self {
        let name = Kind::Script.word().to_owned();
        let provider = Box::new(script);
        Self(vec![Arc::new(Served { name, kind: Kind::Script, provider, is_open: true, is_public: false })])
    }

    #[cfg(test)]
    pub fn of(all: Vec<Served>) -> Self {
        Self(all.into_iter().map(Arc::new).collect())
    }

    /// Whether all replies come from files.
    pub fn is_scripted(&self) -> bool {
        self.default().is_none_or(|served| served.kind == Kind::Script)
    }

    /// Who is asked for what nobody is named for.
    pub fn default(&self) -> Option<&Arc<Served>> {
        self.0.first()
    }

    pub fn find(&self, name: &str) -> Option<&Arc<Served>> {
        self.0.iter().find(|served| served.name == name)
    }

    /// Whose key a consumer's is: Anthropic's is told by its beginning, any other is the default provider's. It goes to
    /// nobody else.
    pub fn of_key(&self, key: &ApiKey) -> Option<&Arc<Served>> {
        let is_anthropics = key.secret().starts_with(ANTHROPIC_KEYS);
        self.0.iter().find(|served| (served.kind == Kind::Anthropic) == is_anthropics)
    }
}
