//! What the check remembers between calls: in this process, or for all processes of a project.

use std::sync::Arc;

use baton_ports::circuits::ServiceCircuits;
use baton_ports::rate_limits::RateLimits;
use baton_ports::tool_cache::ToolCache;

use crate::check::{Answers, Circuits, Paces};

/// Where all processes of a project count their calls, keep answers and say which services fail.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) rate_limits: Arc<dyn RateLimits>,
    pub(crate) cache: Arc<dyn ToolCache>,
    pub(crate) circuits: Arc<dyn ServiceCircuits>,
}

pub(crate) struct Gates {
    pub(crate) answers: Arc<dyn ToolCache>,
    pub(crate) rate_limits: Arc<dyn RateLimits>,
    pub(crate) circuits: Arc<Circuits>,
}

impl Gates {
    /// Without what is shared this process counts for itself.
    pub(crate) fn new(shared: Option<&Shared>) -> Self {
        match shared {
            Some(shared) => Self {
                answers: shared.cache.clone(),
                rate_limits: shared.rate_limits.clone(),
                circuits: Arc::new(Circuits::shared(shared.circuits.clone())),
            },
            None => Self {
                answers: Arc::new(Answers::default()),
                rate_limits: Arc::new(Paces::default()),
                circuits: Arc::default(),
            },
        }
    }
}
