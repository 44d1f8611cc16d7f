//! What a run adds to the audit trail: which call a row is of, and rows of what people decided and of what agents may not
//! have.

use std::collections::BTreeSet;

use baton_core::fault::Fault;
use baton_core::fault::code::REJECTED;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::redact;
use baton_core::run::{
    Address, CallId, Command, DEADLINE, Decision, EffectId, Ended, Event, How, Resolution, Role, Run, Via,
};
use baton_core::time::Time;
use baton_core::tool::{AuditRow, AuditStatus, Said};
use serde_json::{Value, json};

/// What a person's leave for a call is called.
const APPROVAL: &str = "approval";
/// What a call that is no tool's is called: one that waited for money.
const MODEL: &str = "model";
/// What a filled form is called.
const FORM: &str = "form";
/// What a person's word on a doubted call is called.
const RESOLUTION: &str = "resolution";
/// What a tool that an agent may not have is called: as one that nobody knows.
const REFUSED: &str = "tool_execution";
/// Bytes of the name of such a tool.
const TOOL_BYTES_MAX: usize = 200;
/// Bytes of why, in the trail.
const ERROR_BYTES_MAX: usize = 1_000;

/// The row of an attempt. One that undoes says what became of the call it undoes.
pub fn of_attempt(row: AuditRow, effect: &EffectId, run: &Run, id: &RunId) -> AuditRow {
    let undoes = run.saga().undoes(&effect.call).filter(|_| row.status == AuditStatus::Success);
    if let Some((acted, _)) = undoes {
        let call = Some(acted.call.key(id));
        return AuditRow { call, changes: true, status: AuditStatus::Compensated, ..row };
    }
    AuditRow { call: Some(effect.call.key(id)), ..row }
}

/// Somebody's word on what waits for a person, or the clock's where nobody gave one in time.
pub struct Word {
    by: String,
    /// How it came in, where it came with no key or token of the person's own.
    via: Option<Via>,
    on: On,
}

enum On {
    /// An open call.
    Call {
        call: CallId,
        tool: String,
        /// The call whose status it may change: the one that is undone, where it is about undoing.
        about: CallId,
    },
    /// A `human` node.
    Node(Address),
}

