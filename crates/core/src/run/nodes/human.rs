//! `human`: a person approves, rejects, or fills in a form.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::address::Address;
use super::super::advance::expression_fault;
use super::super::command::Decision;
use super::super::decide::Draft;
use super::super::decider::{Assignees, Decider};
use super::super::event::{Asked, Began, Event};
use super::super::leave::{OTHERS_ARE_ASKED, OWN_REQUEST};
use super::super::refusal::Refusal;
use super::super::state::{Activity, NodeState, Run};
use super::{at_deadline, deadline_of};
use crate::fault::{Fault, code};
use crate::graph::When;
use crate::graph::node::{Ask, AtDeadline, Human, Kind};

pub fn begin(draft: &mut Draft<'_>, at: &Address, human: &Human) {
    let view = draft.view(&at.scope);
    let title = match human.title.render(&view) {
        Ok(title) => title,
        Err(error) => return draft.fail(at, expression_fault("title", &error)),
    };
    let details = match human.details.render(&view) {
        Ok(details) => details,
        Err(error) => return draft.fail(at, expression_fault("details", &error)),
    };
    let ask = match &human.ask {
        Ask::Approval { needed } => Asked::Approval { needed: *needed },
        Ask::Form { schema } => Asked::Form { schema: schema.clone() },
    };
    let deadline = deadline_of(draft, human.deadline.after);
    let wait = Began::Human { title, details, ask, assignees: human.assignees.clone(), deadline };
    draft.emit(Event::Began { node: at.clone(), wait: Box::new(wait) });
}

pub fn answered(draft: &mut Draft<'_>, at: &Address, by: Decider, decision: Decision) -> Result<(), Refusal> {
    let Some(Activity::Human { ask, .. }) = draft.run.activity(at) else {
        return Err(Refusal::NothingWaits { node: at.to_string() });
    };
    let wrong = |expected| Refusal::WrongAnswer { node: at.to_string(), expected };
    match (ask, &decision) {
        (Asked::Approval { .. }, Decision::Approve { .. } | Decision::Reject { .. }) => {}
        (Asked::Form { schema }, Decision::Fill { form }) => fits(schema, form)?,
        (Asked::Approval { .. }, Decision::Fill { .. }) => return Err(wrong("an approval or a rejection, not a form")),
        (Asked::Form { .. }, _) => return Err(wrong("a filled form")),
    }
    draft.run.may_answer(at, &by, matches!(decision, Decision::Reject { .. }))?;
    draft.emit(Event::Answered { node: at.clone(), by: by.name, decision });
    settle(draft, at);
    Ok(())
}

impl Run {
    /// Whether this person's answer at an open `human` node counts: they are asked, it is not their own request, they have
    /// not answered yet. Whoever asked may take it back.
    ///
    /// # Errors
    /// Why it does not.
    pub fn may_answer(&self, at: &Address, by: &Decider, is_rejection: bool) -> Result<(), Refusal> {
        let Some(Activity::Human { ask, answers, assignees, .. }) = self.activity(at) else {
            return Err(Refusal::NothingWaits { node: at.to_string() });
        };
        let no = |reason| Err(Refusal::NotAllowed { what: at.to_string(), by: by.name.clone(), reason });
        if let Some(reason) = self.link_does_not_count(by) {
            return no(reason);
        }
        let is_own = self.is_asked_by(&by.name) && matches!(ask, Asked::Approval { .. });
        if is_own && !is_rejection {
            return no(OWN_REQUEST);
        }
        // Old snapshots do not say whom it asks: the version does.
        let of_version = || match self.place(at).map(|(scope, place)| &scope.graph.node(place).kind) {
            Some(Kind::Human(human)) => human.assignees.clone(),
            Some(_) | None => Value::Null,
        };
        let is_asked = match assignees {
            Some(assignees) => Assignees::ask(assignees, by),
            None => Assignees::ask(&of_version(), by),
        };
        if !is_own && !is_asked {
            return no(OTHERS_ARE_ASKED);
        }
        if answers.iter().any(|(who, _)| *who == by.name) {
            return Err(Refusal::AnsweredTwice { node: at.to_string(), by: by.name.clone() });
        }
        Ok(())
    }
}

