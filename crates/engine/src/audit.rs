//! Audit rows of a run: the call that a row belongs to, people's decisions, and tools that agents may not use.

use std::collections::BTreeSet;

use baton_core::fault::Fault;
use baton_core::fault::code::REJECTED;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::redact;
use baton_core::run::{
    CallId, CallRole, DEADLINE_ACTOR, DecisionChannel, DoubtResolution, EffectId, HumanDecision, NodeAddress,
    NodeEnded, NodeOutcome, Run, RunCommand, RunEvent,
};
use baton_core::time::Time;
use baton_core::tool::{AuditRow, AuditStatus, QuestionOutcome};
use serde_json::{Value, json};

/// Name of a person's approval of a call.
const APPROVAL: &str = "approval";
/// Name of a call without a tool: a model call that waited for budget.
const MODEL: &str = "model";
/// Name of a submitted form.
const FORM: &str = "form";
/// Name of a person's resolution of a call with an unknown outcome.
const RESOLUTION: &str = "resolution";
/// Name of a tool that an agent may not use: the same as that of an unknown tool.
const REFUSED: &str = "tool_execution";
/// Maximum size of the name of such a tool, in bytes.
const TOOL_BYTES_MAX: usize = 200;
/// Maximum size of an error message in the audit trail, in bytes.
const ERROR_BYTES_MAX: usize = 1_000;

/// The audit row of an attempt. The row of a compensating call records the status of the call it undoes.
pub fn of_attempt(row: AuditRow, effect: &EffectId, run: &Run, id: &RunId) -> AuditRow {
    let undoes = run.saga().effect_undone_by(&effect.call).filter(|_| row.status == AuditStatus::Success);
    if let Some((acted, _)) = undoes {
        let call = Some(acted.call.key(id));
        return AuditRow { call, changes: true, status: AuditStatus::Compensated, ..row };
    }
    AuditRow { call: Some(effect.call.key(id)), ..row }
}

/// A decision on something that waits for a person, or the expiry if nobody decided in time.
pub struct DecisionAudit {
    by: String,
    /// The channel of the decision, if it did not come with the person's own key or token.
    via: Option<DecisionChannel>,
    on: DecisionSubject,
}

enum DecisionSubject {
    /// An open call.
    Call {
        call: CallId,
        tool: String,
        /// The call whose status the decision may change: for a compensation, the call that is undone.
        about: CallId,
    },
    /// A `human` node.
    Node(NodeAddress),
}

impl DecisionAudit {
    /// The decisions that a command may lead to; `run` is the state before the command. Deadlines are checked after
    /// every command, so any command may include expiries, also of a call that the same command brings before people
    /// too late.
    pub fn of(command: &RunCommand, run: &Run, now: Time) -> Vec<Self> {
        let own = match command {
            RunCommand::Fill { effect, by, .. } | RunCommand::Resolve { effect, by, .. } => {
                Some(Self::on_call(&effect.call, run, by))
            }
            RunCommand::Approve { effect, by, .. } => {
                Some(Self { via: by.via.clone(), ..Self::on_call(&effect.call, run, &by.name) })
            }
            RunCommand::Answer { node, by, .. } => {
                Some(Self { by: by.name.clone(), via: by.via.clone(), on: DecisionSubject::Node(node.clone()) })
            }
            RunCommand::Start { .. }
            | RunCommand::Outcome { .. }
            | RunCommand::Sending { .. }
            | RunCommand::TakenOver { .. }
            | RunCommand::Wake
            | RunCommand::Stepped { .. }
            | RunCommand::Signal(_)
            | RunCommand::KeyGiven { .. }
            | RunCommand::ChildEnded { .. }
            | RunCommand::ChildUndone { .. }
            | RunCommand::Pause { .. }
            | RunCommand::Resume { .. }
            | RunCommand::Cancel { .. }
            | RunCommand::Retry { .. }
            | RunCommand::Rollback { .. }
            | RunCommand::Fork { .. } => None,
        };
        let outcome_of = match command {
            RunCommand::Outcome { effect, .. } => Some(effect.call.clone()),
            _ => None,
        };
        let calls: BTreeSet<CallId> = run.expired_approvals(now).map(|effect| effect.call).chain(outcome_of).collect();
        let calls = calls.iter().map(|call| Self::on_call(call, run, DEADLINE_ACTOR));
        let nodes = run.overdue_human_nodes(now);
        let nodes = nodes.map(|node| Self {
            by: DEADLINE_ACTOR.to_owned(),
            via: None,
            on: DecisionSubject::Node(node.clone()),
        });
        own.into_iter().chain(calls).chain(nodes).collect()
    }

