//! `human`: a person approves, rejects, or fills in a form.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::address::NodeAddress;
use super::super::advance::expression_fault;
use super::super::approval::{NOT_AN_APPROVER, OWN_REQUEST};
use super::super::command::HumanDecision;
use super::super::decide::RunDraft;
use super::super::decision_maker::{Assignees, DecisionMaker};
use super::super::event::{HumanPrompt, NodeWait, RunEvent};
use super::super::refusal::RunRefusal;
use super::super::state::{NodeActivity, NodeState, Run};
use super::{apply_deadline, deadline_of};
use crate::fault::{Fault, code};
use crate::graph::EdgeTrigger;
use crate::graph::node::{HumanNode, HumanTaskKind, NodeKind, OnDeadline};

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, human: &HumanNode) {
    let view = draft.view(&at.scope);
    let title = match human.title.render(&view) {
        Ok(title) => title,
        Err(error) => return draft.fail(at, expression_fault("title", &error)),
    };
    let details = match human.details.render(&view) {
        Ok(details) => details,
        Err(error) => return draft.fail(at, expression_fault("details", &error)),
    };
    let ask = match &human.task {
        HumanTaskKind::Approval { needed } => HumanPrompt::Approval { needed: *needed },
        HumanTaskKind::Form { schema } => HumanPrompt::Form { schema: schema.clone() },
    };
    let deadline = deadline_of(draft, human.deadline.after);
    let wait = NodeWait::Human { title, details, ask, assignees: human.assignees.clone(), deadline };
    draft.emit(RunEvent::Began { node: at.clone(), wait: Box::new(wait) });
}

pub fn answered(
    draft: &mut RunDraft<'_>,
    at: &NodeAddress,
    by: DecisionMaker,
    decision: HumanDecision,
) -> Result<(), RunRefusal> {
    let Some(NodeActivity::Human { ask, .. }) = draft.run.activity(at) else {
        return Err(RunRefusal::NothingWaits { node: at.to_string() });
    };
    let wrong = |expected| RunRefusal::WrongAnswer { node: at.to_string(), expected };
    match (ask, &decision) {
        (HumanPrompt::Approval { .. }, HumanDecision::Approve { .. } | HumanDecision::Reject { .. }) => {}
        (HumanPrompt::Form { schema }, HumanDecision::Fill { form }) => check_form(schema, form)?,
        (HumanPrompt::Approval { .. }, HumanDecision::Fill { .. }) => {
            return Err(wrong("an approval or a rejection, not a form"));
        }
        (HumanPrompt::Form { .. }, _) => return Err(wrong("a filled form")),
    }
    draft.run.check_answer(at, &by, matches!(decision, HumanDecision::Reject { .. }))?;
    draft.emit(RunEvent::Answered { node: at.clone(), by: by.name, decision });
    settle(draft, at);
    Ok(())
}

impl Run {
    /// Checks whether this person's answer at an open `human` node counts: they are asked, it is not their own request,
    /// and they have not answered yet. A requester may withdraw the request.
    ///
    /// # Errors
    /// The reason why it does not count.
    pub fn check_answer(&self, at: &NodeAddress, by: &DecisionMaker, is_rejection: bool) -> Result<(), RunRefusal> {
        let Some(NodeActivity::Human { ask, answers, assignees, .. }) = self.activity(at) else {
            return Err(RunRefusal::NothingWaits { node: at.to_string() });
        };
        let no = |reason| Err(RunRefusal::NotAllowed { what: at.to_string(), by: by.name.clone(), reason });
        if let Some(reason) = self.link_rejection(by) {
            return no(reason);
        }
        let is_own = self.is_requested_by(&by.name) && matches!(ask, HumanPrompt::Approval { .. });
        if is_own && !is_rejection {
            return no(OWN_REQUEST);
        }
        // Old snapshots do not contain the assignees: they are read from the version.
        let of_version = || match self.place(at).map(|(scope, place)| &scope.graph.node(place).kind) {
            Some(NodeKind::Human(human)) => human.assignees.clone(),
            Some(_) | None => Value::Null,
        };
        let is_asked = match assignees {
            Some(assignees) => Assignees::includes(assignees, by),
            None => Assignees::includes(&of_version(), by),
        };
        if !is_own && !is_asked {
            return no(NOT_AN_APPROVER);
        }
        if answers.iter().any(|(who, _)| *who == by.name) {
            return Err(RunRefusal::AnsweredTwice { node: at.to_string(), by: by.name.clone() });
        }
        Ok(())
    }
}

