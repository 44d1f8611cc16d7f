//! What an idle run waits for.

use serde_json::{Value, json};

use super::{CallRole, EffectId, HeldCall, HumanTask, NodeAddress, Run, RunState};
use crate::id::RunId;
use crate::time::Time;
use crate::tool::ToolQuestion;

/// One thing that a run waits for.
#[derive(Clone, Debug)]
pub struct OpenWait {
    pub run: RunId,
    pub kind: WaitKind,
    /// For a call that needs an approval.
    pub approval: Option<ApprovalProgress>,
    /// The run is ending: calls that may have been sent are not sent again.
    pub ending: bool,
}

/// The progress of a call's approval.
#[derive(Clone, Debug)]
pub struct ApprovalProgress {
    pub need: u32,
    pub given_by: Vec<String>,
    /// People who may give it; empty: any person except the requester.
    pub from: Vec<String>,
}

impl ApprovalProgress {
    fn of(awaited: &WaitKind, run: &Run) -> Option<Self> {
        let WaitKind::Ask(HumanTask::Approval(effect)) = awaited else { return None };
        let (leave, given) = run.approval_for(effect)?;
        Some(Self { need: leave.need, given_by: given.to_vec(), from: leave.from.clone() })
    }
}

/// Compensations are sent while the run is ending, too.
fn is_undoing(awaited: &WaitKind) -> bool {
    matches!(awaited, WaitKind::Ask(HumanTask::Doubt(effect)) if effect.call.role == CallRole::Undo)
}

#[derive(Clone, Debug)]
pub enum WaitKind {
    /// A decision or an answer from outside.
    Ask(HumanTask),
    /// A person does what a service that is down could not.
    Manual(EffectId),
    /// The form of a `human` node.
    Form(NodeAddress),
    /// The question that a call asks before it acts, with the form's schema.
    Question {
        effect: EffectId,
        message: String,
        schema: Value,
    },
    Signal {
        node: NodeAddress,
        name: String,
    },
    /// A call that is held back, and is then sent without a person's action.
    Held(HeldCall),
    /// The instant at which the run continues; given if it waits for nothing else.
    Instant(Time),
    /// A resume command.
    Resume,
}

impl OpenWait {
    /// Returns everything that one run waits for.
    pub fn of(id: &RunId, run: &Run) -> Vec<Self> {
        let asks = run.human_tasks().into_iter().map(|ask| match ask {
            HumanTask::Human(node) if run.expects_form(&node) => WaitKind::Form(node),
            HumanTask::Doubt(effect) if run.is_manual(&effect) => WaitKind::Manual(effect),
            HumanTask::Question(effect) => match run.open_question(&effect).cloned() {
                Some(ToolQuestion { message, schema, .. }) => WaitKind::Question { effect, message, schema },
                None => WaitKind::Ask(HumanTask::Question(effect)),
            },
            ask => WaitKind::Ask(ask),
        });
        let signals = run.awaited_signals().into_iter().map(|(node, name)| WaitKind::Signal { node, name });
        let held = run.held_calls().into_iter().map(WaitKind::Held);
        let mut all: Vec<WaitKind> = asks.chain(signals).chain(held).collect();
        if run.state() == RunState::Paused {
            all.insert(0, WaitKind::Resume);
        }
        if all.is_empty() && !run.state().is_end() && run.children().is_empty() {
            all.extend(run.wake_at(run.now()).map(WaitKind::Instant));
        }
        let open = |awaited| Self {
            run: id.clone(),
            approval: ApprovalProgress::of(&awaited, run),
            ending: run.is_ending() && !is_undoing(&awaited),
            kind: awaited,
        };
        all.into_iter().map(open).collect()
    }

    /// Returns the wait as JSON: who must act, and where.
    pub fn as_json(&self) -> Value {
        let run = &self.run;
        match &self.kind {
            WaitKind::Ask(HumanTask::Human(node)) => json!({ "kind": "human", "run": run, "node": node }),
            WaitKind::Manual(effect) => json!({ "kind": "by_hand", "run": run, "effect": effect.to_string() }),
            WaitKind::Question { effect, message, schema } => json!({
                "kind": "question", "run": run, "effect": effect.to_string(), "message": message, "form": schema,
            }),
            WaitKind::Ask(HumanTask::Question(effect)) => {
                json!({ "kind": "question", "run": run, "effect": effect.to_string() })
            }
            WaitKind::Form(node) => json!({ "kind": "form", "run": run, "node": node }),
            WaitKind::Ask(HumanTask::Customer(node)) => json!({ "kind": "customer", "run": run, "node": node }),
            WaitKind::Ask(HumanTask::Doubt(effect)) => {
                json!({ "kind": "doubt", "run": run, "effect": effect.to_string() })
            }
            WaitKind::Ask(HumanTask::Approval(effect)) => {
                let mut asked = json!({ "kind": "approval", "run": run, "effect": effect.to_string() });
                if let Some(ApprovalProgress { need, given_by, from }) = &self.approval {
                    asked["need"] = json!(need);
                    asked["approved_by"] = json!(given_by);
                    asked["from"] = json!(from);
                }
                asked
            }
            WaitKind::Ask(HumanTask::Budget(effect)) => {
                json!({ "kind": "budget", "run": run, "effect": effect.to_string() })
            }
            WaitKind::Ask(HumanTask::Key(effect)) => {
                json!({ "kind": "needs_key", "run": run, "effect": effect.to_string() })
            }
            WaitKind::Signal { node, name } => json!({ "kind": "signal", "run": run, "node": node, "name": name }),
            WaitKind::Held(held) => json!({
                "kind": held.by.word(), "run": run, "node": held.effect.call.node, "effect": held.effect.to_string(),
                "tool": held.tool, "at": held.until.to_string(),
            }),
            WaitKind::Instant(at) => json!({ "kind": "instant", "run": run, "at": at.to_string() }),
            WaitKind::Resume => json!({ "kind": "resume", "run": run }),
        }
    }

    /// Returns whether an agent asks the customer.
    pub fn is_customer_question(&self) -> bool {
        matches!(self.kind, WaitKind::Ask(HumanTask::Customer(_)))
    }
}
