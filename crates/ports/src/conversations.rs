//! Conversations as lists show them.

use baton_core::conversation::{ConversationOwner, ConversationState, ConversationStatus};
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::time::Time;
use serde_json::{Value, json};

/// A conversation as lists show it; written with the append that changed it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationHead {
    pub conversation: RunId,
    pub tenant: TenantId,
    pub workflow: String,
    pub state: ConversationState,
    pub owner: ConversationOwner,
    /// Who owns it, where a person does.
    pub person: Option<String>,
    /// The number its owner owns it under.
    pub number: u64,
    pub user: Option<String>,
    pub channel: String,
    pub hil_reason: Option<String>,
    pub confidence: Option<f64>,
    pub created_at: Time,
    pub updated_at: Time,
    pub ended_at: Option<Time>,
    /// The customer's.
    pub messages: u64,
    pub runs: u64,
    pub cost: Usd,
    pub rating: Option<u8>,
    /// What was said last, or the beginning of it.
    pub last: Option<String>,
    /// How often it was handed over, and why the last time.
    pub handovers: u64,
    pub handed_over_for: Option<String>,
    /// How often it was opened again.
    pub reopened: u64,
    /// Since when it last waited for a person, and when one first answered since.
    pub waiting_since: Option<Time>,
    pub first_response_at: Option<Time>,
    /// Since when nothing is left of it but this row.
    pub erased_at: Option<Time>,
}

impl ConversationHead {
    /// For programs, by the names the seeds have for it.
    pub fn as_json(&self) -> Value {
        let owner = match &self.owner {
            ConversationOwner::Ai => "ai",
            ConversationOwner::Nobody => "nobody",
            ConversationOwner::Person(_) => "person",
        };
        json!({
            "conversation_id": self.conversation,
            "workflow_id": self.workflow,
            "state": self.state,
            "status": self.state.status(),
            "is_hil": self.state.is_hil(),
            "hil_reason": self.hil_reason,
            "owner": owner,
            "assigned_agent_id": self.person,
            "number": self.number,
            "user_id": self.user,
            "channel": self.channel,
            "confidence_score": self.confidence,
            "created_at": self.created_at.to_string(),
            "updated_at": self.updated_at.to_string(),
            "ended_at": self.ended_at.map(|at| at.to_string()),
            "messages": self.messages,
            "runs": self.runs,
            "total_cost_usd": self.cost.as_f64(),
            "rating": self.rating,
            "last_message": self.last,
            "erased_at": self.erased_at.map(|at| at.to_string()),
        })
    }
}

/// Which conversations.
#[derive(Clone, Debug, Default)]
pub struct ConversationFilter {
    pub status: Option<ConversationStatus>,
    pub state: Option<ConversationState>,
    /// The person who owns it.
    pub person: Option<String>,
    /// Conversations begun before this one, newest first; the cursor of the next page.
    pub before: Option<RunId>,
    pub limit: usize,
}
