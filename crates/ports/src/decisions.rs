//! Model routing decisions (`llm_routing_decisions`): which model was asked, why, and with what result. They are for
//! analysis, not for accounting: records are written in batches and may be lost in a crash, which spending may not.

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{ModelProfile, TokenUsage};
use baton_core::money::Usd;
use baton_core::time::Time;
use serde::Serialize;

use crate::journal::JournalError;

/// Maximum number of records in one batch.
pub const BATCH_MAX: usize = 4_096;
/// Maximum number of records returned by one query.
pub const LIST_MAX: usize = 10_000;

/// One attempt at one model, or a call for which no model was asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelDecision {
    pub tenant: TenantId,
    /// The call's key: that of its effect, or the gateway's own id. The attempts of one call share it.
    pub key: String,
    /// Counted from 0 within the call.
    pub attempt: u32,
    pub run: Option<RunId>,
    #[serde(rename = "workflow_id")]
    pub workflow: Option<String>,
    #[serde(rename = "node_id")]
    pub node: Option<String>,
    pub agent: String,
    /// The id of the API key that made the call.
    pub key_id: Option<String>,
    #[serde(rename = "requested_profile")]
    pub profile: ModelProfile,
    /// Empty if no model could be asked.
    #[serde(rename = "selected_model")]
    pub model: String,
    #[serde(rename = "selected_provider")]
    pub provider: String,
    /// Input tokens.
    pub estimated_tokens: u64,
    pub estimated_cost: Usd,
    /// Usage reported by the provider; `None` without a reply.
    pub usage: Option<TokenUsage>,
    pub actual_cost: Usd,
    pub latency_ms: u64,
    pub success: bool,
    /// Answered from the response cache.
    pub cached: bool,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    /// The choice, as a JSON object in text form: candidates, dropped models and reasons, scores. Only with the first
    /// attempt of a call.
    pub explanation: Option<String>,
    pub created_at: Time,
}

/// Selects records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    pub run: Option<RunId>,
    pub key: Option<String>,
    /// At most [`LIST_MAX`].
    pub limit: usize,
}

/// Spending on one model for one profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecisionSum {
    #[serde(rename = "requested_profile")]
    pub profile: ModelProfile,
    #[serde(rename = "selected_model")]
    pub model: String,
    /// Attempts, including failed ones.
    pub calls: u64,
    pub succeeded: u64,
    /// The part of them that the response cache answered.
    #[serde(skip)]
    pub cached: u64,
    pub usage: TokenUsage,
    pub cost: Usd,
}

#[async_trait]
pub trait DecisionLog: Send + Sync {
    /// Accepts a batch of at most [`BATCH_MAX`] records, to be written soon. Never waits.
    ///
    /// # Errors
    /// [`JournalError::Busy`] if too much is queued already: the batch is lost.
    fn record(&self, batch: Vec<ModelDecision>) -> Result<(), JournalError>;

    /// Newest first; includes everything recorded in this process before.
    async fn decisions(&self, tenant: &TenantId, filter: DecisionFilter) -> Result<Vec<ModelDecision>, JournalError>;

    /// By profile and model, since an instant.
    async fn sums(&self, tenant: &TenantId, since: Time) -> Result<Vec<DecisionSum>, JournalError>;
}
