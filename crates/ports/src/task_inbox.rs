//! The task inbox, for items that belong to no run, such as a connection that a person must renew. Items of a run are
//! part of its append ([`crate::journal::ProjectionRow`]).

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::run::{DecisionMaker, EffectId, HumanDecision, IncomingCommand, NodeAddress, Run, RunRefusal};
use baton_core::time::Time;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::journal::{JournalError, TaskItem, TaskItemKind};

#[async_trait]
pub trait TaskInbox: Send + Sync {
    /// Opens an item; durable when it returns. An open item of the same id stays as it is, so that repeating it
    /// notifies nobody twice. Returns whether it was newly opened.
    async fn open_task(&self, item: TaskItem) -> Result<bool, JournalError>;

    /// Closes a tenant's item. One that is closed already, or was never opened, stays so.
    async fn close_task(&self, tenant: &TenantId, id: &str, outcome: &str, at: Time) -> Result<(), JournalError>;
}

/// The subject of an approval request.
#[derive(Clone, Debug, PartialEq)]
pub enum ApprovalSubject {
    /// A tool call.
    Call(EffectId),
    /// A `human` node.
    Node(NodeAddress),
}

impl TaskItem {
    /// The subject as JSON.
    pub fn as_json(&self) -> Value {
        json!({
            "id": self.id, "kind": self.kind, "run": self.run, "title": self.title, "details": self.details,
            "opened_at": self.opened_at.to_string(), "deadline": self.deadline.map(|at| at.to_string()),
        })
    }

    /// The subject, if the item waits for an approval.
    pub fn request(&self) -> Option<ApprovalSubject> {
        match self.kind {
            TaskItemKind::ToolApproval => self.detail("effect").map(ApprovalSubject::Call),
            TaskItemKind::Approval => self.detail("node").map(ApprovalSubject::Node),
            TaskItemKind::Form
            | TaskItemKind::Doubt
            | TaskItemKind::NotUndone
            | TaskItemKind::Question
            | TaskItemKind::Budget
            | TaskItemKind::OverBudget
            | TaskItemKind::NeedsKey
            | TaskItemKind::Connection
            | TaskItemKind::Late => None,
        }
    }

    /// A field of its details, if present.
    pub fn detail<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.details.get(name)?.clone()).ok()
    }
}

impl ApprovalSubject {
    /// The people who have approved so far, in the run that waits for it.
    pub fn approved_by(&self, run: &Run) -> Vec<String> {
        match self {
            Self::Call(effect) => run.approval_for(effect).map(|(_, given)| given.to_vec()).unwrap_or_default(),
            Self::Node(node) => run.approved_by(node),
        }
    }

    /// The request as JSON, with data of the run that waits for it.
    pub fn as_json(&self, item: &TaskItem, run: &Run) -> Value {
        let mut shown = item.as_json();
        shown["tool"] = match self {
            Self::Call(effect) => json!(run.tool_of(&effect.call)),
            Self::Node(_) => Value::Null,
        };
        shown["approved_by"] = json!(self.approved_by(run));
        shown["asked_by"] = json!(run.requested_by());
        shown
    }

    /// Whether this person's approval or rejection would count in the run as it is now.
    ///
    /// # Errors
    /// Why it would not.
    pub fn may_decide(&self, run: &Run, by: &DecisionMaker, approved: bool) -> Result<(), RunRefusal> {
        match self {
            Self::Call(effect) => run.check_approver(effect, by, approved),
            Self::Node(node) => run.check_answer(node, by, !approved),
        }
    }

    /// The command that approves or rejects it.
    pub fn decision(self, by: DecisionMaker, approved: bool, note: String) -> IncomingCommand {
        match self {
            Self::Call(effect) => IncomingCommand::Approve { effect, by, approved, note },
            Self::Node(node) => {
                let decision = if approved { HumanDecision::Approve { note } } else { HumanDecision::Reject { note } };
                IncomingCommand::Answer { node, by, decision }
            }
        }
    }
}