impl Word {
    /// The words that a command may come to; `run` is as it was before. What is due is looked at after any command, so
    /// the clock's may be among them whatever it is: also on a call that this very command brings before people too late.
    pub fn of(command: &Command, run: &Run, now: Time) -> Vec<Self> {
        let own = match command {
            Command::Fill { effect, by, .. } | Command::Resolve { effect, by, .. } => {
                Some(Self::on_call(&effect.call, run, by))
            }
            Command::Approve { effect, by, .. } => {
                Some(Self { via: by.via.clone(), ..Self::on_call(&effect.call, run, &by.name) })
            }
            Command::Answer { node, by, .. } => {
                Some(Self { by: by.name.clone(), via: by.via.clone(), on: On::Node(node.clone()) })
            }
            Command::Start { .. }
            | Command::Outcome { .. }
            | Command::Sending { .. }
            | Command::TakenOver { .. }
            | Command::Wake
            | Command::Stepped { .. }
            | Command::Signal(_)
            | Command::KeyGiven { .. }
            | Command::ChildEnded { .. }
            | Command::ChildUndone { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Cancel { .. }
            | Command::Retry { .. }
            | Command::Rollback { .. }
            | Command::Fork { .. } => None,
        };
        let outcome_of = match command {
            Command::Outcome { effect, .. } => Some(effect.call.clone()),
            _ => None,
        };
        let calls: BTreeSet<CallId> = run.lapsed_leaves(now).map(|effect| effect.call).chain(outcome_of).collect();
        let calls = calls.iter().map(|call| Self::on_call(call, run, DEADLINE));
        let nodes = run.lapsed_questions(now);
        let nodes = nodes.map(|node| Self { by: DEADLINE.to_owned(), via: None, on: On::Node(node.clone()) });
        own.into_iter().chain(calls).chain(nodes).collect()
    }

    fn on_call(call: &CallId, run: &Run, by: &str) -> Self {
        let undoes = run.saga().undoes(call);
        let tool = run.tool_of(call).or(undoes.map(|(_, tool)| tool)).unwrap_or(MODEL).to_owned();
        let about = undoes.map_or(call, |(acted, _)| &acted.call).clone();
        Self { by: by.to_owned(), via: None, on: On::Call { call: call.clone(), tool, about } }
    }

    /// The rows of what came of it.
    pub fn rows(&self, events: &[Event], run: &RunId, tenant: &TenantId, at: Time) -> Vec<AuditRow> {
        let rows = events.iter().filter_map(|event| match (&self.on, Kept::of(event)) {
            (On::Call { call, tool, about }, Kept::Decided(decided)) => {
                if decided.by != self.by || decided.effect.call != *call || decided.has_row(events) {
                    return None;
                }
                let details = json!({ "key": decided.effect.key(run), "decision": decided.said });
                let row = self.row(decided.kind, tool, details, run, tenant, at);
                let Some(status) = decided.status else { return Some(row) };
                Some(AuditRow { call: Some(about.key(run)), changes: true, status, ..row })
            }
            (On::Node(asked), Kept::Answered { node, by, decision }) => {
                let (kind, said) = answered(decision);
                (node == asked && by == self.by).then(|| self.row_on(asked, kind, said, run, tenant, at))
            }
            // Journal order decides: an answer that comes with the deadline is before it, and may leave it nothing to say.
            (On::Node(asked), Kept::Ended(ended)) => {
                let is_its = ended.node == *asked && self.by == DEADLINE && !is_by_answer(&ended.how, events, asked);
                let (kind, said) = is_its.then(|| lapsed(&ended.how)).flatten()?;
                Some(self.row_on(asked, kind, said, run, tenant, at))
            }
            (On::Call { .. }, Kept::Answered { .. } | Kept::Ended(_) | Kept::Refused { .. } | Kept::Nothing)
            | (On::Node(_), Kept::Decided(_) | Kept::Refused { .. } | Kept::Nothing) => None,
        });
        rows.collect()
    }

    fn row_on(&self, node: &Address, kind: &str, said: &str, run: &RunId, tenant: &TenantId, at: Time) -> AuditRow {
        let details = json!({ "node": node.to_string(), "decision": said });
        self.row(kind, node.node.as_str(), details, run, tenant, at)
    }

    fn row(&self, kind: &str, action: &str, details: Value, run: &RunId, tenant: &TenantId, at: Time) -> AuditRow {
        let mut details = details;
        match &self.via {
            Some(Via::CommandLine) => details["via"] = "command_line".into(),
            Some(Via::Link { asked_by }) => {
                details["via"] = "link".into();
                details["link_asked_by"] = asked_by.as_str().into();
            }
            None => {}
        }
        let row = bare(kind, action, details, run, tenant, at);
        AuditRow { user_id: Some(self.by.clone()), ..row }
    }
}

/// The rows of tools that agents asked for and may not have. `run` is as it is after these events.
pub fn refused(events: &[Event], run: &Run, id: &RunId, tenant: &TenantId, at: Time) -> Vec<AuditRow> {
    let rows = events.iter().filter_map(|event| match Kept::of(event) {
        Kept::Refused { node, tool, fault } => {
            // A model writes it, in whatever length, and the fault repeats it.
            let cut = |text: &str, most: usize| {
                let text = redact::text(text);
                text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
            };
            let error = cut(&fault.message, ERROR_BYTES_MAX);
            let details = json!({ "node": node.to_string(), "error_code": fault.code, "error": error });
            let row = bare(REFUSED, &cut(tool, TOOL_BYTES_MAX), details, id, tenant, at);
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
        Kept::Decided(_) | Kept::Answered { .. } | Kept::Ended(_) | Kept::Nothing => None,
    });
    rows.collect()
}

/// A row of something that is no attempt at a call.
fn bare(kind: &str, action: &str, details: Value, run: &RunId, tenant: &TenantId, at: Time) -> AuditRow {
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

/// What a person's answer to a node is called.
fn answered(decision: &Decision) -> (&'static str, &'static str) {
    match decision {
        Decision::Approve { .. } => (APPROVAL, "approved"),
        Decision::Reject { .. } => (APPROVAL, "rejected"),
        Decision::Fill { .. } => (FORM, "filled"),
    }
}

/// What the deadline said where it ended a node so.
fn lapsed(how: &How) -> Option<(&'static str, &'static str)> {
    match how {
        How::Completed { output } => Some(match output.get("decision").and_then(Value::as_str) {
            Some("approved") => (APPROVAL, "approved"),
            Some("rejected") => (APPROVAL, "rejected"),
            Some(_) | None => (FORM, "default"),
        }),
        How::Failed { fault } | How::Caught { fault } => (fault.code == REJECTED).then_some((APPROVAL, "rejected")),
        How::Answered | How::Skipped | How::Cancelled => None,
    }
}

/// Whether an answer among the events ended its node so, and not the deadline behind it.
fn is_by_answer(how: &How, events: &[Event], asked: &Address) -> bool {
    let of = |who: &str| match how {
        How::Completed { output } => {
            output["by"].as_array().is_none_or(|all| all.iter().any(|one| one.as_str() == Some(who)))
        }
        How::Answered | How::Skipped | How::Failed { .. } | How::Caught { .. } | How::Cancelled => true,
    };
    events.iter().any(|event| match Kept::of(event) {
        Kept::Answered { node, by, decision: Decision::Approve { .. } } => {
            node == asked && matches!(how, How::Completed { .. }) && of(by)
        }
        Kept::Answered { node, decision: Decision::Reject { .. } | Decision::Fill { .. }, .. } => node == asked,
        Kept::Decided(_) | Kept::Ended(_) | Kept::Refused { .. } | Kept::Nothing => false,
    })
}

/// What of an event the trail may keep.
enum Kept<'a> {
    /// What was decided about a call.
    Decided(Decided<'a>),
    /// What was said to a node that asked.
    Answered {
        node: &'a Address,
        by: &'a str,
        decision: &'a Decision,
    },
    /// A node is settled, perhaps since nobody answered in time.
    Ended(&'a Ended),
    /// A tool that an agent may not have.
    Refused {
        node: &'a Address,
        tool: &'a str,
        fault: &'a Fault,
    },
    Nothing,
}

/// What was decided about a call.
struct Decided<'a> {
    effect: &'a EffectId,
    by: &'a str,
    kind: &'static str,
    said: &'static str,
    /// What it makes of the call.
    status: Option<AuditStatus>,
    /// Whether it follows from people's words, each of which may have its row.
    sums_up: bool,
}

impl<'a> Decided<'a> {
    fn of(effect: &'a EffectId, by: &'a str, kind: &'static str, said: &'static str) -> Self {
        Self { effect, by, kind, said, status: None, sums_up: false }
    }

    /// Whether the same word has its row already: where several were needed, the last one's.
    fn has_row(&self, events: &[Event]) -> bool {
        let is_it = |other: &Event| match Kept::of(other) {
            Kept::Decided(one) => {
                !one.sums_up && one.kind == APPROVAL && one.effect == self.effect && one.by == self.by
            }
            Kept::Answered { .. } | Kept::Ended(_) | Kept::Refused { .. } | Kept::Nothing => false,
        };
        self.sums_up && events.iter().any(is_it)
    }
}

impl<'a> Kept<'a> {
    /// A kind of event that is new is thought about here.
    fn of(event: &'a Event) -> Self {
        match event {
            Event::Approved { effect, by, .. } => Self::decided(effect, by, APPROVAL, "approved"),
            Event::Unblocked { effect, by, .. } => {
                Self::Decided(Decided { sums_up: true, ..Decided::of(effect, by, APPROVAL, "approved") })
            }
            Event::Replied { effect, by, said, .. } => Self::decided(
                effect,
                by,
                FORM,
                match said {
                    Said::Filled { .. } => "filled",
                    Said::Declined => "declined",
                    Said::Lapsed => "lapsed",
                },
            ),
            Event::NotDone { effect, fault, .. }
            | Event::NotUndone { effect, fault }
            | Event::Doubted { effect, fault, .. } => match &fault.by {
                Some(by) if fault.code == REJECTED => Self::decided(effect, by, APPROVAL, "rejected"),
                Some(_) | None => Self::Nothing,
            },
            Event::Resolved { effect, by, resolution } => Self::resolved(effect, by, resolution),
            Event::UndoAgain { effect, by } => Self::decided(effect, by, RESOLUTION, "undo_again"),
            Event::UndoneByHand { effect, by } => {
                Self::settled(effect, by, "undone_by_hand", Some(AuditStatus::Compensated))
            }
            Event::Answered { node, by, decision } => Self::Answered { node, by, decision },
            Event::Ended(ended) => Self::Ended(ended),
            Event::RequestRefused { node, tool, fault, .. } => Self::Refused { node, tool, fault },
            Event::Started(_)
            | Event::Scheduled(_)
            | Event::Sending { .. }
            | Event::Unsent { .. }
            | Event::TakenOver { .. }
            | Event::Done(_)
            | Event::Degraded { .. }
            | Event::HoldLost { .. }
            | Event::Blocked { .. }
            | Event::ArrivedLate(_)
            | Event::Abandoned { .. }
            | Event::Began { .. }
            | Event::Stepped { .. }
            | Event::AgentReplaced { .. }
            | Event::CustomerAsked { .. }
            | Event::VariableSet { .. }
            | Event::ScopeOpened { .. }
            | Event::ScopeWinding { .. }
            | Event::ScopeClosed { .. }
            | Event::BranchesCut { .. }
            | Event::SignalKept { .. }
            | Event::SignalTaken { .. }
            | Event::SignalHeld { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::NodeWinding { .. }
            | Event::ChildCancelling { .. }
            | Event::Winding { .. }
            | Event::Compensating
            | Event::ChildUndoing { .. }
            | Event::ChildUndone { .. }
            | Event::Aftermath
            | Event::Finished(_)
            | Event::Reopened(_)
            | Event::Forked(_)
            | Event::JournalFilling { .. } => Self::Nothing,
        }
    }

    fn resolved(effect: &'a EffectId, by: &'a str, resolution: &Resolution) -> Self {
        let is_undoing = effect.call.role == Role::Undo;
        match resolution {
            Resolution::Done { .. } if is_undoing => Self::settled(effect, by, "done", Some(AuditStatus::Compensated)),
            Resolution::Done { .. } => Self::settled(effect, by, "done", Some(AuditStatus::Success)),
            Resolution::NotDone if is_undoing => Self::settled(effect, by, "not_done", None),
            Resolution::NotDone => Self::settled(effect, by, "not_done", Some(AuditStatus::Error)),
            Resolution::Repeat => Self::settled(effect, by, "repeat", None),
        }
    }

    fn settled(effect: &'a EffectId, by: &'a str, said: &'static str, status: Option<AuditStatus>) -> Self {
        Self::Decided(Decided { status, ..Decided::of(effect, by, RESOLUTION, said) })
    }

    fn decided(effect: &'a EffectId, by: &'a str, kind: &'static str, said: &'static str) -> Self {
        Self::Decided(Decided::of(effect, by, kind, said))
    }
}