    fn on_call(call: &CallId, run: &Run, by: &str) -> Self {
        let undoes = run.saga().effect_undone_by(call);
        let tool = run.tool_of(call).or(undoes.map(|(_, tool)| tool)).unwrap_or(MODEL).to_owned();
        let about = undoes.map_or(call, |(acted, _)| &acted.call).clone();
        Self { by: by.to_owned(), via: None, on: DecisionSubject::Call { call: call.clone(), tool, about } }
    }

    /// The audit rows of the resulting events.
    pub fn rows(&self, events: &[RunEvent], run: &RunId, tenant: &TenantId, at: Time) -> Vec<AuditRow> {
        let rows = events.iter().filter_map(|event| match (&self.on, AuditedEvent::of(event)) {
            (DecisionSubject::Call { call, tool, about }, AuditedEvent::Decided(decided)) => {
                if decided.by != self.by || decided.effect.call != *call || decided.has_row(events) {
                    return None;
                }
                let details = json!({ "key": decided.effect.key(run), "decision": decided.said });
                let row = self.row(decided.kind, tool, details, run, tenant, at);
                let Some(status) = decided.status else { return Some(row) };
                Some(AuditRow { call: Some(about.key(run)), changes: true, status, ..row })
            }
            (DecisionSubject::Node(asked), AuditedEvent::Answered { node, by, decision }) => {
                let (kind, said) = answered(decision);
                (node == asked && by == self.by).then(|| self.row_on(asked, kind, said, run, tenant, at))
            }
            // Journal order decides: an answer that arrives together with the deadline is before it, and may leave the
            // deadline without effect.
            (DecisionSubject::Node(asked), AuditedEvent::Ended(ended)) => {
                let is_its =
                    ended.node == *asked && self.by == DEADLINE_ACTOR && !is_by_answer(&ended.how, events, asked);
                let (kind, said) = is_its.then(|| deadline_decision(&ended.how)).flatten()?;
                Some(self.row_on(asked, kind, said, run, tenant, at))
            }
            (
                DecisionSubject::Call { .. },
                AuditedEvent::Answered { .. }
                | AuditedEvent::Ended(_)
                | AuditedEvent::Refused { .. }
                | AuditedEvent::Nothing,
            )
            | (
                DecisionSubject::Node(_),
                AuditedEvent::Decided(_) | AuditedEvent::Refused { .. } | AuditedEvent::Nothing,
            ) => None,
        });
        rows.collect()
    }

    fn row_on(&self, node: &NodeAddress, kind: &str, said: &str, run: &RunId, tenant: &TenantId, at: Time) -> AuditRow {
        let details = json!({ "node": node.to_string(), "decision": said });
        self.row(kind, node.node.as_str(), details, run, tenant, at)
    }

    fn row(&self, kind: &str, action: &str, details: Value, run: &RunId, tenant: &TenantId, at: Time) -> AuditRow {
        let mut details = details;
        match &self.via {
            Some(DecisionChannel::CommandLine) => details["via"] = "command_line".into(),
            Some(DecisionChannel::Link { asked_by }) => {
                details["via"] = "link".into();
                details["link_asked_by"] = asked_by.as_str().into();
            }
            None => {}
        }
        let row = decision_row(kind, action, details, run, tenant, at);
        AuditRow { user_id: Some(self.by.clone()), ..row }
    }
}

/// Audit rows of tools that agents asked for and may not use. `run` is the state after these events.
pub fn refused_tool_rows(events: &[RunEvent], run: &Run, id: &RunId, tenant: &TenantId, at: Time) -> Vec<AuditRow> {
    let rows = events.iter().filter_map(|event| match AuditedEvent::of(event) {
        AuditedEvent::Refused { node, tool, fault } => {
            // A model writes the name at any length, and the error repeats it.
            let cut = |text: &str, most: usize| {
                let text = redact::text(text);
                text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
            };
            let error = cut(&fault.message, ERROR_BYTES_MAX);
            let details = json!({ "node": node.to_string(), "error_code": fault.code, "error": error });
            let row = decision_row(REFUSED, &cut(tool, TOOL_BYTES_MAX), details, id, tenant, at);
            let caller = run.started().map(|started| &started.caller);
            Some(AuditRow {
                user_id: caller.and_then(|caller| caller.user_id.clone()),
                conversation_id: caller.and_then(|caller| caller.conversation_id.clone()),
                agent_name: run.agent_at(node).map(str::to_owned),
                status: AuditStatus::Error,
                error_code: Some(fault.code.to_string()),
                ..row
            })
        }
        AuditedEvent::Decided(_) | AuditedEvent::Answered { .. } | AuditedEvent::Ended(_) | AuditedEvent::Nothing => {
            None
        }
    });
    rows.collect()
}

