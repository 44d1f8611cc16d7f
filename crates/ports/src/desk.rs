//! The desk, for what is no run's to say: a connection that a person must make again. What a run has to say goes with
//! its append ([`crate::journal::Projection`]).

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::run::{Address, Decider, Decision, EffectId, Incoming, Refusal, Run};
use baton_core::time::Time;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::journal::{DeskItem, DeskKind, Error};

#[async_trait]
pub trait Desk: Send + Sync {
    /// Opens an item; durable when it returns. One of the same id that is open stays as it is, so that telling the same
    /// again tells nobody twice. Answers whether it was not open.
    async fn open(&self, item: DeskItem) -> Result<bool, Error>;

    /// Closes a tenant's item. One that is closed, or was never opened, stays so.
    async fn close(&self, tenant: &TenantId, id: &str, outcome: &str, at: Time) -> Result<(), Error>;
}

/// What a request for a yes or a no is about.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// A tool's call.
    Call(EffectId),
    /// A `human` node.
    Node(Address),
}

impl DeskItem {
    /// For programs.
    pub fn as_json(&self) -> Value {
        json!({
            "id": self.id, "kind": self.kind, "run": self.run, "title": self.title, "details": self.details,
            "opened_at": self.opened_at.to_string(), "deadline": self.deadline.map(|at| at.to_string()),
        })
    }

    /// What it is about, where it waits for a yes or a no.
    pub fn request(&self) -> Option<About> {
        match self.kind {
            DeskKind::ToolApproval => self.detail("effect").map(About::Call),
            DeskKind::Approval => self.detail("node").map(About::Node),
            DeskKind::Form
            | DeskKind::Doubt
            | DeskKind::NotUndone
            | DeskKind::Question
            | DeskKind::Budget
            | DeskKind::OverBudget
            | DeskKind::NeedsKey
            | DeskKind::Connection
            | DeskKind::Late => None,
        }
    }

    /// A part of its details, where it is there.
    pub fn detail<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.details.get(name)?.clone()).ok()
    }
}

impl About {
    /// Who has said yes so far, in the run that waits for it.
    pub fn approved_by(&self, run: &Run) -> Vec<String> {
        match self {
            Self::Call(effect) => run.leave_for(effect).map(|(_, given)| given.to_vec()).unwrap_or_default(),
            Self::Node(node) => run.approved_by(node),
        }
    }

    /// The request for programs, with what the run that waits for it knows.
    pub fn as_json(&self, item: &DeskItem, run: &Run) -> Value {
        let mut shown = item.as_json();
        shown["tool"] = match self {
            Self::Call(effect) => json!(run.tool_of(&effect.call)),
            Self::Node(_) => Value::Null,
        };
        shown["approved_by"] = json!(self.approved_by(run));
        shown["asked_by"] = json!(run.asked_by());
        shown
    }

    /// Whether this person's yes, or no, to it would count in the run as it is now.
    ///
    /// # Errors
    /// Why it would not.
    pub fn may_decide(&self, run: &Run, by: &Decider, approved: bool) -> Result<(), Refusal> {
        match self {
            Self::Call(effect) => run.may_allow(effect, by, approved),
            Self::Node(node) => run.may_answer(node, by, !approved),
        }
    }

    /// A yes or a no to it.
    pub fn decided(self, by: Decider, approved: bool, note: String) -> Incoming {
        match self {
            Self::Call(effect) => Incoming::Approve { effect, by, approved, note },
            Self::Node(node) => {
                let decision = if approved { Decision::Approve { note } } else { Decision::Reject { note } };
                Incoming::Answer { node, by, decision }
            }
        }
    }
}