/// What does not fit is not said: it may be private, and a refusal is shown and logged.
pub fn fits(schema: &Value, form: &Value) -> Result<(), Refusal> {
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| Refusal::Impossible { reason: format!("the form's schema cannot be used: {error}") })?;
    validator.validate(form).map_err(|error| Refusal::UnfitForm {
        place: error.instance_path().to_string(),
        reason: error.masked().to_string(),
    })
}

fn settle(draft: &mut Draft<'_>, at: &Address) {
    let Some(Activity::Human { ask, answers, .. }) = draft.run.activity(at) else { return };
    let by: Vec<&str> = answers.iter().map(|(who, _)| who.as_str()).collect();
    let approvals = answers.iter().filter(|(_, decision)| matches!(decision, Decision::Approve { .. })).count();
    let rejection = answers.iter().find_map(|(who, decision)| match decision {
        Decision::Reject { note } => Some((who.clone(), note.clone())),
        Decision::Approve { .. } | Decision::Fill { .. } => None,
    });
    let form = answers.iter().find_map(|(_, decision)| match decision {
        Decision::Fill { form } => Some(form.clone()),
        Decision::Approve { .. } | Decision::Reject { .. } => None,
    });
    match (ask, rejection, form) {
        (Asked::Form { .. }, _, Some(form)) => draft.complete(at, Arc::new(form), Some("form")),
        (Asked::Approval { .. }, Some((who, note)), _) => reject(draft, at, &who, &note),
        (Asked::Approval { needed }, None, _) if approvals >= *needed as usize => {
            let output = json!({ "decision": "approved", "by": by });
            draft.complete(at, Arc::new(output), Some("approved"));
        }
        _ => {}
    }
}

/// A rejection follows the edge `rejected` where there is one; else the node fails.
fn reject(draft: &mut Draft<'_>, at: &Address, by: &str, note: &str) {
    let Some((graph, place)) = draft.node(at) else { return };
    let rejected = When::Branch("rejected".to_owned());
    if graph.outgoing(place).iter().any(|edge| graph.edge(*edge).when == rejected) {
        let output = json!({ "decision": "rejected", "by": [by], "note": note });
        draft.complete(at, Arc::new(output), Some("rejected"));
    } else {
        let note = if note.is_empty() { String::new() } else { format!(": {note}") };
        draft.fail(at, Fault::new(code::REJECTED, format!("`{by}` rejected `{}`{note}", at.node)));
    }
}

pub fn deadline(draft: &mut Draft<'_>, at: &Address) {
    let then = draft.with_node(at, |node| match &node.kind {
        Kind::Human(human) => human.deadline.then.clone(),
        _ => AtDeadline::Fail,
    });
    match then.unwrap_or_default() {
        AtDeadline::Approve => {
            draft.complete(at, Arc::new(json!({ "decision": "approved", "by": ["deadline"] })), Some("approved"));
        }
        AtDeadline::Reject => reject(draft, at, "deadline", "nobody answered in time"),
        then @ (AtDeadline::Fail | AtDeadline::Default(_)) => at_deadline(draft, at, &then),
    }
}

/// What settled a `human` node before an answer came too late for it.
pub fn winner(state: &NodeState) -> String {
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
            let told = fits(&field(rule), &json!({"seat": "private"})).unwrap_err().to_string();
            assert!(told.contains("`/seat`") && told.contains(says) && !told.contains("private"), "{told}");
        }
        let missing = json!({"type": "object", "required": ["seat"]});
        let told = fits(&missing, &json!({"meal": "private"})).unwrap_err().to_string();
        assert!(told.contains("seat") && !told.contains("private"), "{told}");
    }
}
