//! What a run adds to the audit trail: which call a row is of, and rows of what people decided.

use baton_core::fault::code::REJECTED;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::run::{Address, CallId, Command, DEADLINE, Decision, EffectId, Event, How, Resolution, Role, Run};
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

/// Whether an answer among the events ended its node so, and not the deadline behind it.
fn is_by_answer(how: &How, events: &[Event], asked: &Address) -> bool {
    let of = |who: &str| match how {
        How::Completed { output } => {
            output["by"].as_array().is_none_or(|all| all.iter().any(|one| one.as_str() == Some(who)))
        }
        _ => true,
    };
    events.iter().any(|event| match event {
        Event::Answered { node, by, decision: Decision::Approve { .. } } => {
            node == asked && matches!(how, How::Completed { .. }) && of(by)
        }
        Event::Answered { node, .. } => node == asked,
        _ => false,
    })
}

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
    /// the clock's may be among them whatever it is.
    pub fn of(command: &Command, run: &Run, now: Time) -> Vec<Self> {
        let own = match command {
            Command::Approve { effect, by, .. }
            | Command::Fill { effect, by, .. }
            | Command::Resolve { effect, by, .. } => Some(Self::on_call(&effect.call, run, by)),
            Command::Answer { node, by, .. } => Some(Self { by: by.clone(), on: On::Node(node.clone()) }),
            _ => None,
        };
        let calls = run.lapsed_leaves(now).map(|effect| Self::on_call(&effect.call, run, DEADLINE));
        let nodes = run.lapsed_questions(now);
        let nodes = nodes.map(|node| Self { by: DEADLINE.to_owned(), on: On::Node(node.clone()) });
        own.into_iter().chain(calls).chain(nodes).collect()
    }

    fn on_call(call: &CallId, run: &Run, by: &str) -> Self {
        let undoes = run.saga().undoes(call);
        let tool = run.tool_of(call).or(undoes.map(|(_, tool)| tool)).unwrap_or(MODEL).to_owned();
        let about = undoes.map_or(call, |(acted, _)| &acted.call).clone();
        Self { by: by.to_owned(), on: On::Call { call: call.clone(), tool, about } }
    }

    /// The rows of what came of it.
    pub fn rows(&self, events: &[Event], run: &RunId, tenant: &TenantId, at: Time) -> Vec<AuditRow> {
        let rows = events.iter().filter_map(|event| match &self.on {
            On::Call { call, tool, about } => {
                let decided =
                    Decided::of_call(event, events, &self.by).filter(|decided| decided.effect.call == *call)?;
                let details = json!({ "key": decided.effect.key(run), "decision": decided.said });
                let row = self.row(decided.kind, tool, details, run, tenant, at);
                let Some(status) = decided.status else { return Some(row) };
                Some(AuditRow { call: Some(about.key(run)), changes: true, status, ..row })
            }
            On::Node(node) => {
                let (kind, said) = self.on_node(event, events, node)?;
                let details = json!({ "node": node.to_string(), "decision": said });
                Some(self.row(kind, node.node.as_str(), details, run, tenant, at))
            }
        });
        rows.collect()
    }

    fn on_node(&self, event: &Event, events: &[Event], asked: &Address) -> Option<(&'static str, &'static str)> {
        match event {
            Event::Answered { node, by, decision } if node == asked && *by == self.by => Some(match decision {
                Decision::Approve { .. } => (APPROVAL, "approved"),
                Decision::Reject { .. } => (APPROVAL, "rejected"),
                Decision::Fill { .. } => (FORM, "filled"),
            }),
            // Journal order decides: an answer that comes with the deadline is before it, and may leave it nothing to say.
            Event::Ended(ended)
                if ended.node == *asked && self.by == DEADLINE && !is_by_answer(&ended.how, events, asked) =>
            {
                match &ended.how {
                    How::Completed { output } => match output.get("decision").and_then(Value::as_str) {
                        Some("approved") => Some((APPROVAL, "approved")),
                        Some("rejected") => Some((APPROVAL, "rejected")),
                        _ => Some((FORM, "default")),
                    },
                    How::Failed { fault } | How::Caught { fault } if fault.code == REJECTED => {
                        Some((APPROVAL, "rejected"))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn row(&self, kind: &str, action: &str, details: Value, run: &RunId, tenant: &TenantId, at: Time) -> AuditRow {
        AuditRow {
            at,
            company_id: tenant.clone(),
            run: Some(run.clone()),
            call: None,
            changes: false,
            user_id: Some(self.by.clone()),
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
}

/// What was decided about a call.
struct Decided<'a> {
    effect: &'a EffectId,
    kind: &'static str,
    said: &'static str,
    /// What it makes of the call.
    status: Option<AuditStatus>,
}

impl<'a> Decided<'a> {
    fn of_call(event: &'a Event, events: &[Event], word_of: &str) -> Option<Self> {
        let approval = |effect, said| Some(Self { effect, kind: APPROVAL, said, status: None });
        let resolution = |effect, said, status| Some(Self { effect, kind: RESOLUTION, said, status });
        match event {
            Event::Approved { effect, by, .. } if by == word_of => approval(effect, "approved"),
            Event::Unblocked { effect, by, .. } if by == word_of => {
                // Where several were needed, the last one's word has its row already.
                let has_row = |other: &Event| matches!(other, Event::Approved { effect: of, by, .. } if of == effect && by == word_of);
                if events.iter().any(has_row) { None } else { approval(effect, "approved") }
            }
            Event::Replied { effect, by, said, .. } if by == word_of => {
                let said = match said {
                    Said::Filled { .. } => "filled",
                    Said::Declined => "declined",
                    Said::Lapsed => "lapsed",
                };
                Some(Self { effect, kind: FORM, said, status: None })
            }
            Event::NotDone { effect, fault, .. }
            | Event::NotUndone { effect, fault }
            | Event::Doubted { effect, fault, .. }
                if fault.code == REJECTED && fault.message.starts_with(&format!("`{word_of}` ")) =>
            {
                approval(effect, "rejected")
            }
            Event::Resolved { effect, resolution: word, .. } => match word {
                Resolution::Done { .. } if effect.call.role == Role::Undo => {
                    resolution(effect, "done", Some(AuditStatus::Compensated))
                }
                Resolution::Done { .. } => resolution(effect, "done", Some(AuditStatus::Success)),
                Resolution::NotDone if effect.call.role == Role::Undo => resolution(effect, "not_done", None),
                Resolution::NotDone => resolution(effect, "not_done", Some(AuditStatus::Error)),
                Resolution::Repeat => resolution(effect, "repeat", None),
            },
            Event::UndoAgain { effect, by } if by == word_of => resolution(effect, "undo_again", None),
            Event::UndoneByHand { effect, .. } => resolution(effect, "undone_by_hand", Some(AuditStatus::Compensated)),
            _ => None,
        }
    }
}
