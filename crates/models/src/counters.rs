//! The counters of one model: looked up once for each type of agent that calls it, not for each call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use baton_core::model::ModelReply;
use metrics::{Counter, Gauge, Label};

/// Maximum number of agent types whose counters are cached; those of others are looked up each time.
const TYPES_MAX: usize = 1_000;

#[derive(Default)]
pub(crate) struct ModelCounters(Mutex<BTreeMap<String, Arc<AgentTypeCounters>>>);

struct AgentTypeCounters {
    /// Dollars are fractional and the facade's counters are not: this is a gauge that only rises, exposed as a counter.
    cost: Gauge,
    input: Counter,
    output: Counter,
}

impl ModelCounters {
    pub fn count(&self, model: &str, agent_type: &str, reply: &ModelReply) {
        let of = self.of(model, agent_type);
        of.cost.increment(reply.cost.as_f64());
        let usage = &reply.usage;
        of.input.increment(usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens);
        of.output.increment(usage.output_tokens);
    }

    fn of(&self, model: &str, agent_type: &str) -> Arc<AgentTypeCounters> {
        // The guarded state is consistent at every moment.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = known.get(agent_type) {
            return Arc::clone(of);
        }
        let of = Arc::new(AgentTypeCounters::named(model, agent_type));
        if known.len() < TYPES_MAX {
            known.insert(agent_type.to_owned(), Arc::clone(&of));
        }
        of
    }
}

impl AgentTypeCounters {
    fn named(model: &str, agent_type: &str) -> Self {
        let labels = |kind: Option<&'static str>| {
            let mut labels =
                vec![Label::new("model", model.to_owned()), Label::new("agent_type", agent_type.to_owned())];
            labels.extend(kind.map(|kind| Label::new("type", kind)));
            labels
        };
        Self {
            cost: metrics::gauge!("llm_cost_usd_total", labels(None)),
            input: metrics::counter!("llm_tokens_total", labels(Some("input"))),
            output: metrics::counter!("llm_tokens_total", labels(Some("output"))),
        }
    }
}

impl fmt::Debug for ModelCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelCounters").finish_non_exhaustive()
    }
}