/// An audit row for something other than an attempt at a call.
fn decision_row(kind: &str, action: &str, details: Value, run: &RunId, tenant: &TenantId, at: Time) -> AuditRow {
    AuditRow {
        at,
        company_id: tenant.clone(),
        run: Some(run.clone()),
        call: None,
        changes: false,
        user_id: None,
        agent_name: None,
        conversation_id: None,
        action_type: kind.to_owned(),
        action: action.to_owned(),
        details: details.into(),
        status: AuditStatus::Success,
        sent: false,
        error_code: None,
        cost: Usd::ZERO,
        duration_ms: 0,
        erases: Vec::new(),
    }
}

/// The kind and action of a person's answer to a node.
fn answered(decision: &HumanDecision) -> (&'static str, &'static str) {
    match decision {
        HumanDecision::Approve { .. } => (APPROVAL, "approved"),
        HumanDecision::Reject { .. } => (APPROVAL, "rejected"),
        HumanDecision::Fill { .. } => (FORM, "filled"),
    }
}

/// The decision of the deadline, if the deadline ended a node this way.
fn deadline_decision(how: &NodeOutcome) -> Option<(&'static str, &'static str)> {
    match how {
        NodeOutcome::Completed { output } => Some(match output.get("decision").and_then(Value::as_str) {
            Some("approved") => (APPROVAL, "approved"),
            Some("rejected") => (APPROVAL, "rejected"),
            Some(_) | None => (FORM, "default"),
        }),
        NodeOutcome::Failed { fault } | NodeOutcome::Caught { fault } => {
            (fault.code == REJECTED).then_some((APPROVAL, "rejected"))
        }
        NodeOutcome::Answered | NodeOutcome::Skipped | NodeOutcome::Cancelled => None,
    }
}

/// Whether an answer among the events ended its node this way, and not the deadline after it.
fn is_by_answer(how: &NodeOutcome, events: &[RunEvent], asked: &NodeAddress) -> bool {
    let of = |who: &str| match how {
        NodeOutcome::Completed { output } => {
            output["by"].as_array().is_none_or(|all| all.iter().any(|one| one.as_str() == Some(who)))
        }
        NodeOutcome::Answered
        | NodeOutcome::Skipped
        | NodeOutcome::Failed { .. }
        | NodeOutcome::Caught { .. }
        | NodeOutcome::Cancelled => true,
    };
    events.iter().any(|event| match AuditedEvent::of(event) {
        AuditedEvent::Answered { node, by, decision: HumanDecision::Approve { .. } } => {
            node == asked && matches!(how, NodeOutcome::Completed { .. }) && of(by)
        }
        AuditedEvent::Answered {
            node, decision: HumanDecision::Reject { .. } | HumanDecision::Fill { .. }, ..
        } => node == asked,
        AuditedEvent::Decided(_) | AuditedEvent::Ended(_) | AuditedEvent::Refused { .. } | AuditedEvent::Nothing => {
            false
        }
    })
}

/// The part of an event that the audit trail may record.
enum AuditedEvent<'a> {
    /// A decision about a call.
    Decided(CallDecision<'a>),
    /// An answer to a node that asked.
    Answered {
        node: &'a NodeAddress,
        by: &'a str,
        decision: &'a HumanDecision,
    },
    /// A node ended, perhaps because nobody answered in time.
    Ended(&'a NodeEnded),
    /// A tool that the agent may not use.
    Refused {
        node: &'a NodeAddress,
        tool: &'a str,
        fault: &'a Fault,
    },
    Nothing,
}

/// A decision about a call.
struct CallDecision<'a> {
    effect: &'a EffectId,
    by: &'a str,
    kind: &'static str,
    said: &'static str,
    /// The status that the decision gives the call.
    status: Option<AuditStatus>,
    /// Whether it summarises people's decisions, each of which may have its own row.
    sums_up: bool,
}

impl<'a> CallDecision<'a> {
    fn of(effect: &'a EffectId, by: &'a str, kind: &'static str, said: &'static str) -> Self {
        Self { effect, by, kind, said, status: None, sums_up: false }
    }

    /// Whether the same decision already has a row: if several approvals were needed, that of the last one.
    fn has_row(&self, events: &[RunEvent]) -> bool {
        let is_it = |other: &RunEvent| match AuditedEvent::of(other) {
            AuditedEvent::Decided(one) => {
                !one.sums_up && one.kind == APPROVAL && one.effect == self.effect && one.by == self.by
            }
            AuditedEvent::Answered { .. }
            | AuditedEvent::Ended(_)
            | AuditedEvent::Refused { .. }
            | AuditedEvent::Nothing => false,
        };
        self.sums_up && events.iter().any(is_it)
    }
}