/// Checks a form. The error does not contain the invalid value: it may be private, and a refusal is shown and logged.
pub fn check_form(schema: &Value, form: &Value) -> Result<(), RunRefusal> {
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| RunRefusal::Impossible { reason: format!("the form's schema cannot be used: {error}") })?;
    validator.validate(form).map_err(|error| RunRefusal::UnfitForm {
        place: error.instance_path().to_string(),
        reason: error.masked().to_string(),
    })
}

fn settle(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let Some(NodeActivity::Human { ask, answers, .. }) = draft.run.activity(at) else { return };
    let by: Vec<&str> = answers.iter().map(|(who, _)| who.as_str()).collect();
    let approvals = answers.iter().filter(|(_, decision)| matches!(decision, HumanDecision::Approve { .. })).count();
    let rejection = answers.iter().find_map(|(who, decision)| match decision {
        HumanDecision::Reject { note } => Some((who.clone(), note.clone())),
        HumanDecision::Approve { .. } | HumanDecision::Fill { .. } => None,
    });
    let form = answers.iter().find_map(|(_, decision)| match decision {
        HumanDecision::Fill { form } => Some(form.clone()),
        HumanDecision::Approve { .. } | HumanDecision::Reject { .. } => None,
    });
    match (ask, rejection, form) {
        (HumanPrompt::Form { .. }, _, Some(form)) => draft.complete(at, Arc::new(form), Some("form")),
        (HumanPrompt::Approval { .. }, Some((who, note)), _) => reject(draft, at, &who, &note),
        (HumanPrompt::Approval { needed }, None, _) if approvals >= *needed as usize => {
            let output = json!({ "decision": "approved", "by": by });
            draft.complete(at, Arc::new(output), Some("approved"));
        }
        _ => {}
    }
}

/// A rejection follows the edge `rejected` if there is one; otherwise the node fails.
fn reject(draft: &mut RunDraft<'_>, at: &NodeAddress, by: &str, note: &str) {
    let Some((graph, place)) = draft.node(at) else { return };
    let rejected = EdgeTrigger::Branch("rejected".to_owned());
    if graph.outgoing(place).iter().any(|edge| graph.edge(*edge).when == rejected) {
        let output = json!({ "decision": "rejected", "by": [by], "note": note });
        draft.complete(at, Arc::new(output), Some("rejected"));
    } else {
        let note = if note.is_empty() { String::new() } else { format!(": {note}") };
        draft.fail(at, Fault::new(code::REJECTED, format!("`{by}` rejected `{}`{note}", at.node)));
    }
}

pub fn deadline(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let then = draft.with_node(at, |node| match &node.kind {
        NodeKind::Human(human) => human.deadline.on_expiry.clone(),
        _ => OnDeadline::Fail,
    });
    match then.unwrap_or_default() {
        OnDeadline::Approve => {
            draft.complete(at, Arc::new(json!({ "decision": "approved", "by": ["deadline"] })), Some("approved"));
        }
        OnDeadline::Reject => reject(draft, at, "deadline", "nobody answered in time"),
        then @ (OnDeadline::Fail | OnDeadline::Default(_)) => apply_deadline(draft, at, &then),
    }
}

/// Returns how a `human` node was settled before an answer arrived too late.
pub fn settled_by(state: &NodeState) -> String {
    let word = |key: &str| state.output.get(key).and_then(Value::as_str);
    let by = state.output.get("by").and_then(Value::as_array);
    let by: Vec<&str> = by.into_iter().flatten().filter_map(Value::as_str).collect();
    match (&state.fault, word("decision")) {
        (Some(fault), _) => fault.to_string(),
        (None, Some(decision)) if !by.is_empty() => format!("{decision} by {}", by.join(", ")),
        (None, _) => state.status.word().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_does_not_fit_is_refused_with_the_place_and_the_rule_and_not_what_was_said() {
        let field = |rule: Value| json!({"type": "object", "properties": {"seat": rule}});
        for (rule, says) in [
            (json!({"type": "integer"}), "integer"),
            (json!({"enum": ["1A", "1B"]}), "1A"),
            (json!({"maxLength": 3}), "3 characters"),
            (json!({"pattern": "^[0-9]"}), "^[0-9]"),
            (json!({"const": "1A"}), "1A"),
            (json!({"oneOf": [{"const": "1A"}, {"const": "1B"}]}), "oneOf"),
        ] {
            let told = check_form(&field(rule), &json!({"seat": "private"})).unwrap_err().to_string();
            assert!(told.contains("`/seat`") && told.contains(says) && !told.contains("private"), "{told}");
        }
        let missing = json!({"type": "object", "required": ["seat"]});
        let told = check_form(&missing, &json!({"meal": "private"})).unwrap_err().to_string();
        assert!(told.contains("seat") && !told.contains("private"), "{told}");
    }
}
