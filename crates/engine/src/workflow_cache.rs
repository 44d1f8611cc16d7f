//! A cache of compiled workflow versions, by the hash of their bundle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use baton_core::bundle::{Bundle, ContentHash};
use baton_core::graph::Workflow;
use baton_ports::registry::WorkflowRegistry;
use metrics::Counter;

use crate::EngineError;

/// Maximum number of cached versions; above it the least recently used one is dropped.
const CACHED_MAX: usize = 256;

pub struct WorkflowCache {
    registry: Arc<dyn WorkflowRegistry>,
    cached: Mutex<CachedWorkflows>,
    hits: Counter,
    misses: Counter,
}

#[derive(Default)]
struct CachedWorkflows {
    versions: BTreeMap<ContentHash, (u64, Arc<Workflow>)>,
    uses: u64,
}

impl WorkflowCache {
    pub fn new(registry: Arc<dyn WorkflowRegistry>) -> Self {
        let asked = |result: &'static str| metrics::counter!("definition_cache_requests_total", "result" => result);
        Self { registry, cached: Mutex::default(), hits: asked("hit"), misses: asked("miss") }
    }

    /// The compiled version; read from the store if it is not cached.
    pub async fn version(&self, hash: &ContentHash) -> Result<Arc<Workflow>, EngineError> {
        if let Some(kept) = self.cached(hash) {
            self.hits.increment(1);
            return Ok(kept);
        }
        self.misses.increment(1);
        let bad = |reason: String| EngineError::BadVersion { bundle: hash.short().to_owned(), reason };
        let text = self.registry.bundle(hash).await?.ok_or_else(|| bad("the store does not have it".to_owned()))?;
        let bundle: Bundle = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        let workflow = Arc::new(baton_core::definition::compile(&bundle).map_err(|error| bad(error.to_string()))?);
        self.insert(hash.clone(), workflow.clone());
        Ok(workflow)
    }

    fn cached(&self, hash: &ContentHash) -> Option<Arc<Workflow>> {
        let mut kept = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        let (used, workflow) = kept.versions.get_mut(hash)?;
        *used = now;
        Some(workflow.clone())
    }

    fn insert(&self, hash: ContentHash, workflow: Arc<Workflow>) {
        let mut kept = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.versions.len() >= CACHED_MAX
            && let Some(oldest) = kept.versions.iter().min_by_key(|(_, (used, _))| *used).map(|(hash, _)| hash.clone())
        {
            kept.versions.remove(&oldest);
        }
        let uses = kept.uses;
        kept.versions.insert(hash, (uses, workflow));
    }
}