impl<'a> AuditedEvent<'a> {
    /// The match lists every kind, so a new kind of event must be considered here.
    fn of(event: &'a RunEvent) -> Self {
        match event {
            RunEvent::Approved { effect, by, .. } => Self::decided(effect, by, APPROVAL, "approved"),
            RunEvent::Unblocked { effect, by, .. } => {
                Self::Decided(CallDecision { sums_up: true, ..CallDecision::of(effect, by, APPROVAL, "approved") })
            }
            RunEvent::Replied { effect, by, said, .. } => Self::decided(
                effect,
                by,
                FORM,
                match said {
                    QuestionOutcome::Filled { .. } => "filled",
                    QuestionOutcome::Declined => "declined",
                    QuestionOutcome::Lapsed => "lapsed",
                },
            ),
            RunEvent::NotDone { effect, fault, .. }
            | RunEvent::NotUndone { effect, fault }
            | RunEvent::Doubted { effect, fault, .. } => match &fault.by {
                Some(by) if fault.code == REJECTED => Self::decided(effect, by, APPROVAL, "rejected"),
                Some(_) | None => Self::Nothing,
            },
            RunEvent::Resolved { effect, by, resolution } => Self::resolved(effect, by, resolution),
            RunEvent::UndoAgain { effect, by } => Self::decided(effect, by, RESOLUTION, "undo_again"),
            RunEvent::UndoneByHand { effect, by } => {
                Self::settled(effect, by, "undone_by_hand", Some(AuditStatus::Compensated))
            }
            RunEvent::Answered { node, by, decision } => Self::Answered { node, by, decision },
            RunEvent::Ended(ended) => Self::Ended(ended),
            RunEvent::RequestRefused { node, tool, fault, .. } => Self::Refused { node, tool, fault },
            RunEvent::Started(_)
            | RunEvent::Scheduled(_)
            | RunEvent::Sending { .. }
            | RunEvent::Unsent { .. }
            | RunEvent::TakenOver { .. }
            | RunEvent::Done(_)
            | RunEvent::Degraded { .. }
            | RunEvent::HoldLost { .. }
            | RunEvent::Blocked { .. }
            | RunEvent::ArrivedLate(_)
            | RunEvent::Abandoned { .. }
            | RunEvent::Began { .. }
            | RunEvent::Stepped { .. }
            | RunEvent::AgentReplaced { .. }
            | RunEvent::CustomerAsked { .. }
            | RunEvent::VariableSet { .. }
            | RunEvent::ScopeOpened { .. }
            | RunEvent::ScopeWinding { .. }
            | RunEvent::ScopeClosed { .. }
            | RunEvent::BranchesCut { .. }
            | RunEvent::SignalKept { .. }
            | RunEvent::SignalTaken { .. }
            | RunEvent::SignalHeld { .. }
            | RunEvent::Paused { .. }
            | RunEvent::Resumed { .. }
            | RunEvent::NodeWinding { .. }
            | RunEvent::ChildCancelling { .. }
            | RunEvent::Winding { .. }
            | RunEvent::Compensating
            | RunEvent::ChildUndoing { .. }
            | RunEvent::ChildUndone { .. }
            | RunEvent::Aftermath
            | RunEvent::Finished(_)
            | RunEvent::Reopened(_)
            | RunEvent::Forked(_)
            | RunEvent::JournalFilling { .. } => Self::Nothing,
        }
    }

    fn resolved(effect: &'a EffectId, by: &'a str, resolution: &DoubtResolution) -> Self {
        let is_undoing = effect.call.role == CallRole::Undo;
        match resolution {
            DoubtResolution::Done { .. } if is_undoing => {
                Self::settled(effect, by, "done", Some(AuditStatus::Compensated))
            }
            DoubtResolution::Done { .. } => Self::settled(effect, by, "done", Some(AuditStatus::Success)),
            DoubtResolution::NotDone if is_undoing => Self::settled(effect, by, "not_done", None),
            DoubtResolution::NotDone => Self::settled(effect, by, "not_done", Some(AuditStatus::Error)),
            DoubtResolution::Repeat => Self::settled(effect, by, "repeat", None),
        }
    }

    fn settled(effect: &'a EffectId, by: &'a str, said: &'static str, status: Option<AuditStatus>) -> Self {
        Self::Decided(CallDecision { status, ..CallDecision::of(effect, by, RESOLUTION, said) })
    }

    fn decided(effect: &'a EffectId, by: &'a str, kind: &'static str, said: &'static str) -> Self {
        Self::Decided(CallDecision::of(effect, by, kind, said))
    }
}
