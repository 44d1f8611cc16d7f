//! Earlier executions of agents, and their results.

use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An agent's task, its approach and the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentExecution {
    /// The same id is the same execution.
    pub id: String,
    pub goal: String,
    pub plan: Value,
    pub results: Value,
    pub success: bool,
    pub agent: Option<String>,
    /// The person it was for.
    pub user: Option<String>,
    pub cost_usd: Option<f64>,
    pub duration_ms: Option<u64>,
    pub iterations: Option<u32>,
    pub at: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimilarExecution {
    #[serde(flatten)]
    pub execution: AgentExecution,
    pub score: f64,
}
