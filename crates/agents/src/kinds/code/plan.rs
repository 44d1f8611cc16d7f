//! A plan, as JSON, whose steps call a tool or are Python.

use std::collections::BTreeSet;

use baton_core::model::ModelReply;
use baton_core::structured::extract;
use baton_expr::{ParamsDialect, ParamsTemplate};
use serde_json::{Map, Value, json};

use super::cycle;
use crate::fault::{ReplyError, code};
use crate::kinds::offers::ToolOffers;
use crate::one_shot;

/// Maximum number of steps in one plan.
pub(super) const STEPS_MAX: usize = 50;
/// Maximum length of a step id, in characters.
const ID_CHARS_MAX: usize = 64;
/// The prefix of a step's output in the inputs of later steps; the step's id follows it.
pub(super) const ROOT: &str = "step_";

#[derive(Debug)]
pub(super) struct AgentPlan {
    pub steps: Vec<PlanStep>,
    /// As the model wrote it.
    written: Value,
}

#[derive(Debug)]
pub(super) struct PlanStep {
    pub id: String,
    pub description: String,
    pub action: PlanAction,
    /// Its input template, not yet rendered.
    pub input: ParamsTemplate,
    /// Indices of the steps it depends on.
    pub after: BTreeSet<usize>,
    /// If it fails, the plan stops.
    pub critical: bool,
}

#[derive(Debug)]
pub(super) enum PlanAction {
    Tool(String),
    Python(String),
}

impl AgentPlan {
    /// Reads the first object in the reply that has steps, and checks that it is an executable plan.
    pub fn read(reply: &ModelReply, offers: &ToolOffers) -> Result<Self, ReplyError> {
        one_shot::check(reply)?;
        let found = extract::json_candidates(&reply.content);
        let Some(written) = found.iter().find(|value| value.get("steps").is_some_and(Value::is_array)) else {
            return Err(match found.is_empty() {
                true => ReplyError::new(code::REPLY_NOT_JSON, "the reply holds no complete JSON"),
                false => invalid("the plan has no list `steps`"),
            });
        };
        let steps = written["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        if steps.is_empty() {
            return Err(invalid("the plan has no step"));
        }
        if steps.len() > STEPS_MAX {
            return Err(invalid(format!("the plan has {} steps, at most {STEPS_MAX} are executed", steps.len())));
        }
        let ids = ids(steps)?;
        let read = |(place, step): (usize, &Value)| PlanStepReader { ids: &ids, place, offers }.step(step);
        let steps: Vec<PlanStep> = steps.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        match cycle::find_cycle(&steps) {
            Some(id) => Err(invalid(format!("step `{id}` waits for itself; mend `depends_on`"))),
            None => Ok(Self { steps, written: written.clone() }),
        }
    }

    pub fn as_json(&self) -> Value {
        self.written.clone()
    }

    /// A one-line summary of the plan.
    pub fn as_text(&self) -> String {
        let steps: Vec<&str> = self.steps.iter().map(|step| step.description.as_str()).collect();
        format!("plan: {}", steps.join("; "))
    }
}

fn invalid(problem: impl Into<String>) -> ReplyError {
    ReplyError::new(code::PLAN_INVALID, problem)
}

/// The steps' ids; steps without one are numbered from 1.
fn ids(steps: &[Value]) -> Result<Vec<String>, ReplyError> {
    let mut ids: Vec<String> = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let id = match step.get("id") {
            None | Some(Value::Null) => (place + 1).to_string(),
            Some(Value::String(id)) => id.clone(),
            Some(id @ Value::Number(_)) => id.to_string(),
            Some(_) => return Err(invalid("a step's `id` is a number or a text")),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if id.is_empty() || id.chars().count() > ID_CHARS_MAX || !id.chars().all(is_name) {
            let shown = extract::clip(&id, ID_CHARS_MAX);
            return Err(invalid(format!("step id `{shown}` is not made of letters, digits and `_` alone")));
        }
        if ids.contains(&id) {
            return Err(invalid(format!("two steps have the id `{id}`")));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Reads one step.
struct PlanStepReader<'a> {
    ids: &'a [String],
    place: usize,
    offers: &'a ToolOffers,
}

impl PlanStepReader<'_> {
    fn step(&self, step: &Value) -> Result<PlanStep, ReplyError> {
        let id = self.ids[self.place].clone();
        let wrong = |problem: String| invalid(format!("step `{id}` {problem}"));
        let Some(fields) = step.as_object() else { return Err(wrong("is not an object".to_owned())) };
        let does = self.action(fields)?;
        let input = match fields.get("input").or_else(|| fields.get("parameters")) {
            None | Some(Value::Null) => json!({}),
            Some(input @ Value::Object(_)) => input.clone(),
            Some(_) => return Err(wrong("has an `input` that is not an object".to_owned())),
        };
        let input = ParamsTemplate::parse(&input, ParamsDialect::Steps)
            .map_err(|error| wrong(format!("has an input: {error}")))?;
        let mut after = self.waits_for(fields)?;
        for root in input.roots() {
            let of = root.strip_prefix(ROOT).unwrap_or(root);
            match self.ids.iter().position(|known| known == of) {
                Some(place) => drop(after.insert(place)),
                None => return Err(wrong(format!("names `{root}`, which is no step of the plan; write `${ROOT}ID`"))),
            }
        }
        Ok(PlanStep {
            description: text(fields, "description").unwrap_or_else(|| id.clone()),
            action: does,
            input,
            after,
            critical: fields.get("critical").and_then(Value::as_bool).unwrap_or(true),
            id,
        })
    }

    fn action(&self, fields: &Map<String, Value>) -> Result<PlanAction, ReplyError> {
        let id = &self.ids[self.place];
        let tool = ["tool", "tool_name"].iter().find_map(|key| text(fields, key));
        let python = ["python", "code"].iter().find_map(|key| text(fields, key));
        match (tool, python) {
            (Some(tool), None) if self.offers.find(&tool).is_some() => Ok(PlanAction::Tool(tool)),
            (Some(tool), None) => Err(ReplyError::unknown_tool(&tool, self.offers.all())),
            (None, Some(python)) => Ok(PlanAction::Python(python)),
            (None, None) => Err(invalid(format!("step `{id}` has neither `tool` nor `python`"))),
            (Some(_), Some(_)) => Err(invalid(format!("step `{id}` has both `tool` and `python`; make it two steps"))),
        }
    }

    /// The dependencies that the step names; by default, the step before it.
    fn waits_for(&self, fields: &Map<String, Value>) -> Result<BTreeSet<usize>, ReplyError> {
        let Some(written) = fields.get("depends_on").or_else(|| fields.get("dependencies")) else {
            return Ok(self.place.checked_sub(1).into_iter().collect());
        };
        let id = &self.ids[self.place];
        let items = match written {
            Value::Null => &[][..],
            Value::Array(items) => items,
            one => std::slice::from_ref(one),
        };
        let place = |item: &Value| {
            let named = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            let found = self.ids.iter().position(|known| *known == named);
            found.ok_or_else(|| invalid(format!("step `{id}` waits for `{}`, and there is no such step", clip(&named))))
        };
        items.iter().map(place).collect()
    }
}

fn clip(text: &str) -> String {
    extract::clip(text, ID_CHARS_MAX)
}

fn text(fields: &Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
