//! Conversations as shown in lists.

use baton_core::conversation::{ConversationOwner, ConversationState, ConversationStatus};
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::time::Time;
use serde_json::{Value, json};

/// A conversation as shown in lists; written with the append that changed it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationHead {
    pub conversation: RunId,
    pub tenant: TenantId,
    pub workflow: String,
    pub state: ConversationState,
    pub owner: ConversationOwner,
    /// The owner, if it is a person.
    pub person: Option<String>,
    /// The ownership number of its owner.
    pub number: u64,
    pub user: Option<String>,
    pub channel: String,
    pub hil_reason: Option<String>,
    pub confidence: Option<f64>,
    pub created_at: Time,
    pub updated_at: Time,
    pub ended_at: Option<Time>,
    /// Number of the customer's messages.
    pub messages: u64,
    pub runs: u64,
    pub cost: Usd,
    pub rating: Option<u8>,
    /// The last message, possibly truncated.
    pub last: Option<String>,
    /// Number of handovers, and the reason of the last one.
    pub handovers: u64,
    pub handed_over_for: Option<String>,
    /// Number of times it was reopened.
    pub reopened: u64,
    /// When it last started to wait for a person, and when a person first answered after that.
    pub waiting_since: Option<Time>,
    pub first_response_at: Option<Time>,
    /// When it was erased: nothing is left of it but this row.
    pub erased_at: Option<Time>,
}

impl ConversationHead {
    /// The head as JSON, with the field names of the seeds.
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

/// Selects conversations.
#[derive(Clone, Debug, Default)]
pub struct ConversationFilter {
    pub status: Option<ConversationStatus>,
    pub state: Option<ConversationState>,
    /// The person who owns it.
    pub person: Option<String>,
    /// Conversations started before this one, newest first; the cursor of the next page.
    pub before: Option<RunId>,
    pub limit: usize,
}
