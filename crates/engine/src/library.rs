//! Versions by their bundle's hash, compiled once and kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use baton_core::bundle::{Bundle, Hash};
use baton_core::graph::Workflow;
use baton_ports::registry::Registry;
use metrics::Counter;

use crate::Error;

/// Compiled versions one process keeps; beyond it the one used longest ago goes.
const KEPT_MAX: usize = 256;

pub struct Library {
    registry: Arc<dyn Registry>,
    kept: Mutex<Kept>,
    hits: Counter,
    misses: Counter,
}

#[derive(Default)]
struct Kept {
    versions: BTreeMap<Hash, (u64, Arc<Workflow>)>,
    uses: u64,
}

impl Library {
    pub fn new(registry: Arc<dyn Registry>) -> Self {
        let asked = |result: &'static str| metrics::counter!("definition_cache_requests_total", "result" => result);
        Self { registry, kept: Mutex::default(), hits: asked("hit"), misses: asked("miss") }
    }

    /// The compiled version; read from the store where it is not kept.
    pub async fn version(&self, hash: &Hash) -> Result<Arc<Workflow>, Error> {
        if let Some(kept) = self.kept(hash) {
            self.hits.increment(1);
            return Ok(kept);
        }
        self.misses.increment(1);
        let bad = |reason: String| Error::BadVersion { bundle: hash.short().to_owned(), reason };
        let text = self.registry.bundle(hash).await?.ok_or_else(|| bad("the store does not have it".to_owned()))?;
        let bundle: Bundle = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        let workflow = Arc::new(baton_core::definition::compile(&bundle).map_err(|error| bad(error.to_string()))?);
        self.keep(hash.clone(), workflow.clone());
        Ok(workflow)
    }

    fn kept(&self, hash: &Hash) -> Option<Arc<Workflow>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        let (used, workflow) = kept.versions.get_mut(hash)?;
        *used = now;
        Some(workflow.clone())
    }

    fn keep(&self, hash: Hash, workflow: Arc<Workflow>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.versions.len() >= KEPT_MAX
            && let Some(oldest) = kept.versions.iter().min_by_key(|(_, (used, _))| *used).map(|(hash, _)| hash.clone())
        {
            kept.versions.remove(&oldest);
        }
        let uses = kept.uses;
        kept.versions.insert(hash, (uses, workflow));
    }
}
