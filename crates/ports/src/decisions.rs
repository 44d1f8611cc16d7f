//! Which model was asked, why, and what came of it: `llm_routing_decisions`. For looking back, not for
//! money: records are handed over in batches and may be lost at a crash, spend may not.

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{ModelProfile, TokenUsage};
use baton_core::money::Usd;
use baton_core::time::Time;
use serde::Serialize;

use crate::journal::JournalError;

/// Records of one batch.
pub const BATCH_MAX: usize = 4_096;
/// Records one query answers with.
pub const LIST_MAX: usize = 10_000;

/// One attempt at one model, or a call that no model was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelDecision {
    pub tenant: TenantId,
    /// The call's key: its effect's, or the gateway's own id. The attempts of one call share it.
    pub key: String,
    /// Counted from 0 within the call.
    pub attempt: u32,
    pub run: Option<RunId>,
    #[serde(rename = "workflow_id")]
    pub workflow: Option<String>,
    #[serde(rename = "node_id")]
    pub node: Option<String>,
    pub agent: String,
    /// The API key it came under, by its id.
    pub key_id: Option<String>,
    #[serde(rename = "requested_profile")]
    pub profile: ModelProfile,
    /// Empty where no model could be asked.
    #[serde(rename = "selected_model")]
    pub model: String,
    #[serde(rename = "selected_provider")]
    pub provider: String,
    /// Of the input.
    pub estimated_tokens: u64,
    pub estimated_cost: Usd,
    /// What the provider counted; nothing where there was no reply.
    pub usage: Option<TokenUsage>,
    pub actual_cost: Usd,
    pub latency_ms: u64,
    pub success: bool,
    /// Answered from the response cache.
    pub cached: bool,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    /// The choice, as the text of a JSON object: candidates, what was dropped and why, scores. With the first attempt of
    /// a call only.
    pub explanation: Option<String>,
    pub created_at: Time,
}

/// Which records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    pub run: Option<RunId>,
    pub key: Option<String>,
    /// At most [`LIST_MAX`].
    pub limit: usize,
}

/// What was spent on one model for one profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecisionSum {
    #[serde(rename = "requested_profile")]
    pub profile: ModelProfile,
    #[serde(rename = "selected_model")]
    pub model: String,
    /// Attempts, those that failed included.
    pub calls: u64,
    pub succeeded: u64,
    /// Of those, the ones that the response cache answered.
    #[serde(skip)]
    pub cached: u64,
    pub usage: TokenUsage,
    pub cost: Usd,
}

#[async_trait]
pub trait DecisionLog: Send + Sync {
    /// Takes a batch over, to be written soon. Never waits. At most [`BATCH_MAX`] records.
    ///
    /// # Errors
    /// [`JournalError::Busy`] where too much waits already: the batch is lost.
    fn record(&self, batch: Vec<ModelDecision>) -> Result<(), JournalError>;

    /// Newest first; all that was recorded here before is among them.
    async fn decisions(&self, tenant: &TenantId, filter: DecisionFilter) -> Result<Vec<ModelDecision>, JournalError>;

    /// By profile and model, since an instant.
    async fn sums(&self, tenant: &TenantId, since: Time) -> Result<Vec<DecisionSum>, JournalError>;
}
