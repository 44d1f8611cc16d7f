//! State that the check keeps between calls, in this process or for all processes of a project.

use std::sync::Arc;

use baton_ports::circuits::ServiceCircuitStore;
use baton_ports::rate_limits::RateLimitStore;
use baton_ports::tool_cache::ToolCache;

use crate::check::{CircuitRegistry, LocalToolCache, RateLimiters};

/// State shared by all processes of a project: call counts, cached results and failing services.
#[derive(Clone)]
pub(crate) struct SharedCallState {
    pub(crate) rate_limits: Arc<dyn RateLimitStore>,
    pub(crate) cache: Arc<dyn ToolCache>,
    pub(crate) circuits: Arc<dyn ServiceCircuitStore>,
}

pub(crate) struct ToolCallState {
    pub(crate) cache: Arc<dyn ToolCache>,
    pub(crate) rate_limits: Arc<dyn RateLimitStore>,
    pub(crate) circuits: Arc<CircuitRegistry>,
}

impl ToolCallState {
    /// Without shared state, this process counts for itself.
    pub(crate) fn new(shared: Option<&SharedCallState>) -> Self {
        match shared {
            Some(shared) => Self {
                cache: shared.cache.clone(),
                rate_limits: shared.rate_limits.clone(),
                circuits: Arc::new(CircuitRegistry::shared(shared.circuits.clone())),
            },
            None => Self {
                cache: Arc::new(LocalToolCache::default()),
                rate_limits: Arc::new(RateLimiters::default()),
                circuits: Arc::default(),
            },
        }
    }
}
